// Components of Vue and Svelte have no type errors, templates included: those of the examples, and those of the guide.
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import { installComponentTools } from '../components/install.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, '.cache', 'components')
const guide = readFileSync(join(root, 'docs', 'guide.md'), 'utf8')

/** Resolves to what a script printed, whatever its exit code. */
const printed = (script: string, ...args: string[]) =>
  new Promise<string>((resolve) => {
    execFile(process.execPath, [script, ...args], { cwd: root, timeout: 120_000 }, (_, out, error) =>
      resolve(out + error),
    )
  })

/** What the guide calls `./shop`. */
const shop = `import { defineEvents, defineProjection, table, tidemark } from 'tidemark'
const events = defineEvents<{ type: 'ItemAdded'; data: { quantity: number } }>()
const baskets = defineProjection(events, {
  name: 'baskets',
  tables: { baskets: table<{ id: string; items: number }>()({ key: 'id', indexes: { byItems: 'items' } }) },
  on: { ItemAdded: ({ stream, data }, { baskets }) => baskets.put({ id: stream, items: data.quantity }) },
})
export const shop = tidemark({ name: 'shop', events, models: { baskets } })
`

/** Without their errors a check has looked at nothing. */
const wrong = {
  vue: `<script setup lang="ts">
import { useLiveQuery } from 'tidemark/vue'
import { shop } from './shop'
const { data } = useLiveQuery(() => shop.baskets.baskets.live())
</script>
<template><p v-for="basket in data" :key="basket.id">{{ basket.itms }}</p></template>
`,
  svelte: `<script lang="ts">
  import { live } from 'tidemark/svelte'
  import { shop } from './shop'
  const rows = live(() => shop.baskets.baskets.live())
</script>
{#each rows.current ?? [] as basket (basket.id)}<p>{basket.itms}</p>{/each}
`,
}

let tools = ''
beforeAll(async () => {
  tools = installComponentTools()
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  // As an app sees it: that takes a quarter of the time.
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const how = ['-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', join(folder, 'dist')]
  expect(await printed(compiler, ...how)).toBe('')
  cpSync(join(root, 'examples', 'shared'), join(folder, 'shared'), { recursive: true })
}, 300_000)

/** The example of a framework, the component of the guide, and a wrong one. Returns the folder. */
function appOf(framework: 'vue' | 'svelte'): string {
  const app = join(folder, framework)
  cpSync(join(root, 'examples', framework, 'src'), join(app, 'src'), { recursive: true })
  mkdirSync(join(app, 'guide'))
  const blocks = [...guide.matchAll(new RegExp(`^\`\`\`${framework}\\n([\\s\\S]*?)^\`\`\``, 'gm'))]
  expect(blocks.length).toBeGreaterThan(0)
  for (const [at, [, block = '']] of blocks.entries())
    writeFileSync(join(app, 'guide', `Guide${at}.${framework}`), block)
  writeFileSync(join(app, 'guide', `Wrong.${framework}`), wrong[framework])
  writeFileSync(join(app, 'guide', 'shop.ts'), shop)
  const paths = {
    tidemark: ['../dist/index.d.ts'],
    'tidemark/sync': ['../dist/sync/index.d.ts'],
    'tidemark/*': ['../dist/bindings/*.d.ts'],
  }
  const config = {
    extends: `../../../examples/${framework}/tsconfig.json`,
    compilerOptions: { paths },
    include: ['src', 'guide'],
  }
  writeFileSync(join(app, 'tsconfig.json'), JSON.stringify(config))
  // Else it looks for one in the folders above.
  if (framework === 'svelte') writeFileSync(join(app, 'svelte.config.js'), 'export default {}\n')
  return app
}

test.concurrent('those of Vue', { timeout: 180_000 }, async () => {
  const found = await printed(
    join(tools, 'vue-tsc/bin/vue-tsc.js'),
    '--noEmit',
    '--pretty',
    'false',
    '-p',
    appOf('vue'),
  )
  expect(found.trim().split('\n')).toEqual([
    expect.stringMatching(/vue\/guide\/Wrong\.vue\(6,\d+\): error TS2551: .*'itms'.*'items'/),
  ])
})

test.concurrent('those of Svelte', { timeout: 180_000 }, async () => {
  const app = appOf('svelte')
  const how = ['--workspace', app, '--tsconfig', join(app, 'tsconfig.json'), '--output', 'machine']
  const found = await printed(join(tools, 'svelte-check/bin/svelte-check'), ...how)
  const lines = found.trim().split('\n')
  expect(lines.filter((line) => /^\d+ (ERROR|WARNING) /.test(line))).toEqual([
    expect.stringMatching(/ ERROR "guide\/Wrong\.svelte" 6:\d+ ".*'itms'.*'items'/),
  ])
  expect(lines.at(-1)).toMatch(/ COMPLETED \d+ FILES 1 ERRORS 0 WARNINGS /)
})
