// Which of the two builds each tool takes, of its own accord or told to.
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createServer } from 'vite'
import { expect, test } from 'vitest'
import { apps, node, nodeTool, serveNext, type Ran } from './support.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const address = 'See https://tidemark.example/errors/version-conflict'
const texts = {
  development: `Stream 'task-1' is at version 1, but the append expected 'no-stream'. Read the stream again and retry. ${address}`,
  production: `version-conflict: task-1, 1, no-stream. ${address}`,
}
type Build = keyof typeof texts

function expectBuild(build: Build, { code, printed }: Ran): void {
  expect(code, printed).toBe(0)
  const line = printed.split('\n').find((each) => each.startsWith('{'))
  expect(JSON.parse(line ?? printed)).toEqual({
    code: 'version-conflict',
    actual: 1,
    message: texts[build],
    same: true,
    warnings: build === 'development' ? 1 : 0,
  })
}

function folderOf(name: string, files: Readonly<Record<string, string>> = {}): string {
  mkdirSync(join(apps, name), { recursive: true })
  for (const [file, text] of Object.entries(files)) writeFileSync(join(apps, name, file), text)
  return name
}

/** Of the code that a tool gives to a browser. */
const hasTexts = (code: string): boolean => code.includes('but the append expected')

test('Node: production, or development with a condition', async () => {
  expectBuild('production', await node(['which.js']))
  expectBuild('development', await node(['--conditions=development', 'which.js']))
})

test('Node, by require: the same', async () => {
  expect((await node(['which.cjs'])).printed.split('\n')[0]).toBe(texts.production)
  expect((await node(['--conditions=development', 'which.cjs'])).printed.split('\n')[0]).toBe(texts.development)
})

test('a Node that cannot require ES modules says so', async () => {
  const { code, printed } = await node(['--no-experimental-require-module', 'which.cjs'])
  expect(code).not.toBe(0)
  expect(printed).toMatch(/ERR_REQUIRE_ESM|require\(\) of ES Module/)
})

test('TypeScript with moduleResolution node10 names the settings that work', async () => {
  writeFileSync(
    join(apps, 'tsconfig.node10.json'),
    JSON.stringify({
      compilerOptions: { target: 'es2022', module: 'commonjs', moduleResolution: 'node10', types: [], noEmit: true },
      files: ['typed.ts'],
    }),
  )
  const { printed } = await nodeTool('typescript54/bin/tsc', ['-p', 'tsconfig.node10.json'])
  expect(printed).toMatch(/Cannot find module 'tidemark\/memory'/)
  expect(printed).toMatch(/Consider updating to 'node16', 'nodenext', or 'bundler'/)
})

test('Vite: production when it builds', async () => {
  const folder = folderOf('which-vite', {
    'vite.config.js':
      "export default { logLevel: 'warn', build: { target: 'es2022', lib: { entry: '../which.js', formats: ['es'], fileName: 'which' } } }",
  })
  expect((await node([join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build'], folder)).code).toBe(0)
  expectBuild('production', await node(['dist/which.js'], folder))
})

test('Vite: development when it serves', async () => {
  const server = await createServer({
    root: join(apps, folderOf('which-vite-dev', { 'main.js': "import 'tidemark'\nimport 'tidemark/memory'\n" })),
    configFile: false,
    logLevel: 'silent',
    server: { port: 0, host: '127.0.0.1', fs: { strict: false } },
    optimizeDeps: { noDiscovery: true, include: ['tidemark', 'tidemark/memory'] },
  })
  try {
    await server.listen()
    const url = server.resolvedUrls?.local[0] ?? ''
    const get = async (path: string): Promise<string> => (await fetch(new URL(path, url))).text()
    const seen = new Set<string>()
    /** A module and all that it imports, as a browser gets them. */
    const load = async (path: string): Promise<string> => {
      if (seen.has(path)) return ''
      seen.add(path)
      const code = await get(path)
      const imported = [...code.matchAll(/(?:from|import)\s*"([^"]+)"/g)].map(
        ([, to = '']) => new URL(to, new URL(path, url)),
      )
      const parts = await Promise.all(imported.map(({ pathname, search }) => load(pathname + search)))
      return code + parts.join('')
    }
    expect(hasTexts(await load('/main.js')), [...seen].join()).toBe(true)
  } finally {
    await server.close()
  }
})

test.for(['development', 'production'] as const)('webpack in mode %s', async (mode) => {
  const folder = folderOf(`which-webpack-${mode}`, {
    'build.cjs': `
      const webpack = require('webpack')
      const config = {
        mode: '${mode}', devtool: false, target: ['web', 'es2022'], entry: '../which.js', context: __dirname, performance: { hints: false },
        experiments: { outputModule: true }, output: { path: __dirname + '/dist', filename: 'which.mjs', module: true, chunkFormat: 'module' },
      }
      webpack(config, (error, stats) => {
        console.log(error ?? stats.toString({ all: false, errors: true, warnings: true }))
        process.exitCode = error || stats.hasErrors() || stats.hasWarnings() ? 1 : 0
      })`,
  })
  const built = await node(['build.cjs'], folder)
  expect(built.code, built.printed).toBe(0)
  expectBuild(mode, await node(['dist/which.mjs'], folder))
})

test.for([
  ['production', ''],
  ['development', "{ exportConditions: ['development'] }"],
] as const)('Rollup: %s, with resolve(%s)', async ([build, options]) => {
  const folder = folderOf(`which-rollup-${build}`, {
    'rollup.config.js': `import resolve from '@rollup/plugin-node-resolve'\nexport default { input: '../which.js', plugins: [resolve(${options})], output: { file: 'dist/which.js', format: 'es' } }`,
  })
  const built = await nodeTool('rollup/dist/bin/rollup', ['--config', '--failAfterWarnings'], folder)
  expect(built.code, built.printed).toBe(0)
  expectBuild(build, await node(['dist/which.js'], folder))
})

test.for([
  ['production', []],
  ['development', ['development']],
] as const)('esbuild: %s, with conditions %j', async ([build, conditions]) => {
  const folder = folderOf(`which-esbuild-${build}`, {
    'build.mjs': `
      import { build } from 'esbuild'
      const { warnings } = await build({
        entryPoints: ['../which.js'], bundle: true, format: 'esm', target: 'es2022', outfile: 'dist/which.js',
        ${conditions.length === 0 ? '' : `conditions: ${JSON.stringify(conditions)},`}
      })
      process.exitCode = warnings.length`,
  })
  const built = await node(['build.mjs'], folder)
  expect(built.code, built.printed).toBe(0)
  expectBuild(build, await node(['dist/which.js'], folder))
})

test.for(['development', 'production'] as const)('Parcel that reads exports, in mode %s', async (mode) => {
  const folder = folderOf(`which-parcel-${mode}`, {
    // Parcel reads its configuration from the folder that has a lock file.
    'yarn.lock': '',
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
    'entry.js': "export { VersionConflictError } from 'tidemark'",
    // `parcel build` has one mode only; `parcel serve` and `parcel watch`, which have the other, do not end.
    'build.mjs': `
      import { Parcel } from '@parcel/core'
      await new Parcel({
        entries: ['.'], mode: '${mode}', defaultConfig: '@parcel/config-default', shouldDisableCache: true,
        defaultTargetOptions: { sourceMaps: false },
      }).run()
      process.exit()`,
    'use.js':
      "const { VersionConflictError } = await import('./dist/entry.js')\nconsole.log(new VersionConflictError({ stream: 'task-1', expected: 'no-stream', actual: 1 }).message)",
  })
  const built = await node(['build.mjs'], folder)
  expect(built.code, built.printed).toBe(0)
  const used = await node(['use.js'], folder)
  expect(used.printed.trim()).toBe(texts[mode])
})

test('Vitest: development', async () => {
  const folder = folderOf('which-vitest', {
    'vitest.config.js': 'export default {}',
    'which.test.js': `
      import { expect, test } from 'vitest'
      import { VersionConflictError } from 'tidemark'
      test('message', () => {
        expect(new VersionConflictError({ stream: 'task-1', expected: 'no-stream', actual: 1 }).message).toBe(${JSON.stringify(texts.development)})
      })`,
  })
  const { code, printed } = await node([join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run'], folder)
  expect(code, printed).toBe(0)
})

test('Next: development when it serves', async () => {
  // That it takes production when it builds: next.test.ts.
  const folder = folderOf('which-next')
  cpSync(join(apps, 'next', 'next.config.mjs'), join(apps, folder, 'next.config.mjs'))
  cpSync(join(apps, 'next', 'package.json'), join(apps, folder, 'package.json'))
  mkdirSync(join(apps, folder, 'app'))
  cpSync(join(apps, 'next', 'app', 'layout.jsx'), join(apps, folder, 'app', 'layout.jsx'))
  writeFileSync(
    join(apps, folder, 'app', 'page.jsx'),
    "'use client'\nimport { VersionConflictError } from 'tidemark'\nexport default function Page() {\n  return <p>{VersionConflictError.name}</p>\n}\n",
  )
  const server = await serveNext('dev', folder)
  try {
    const page = await (await fetch(server.url)).text()
    const scripts = [...page.matchAll(/<script[^>]* src="([^"]+)"/g)].map(([, src = '']) => new URL(src, server.url))
    const codes = await Promise.all(scripts.map(async (url) => (await fetch(url)).text()))
    expect(codes.some(hasTexts), scripts.join()).toBe(true)
  } finally {
    server.stop()
  }
})

test('the production build has no text of a message, and no warning', () => {
  const dist = join(apps, 'node_modules', 'tidemark', 'dist')
  const files = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.js'))
  const isDevelopment = (file: string): boolean => file.startsWith('development')
  expect(
    files
      .filter(isDevelopment)
      .map((file) => file.slice('development/'.length))
      .sort(),
  ).toEqual(files.filter((file) => !isDevelopment(file)).sort())
  const code = (file: string): string => readFileSync(join(dist, file), 'utf8')
  const withWarnings = files.filter((file) => /console\.warn\(/.test(code(file)))
  expect(withWarnings.filter(isDevelopment)).not.toEqual([])
  expect(withWarnings.filter((file) => !isDevelopment(file))).toEqual([])
  expect(files.filter((file) => code(file).includes('__DEV__'))).toEqual([])
  expect(files.filter((file) => hasTexts(code(file)))).toEqual([join('development', 'errors.js')])
})
