// The components that the guide shows for Vue, Svelte and Solid: compiled by the plugin of their framework, rendered on a server.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { build, type Rollup } from 'vite'
import { readAs } from '../../scripts/builds.mjs'
import { alias } from '../../vite.config.js'
import { plugins, type Framework } from '../bindings/compiled.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

const renders = {
  vue: `import { createSSRApp } from 'vue'
    import { renderToString } from '@vue/server-renderer'
    export default () => renderToString(createSSRApp(Component, { least: 2 }))`,
  svelte: `import { render } from 'svelte/server'
    export default async () => (await render(Component, { props: { least: 2 } })).body`,
  solid: `import { createComponent, renderToString } from 'solid-js/web'
    export default async () => renderToString(() => createComponent(Component, { least: 2 }))`,
}

/** What the guide calls \`./shop\`. */
const shop = `import { defineEvents, defineProjection, table, tidemark } from 'tidemark'
  const events = defineEvents()
  const baskets = defineProjection(events, {
    name: 'baskets',
    tables: { baskets: table()({ key: 'id', indexes: { byItems: 'items' } }) },
    fold: { baskets: { key: (event) => event.stream, evolve: (row, { stream, data }) => ({ id: stream, items: data.quantity }) } },
  })
  export const shop = tidemark({ name: 'shop', events, models: { baskets } })`

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-guide-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test.for([
  ['vue', 'vue', '.vue'],
  ['svelte', 'svelte', '.svelte'],
  ['solid', 'tsx', '.tsx'],
] satisfies [Framework, string, string][])(
  'the component for %s',
  { timeout: 60_000 },
  async ([framework, fence, ending]) => {
    const guide = await readFile(join(root, 'docs', 'guide.md'), 'utf8')
    const blocks = [...guide.matchAll(new RegExp(`^\`\`\`${fence}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].flatMap(
      ([, block = '']) => (block.includes(`'tidemark/${framework}'`) ? [block] : []),
    )
    expect(blocks).toHaveLength(1)
    await writeFile(join(folder, `Baskets${ending}`), blocks[0] ?? '')
    await writeFile(join(folder, 'shop.js'), shop)
    await writeFile(
      join(folder, `${framework}.js`),
      `import Component from './Baskets${ending}'\n${renders[framework]}`,
    )
    const { output } = (await build({
      configFile: false,
      root,
      logLevel: 'error',
      plugins: [
        readAs('development'),
        plugins[framework](),
        // As if the folder lay in the project.
        {
          name: 'packages',
          resolveId(id, from) {
            return from?.startsWith(folder) && /^[@\w]/.test(id)
              ? this.resolve(id, join(root, 'vite.config.ts'))
              : undefined
          },
        },
      ],
      resolve: { alias },
      ssr: { noExternal: true },
      build: {
        write: false,
        ssr: true,
        target: 'es2022',
        rollupOptions: { input: join(folder, `${framework}.js`), output: { codeSplitting: false } },
      },
    })) as Rollup.RollupOutput
    const file = join(folder, `${framework}.mjs`)
    await writeFile(file, output[0].code)
    const { default: render } = (await import(pathToFileURL(file).href)) as { default: () => Promise<string> }
    const html = (await render()).replace(/<!--[^>]*-->/g, '')
    expect(html).toMatch(/<ul[^>]*><\/ul>\s*<p[^>]*>idle<\/p>/)
    expect(html).not.toContain('alert')
  },
)
