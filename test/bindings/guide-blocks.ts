// The blocks of the guide that are files of an app, as modules: `guide:basket.test.tsx` is the block that begins with that name.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vitest/config'

const guide = fileURLToPath(new URL('../../docs/guide.md', import.meta.url))

/** The block of a file. */
export function guideBlock(name: string): string {
  for (const [, block = ''] of readFileSync(guide, 'utf8').matchAll(/^```tsx\n([\s\S]*?)^```/gm))
    if (block.startsWith(`// ${name}\n`)) return block
  throw new Error(`The guide has no block of ${name}`)
}

export function guideBlocks(): Plugin {
  // A path next to the guide, so that it is compiled as a file of its kind.
  const blocks = `${guide}.`
  return {
    name: 'guide-blocks',
    enforce: 'pre',
    resolveId: (id) => (id.startsWith('guide:') ? blocks + id.slice('guide:'.length) : undefined),
    load: (id) => (id.startsWith(blocks) ? guideBlock(id.slice(blocks.length)) : undefined),
  }
}
