// One app, built by each bundler from the installed tarball, and run.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { apps, node, nodeTool, programOf, run, type Ran } from './support.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const shown = { position: 1, row: { sku: 'A1', quantity: 2 }, refused: 'storage-unavailable' }

function expectShown({ code, printed }: Ran): void {
  expect(code, printed).toBe(0)
  const line = printed.split('\n').find((each) => each.startsWith('{'))
  expect(line, printed).toBeDefined()
  expect(JSON.parse(line ?? '')).toEqual(shown)
}

function expectBuilt({ code, printed }: Ran): void {
  expect(code, printed).toBe(0)
  expect(printed).not.toMatch(/\bwarning\b/i)
}

/** A folder of one tool, with its configuration. */
function folderOf(name: string, files: Readonly<Record<string, string>> = {}): string {
  mkdirSync(join(apps, name), { recursive: true })
  for (const [file, text] of Object.entries(files)) writeFileSync(join(apps, name, file), text)
  return name
}

test('Node imports it', async () => {
  expectShown(await node(['app.js']))
})

test('Node requires it', async () => {
  const { code, printed } = await node(['require.cjs'])
  expect(code, printed).toBe(0)
  expect(JSON.parse(printed.split('\n')[0] ?? '')).toEqual({ position: 1, errors: 'function', clock: 'function' })
})

test('Vite', async () => {
  const folder = folderOf('vite', {
    'vite.config.js':
      "export default { logLevel: 'warn', build: { ssr: false, target: 'es2022', lib: { entry: '../app.js', formats: ['es'], fileName: 'app' } } }",
  })
  expectBuilt(await node([join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build'], folder))
  expectShown(await node(['dist/app.js'], folder))
})

test('Vite, rendering on a server', async () => {
  const folder = folderOf('vite-ssr', {
    'vite.config.js': "export default { logLevel: 'warn', build: { ssr: '../app.js' }, ssr: { noExternal: true } }",
  })
  expectBuilt(await node([join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build'], folder))
  expectShown(await node(['dist/app.js'], folder))
})

test('webpack 5', async () => {
  const folder = folderOf('webpack', {
    'build.cjs': `
      const webpack = require('webpack')
      const config = {
        mode: 'production', target: ['web', 'es2022'], entry: '../app.js', context: __dirname, performance: { hints: false },
        experiments: { outputModule: true }, output: { path: __dirname + '/dist', filename: 'app.mjs', module: true, chunkFormat: 'module' },
      }
      webpack(config, (error, stats) => {
        console.log(error ?? stats.toString({ all: false, errors: true, warnings: true }))
        process.exitCode = error || stats.hasErrors() || stats.hasWarnings() ? 1 : 0
      })`,
  })
  expectBuilt(await node(['build.cjs'], folder))
  expectShown(await node(['dist/app.mjs'], folder))
})

test('Rollup', async () => {
  const folder = folderOf('rollup', {
    'rollup.config.js':
      "import resolve from '@rollup/plugin-node-resolve'\nexport default { input: '../app.js', plugins: [resolve()], output: { file: 'dist/app.js', format: 'es' } }",
  })
  expectBuilt(await nodeTool('rollup/dist/bin/rollup', ['--config', '--failAfterWarnings'], folder))
  expectShown(await node(['dist/app.js'], folder))
})

test.for(['esm', 'cjs'])('esbuild to %s', async (format) => {
  const folder = folderOf(`esbuild-${format}`, {
    // Its own top-level await keeps the app itself from CommonJS; what it imports is what matters.
    'entry.js': "export * from 'tidemark'\nexport { openEventStore as openInMemory } from 'tidemark/memory'",
    'build.mjs': `
      import { build } from 'esbuild'
      const format = '${format}'
      const { warnings } = await build({
        entryPoints: [format === 'cjs' ? 'entry.js' : '../app.js'], bundle: true, format, target: 'es2022',
        outfile: format === 'cjs' ? 'dist/app.cjs' : 'dist/app.js', platform: format === 'cjs' ? 'node' : 'browser',
      })
      process.exitCode = warnings.length`,
    'use.cjs':
      "const { openInMemory, defineEvents } = require('./dist/app.cjs')\nopenInMemory({ name: 'shop', events: defineEvents() }).then((store) => console.log(store.name))",
  })
  expectBuilt(await node(['build.mjs'], folder))
  if (format === 'esm') expectShown(await node(['dist/app.js'], folder))
  else expect((await node(['use.cjs'], folder)).printed.trim()).toBe('shop')
})

/** Parcel reads its configuration from the folder that has a lock file. */
const parcelRoot = { 'yarn.lock': '' }

test('Parcel, which reads exports where it is told to', async () => {
  const folder = folderOf('parcel', {
    ...parcelRoot,
    'package.json': JSON.stringify({
      private: true,
      '@parcel/resolver-default': { packageExports: true },
      targets: {
        app: {
          source: 'entry.js',
          distDir: 'dist',
          context: 'node',
          includeNodeModules: true,
          outputFormat: 'esmodule',
          isLibrary: true,
          optimize: false,
          scopeHoist: true,
        },
      },
      engines: { node: '>=20' },
      type: 'module',
    }),
    'entry.js': "export * from 'tidemark'\nexport { openEventStore as openInMemory } from 'tidemark/memory'",
    'use.js':
      "const { openInMemory, defineEvents } = await import('./dist/entry.js')\nconsole.log((await openInMemory({ name: 'shop', events: defineEvents() })).name)",
  })
  const built = await nodeTool('parcel/lib/bin.js', ['build', '--no-cache', '--no-source-maps'], folder)
  expect(built.code, built.printed).toBe(0)
  const used = await node(['use.js'], folder)
  expect(used.printed.trim(), used.printed).toBe('shop')
})

test('Parcel as it comes finds the main entry', async () => {
  const folder = folderOf('parcel-main', {
    ...parcelRoot,
    'package.json': JSON.stringify({
      private: true,
      targets: {
        app: {
          source: 'entry.js',
          distDir: 'dist',
          context: 'node',
          includeNodeModules: true,
          outputFormat: 'esmodule',
          isLibrary: true,
          optimize: false,
          scopeHoist: true,
        },
      },
      engines: { node: '>=20' },
      type: 'module',
    }),
    'entry.js': "export { defineEvents } from 'tidemark'",
    'use.js':
      "const { defineEvents } = await import('./dist/entry.js')\nconsole.log(defineEvents().Added({ n: 1 }).type)",
  })
  const built = await nodeTool('parcel/lib/bin.js', ['build', '--no-cache', '--no-source-maps'], folder)
  expect(built.code, built.printed).toBe(0)
  expect((await node(['use.js'], folder)).printed.trim()).toBe('Added')
})

// Not every machine can start them: their programs come for some processors only.
const bun = await programOf('bun/bin/bun.exe', 'bun/bin/bun')
test.skipIf(bun === undefined)('Bun', async () => {
  expectShown(await run(bun ?? '', ['run', 'app.js']))
})

const deno = await programOf(
  '@deno/linux-x64-glibc/deno',
  '@deno/linux-arm64-glibc/deno',
  '@deno/darwin-arm64/deno',
  '@deno/darwin-x64/deno',
)
test.skipIf(deno === undefined)('Deno', async () => {
  expectShown(
    await run(deno ?? '', ['run', '--allow-read', '--allow-env', '--node-modules-dir=manual', '--no-lock', 'app.js']),
  )
})
