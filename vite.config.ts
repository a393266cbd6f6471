import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'
import { readAs } from './scripts/builds.mjs'
import { whyMissing } from './scripts/engines.mjs'
import { chromiumArgs, findChromium } from './scripts/find-browser.mjs'
import { compiled } from './test/bindings/compiled.js'
import { guideBlocks } from './test/bindings/guide-blocks.js'
import { installReact18 } from './test/bindings/react-18/install.js'
import { bundled, engineVersion, storageOnDisk } from './test/engines/commands.js'
import { engines } from './test/engines/index.js'
import { onEngine } from './test/engines/provider.js'

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

/** The package by its own name, so that demo, bench and tests import what a user imports. */
export const alias = [
  { find: /^tidemark$/, replacement: source('index.ts') },
  { find: /^tidemark\/memory$/, replacement: source('memory/index.ts') },
  { find: /^tidemark\/server$/, replacement: source('server/index.ts') },
  { find: /^tidemark\/sync$/, replacement: source('sync/index.ts') },
  { find: /^tidemark\/testing$/, replacement: source('testing/index.ts') },
  { find: /^tidemark\/file$/, replacement: source('file/index.ts') },
  { find: /^tidemark\/postgres$/, replacement: source('postgres/index.ts') },
  { find: /^tidemark\/durable-object$/, replacement: source('durable-object/index.ts') },
  { find: /^tidemark\/(\w+)$/, replacement: source('bindings/$1.ts') },
]

// Of a suite that runs at the same time as others: two of Vite's must not write into one folder.
const cacheDir = process.env['TIDEMARK_VITE_CACHE']

// May be missing: the node project runs without a browser.
const chromium = findChromium()

const browserSuites = ['test/browser/**/*.test.ts', 'test/contract/**/*.browser.test.ts']

/** Of them, those that touch no IndexedDB. */
const withoutStorage = 'test/contract/**/*.in-memory.browser.test.ts'

const nodeSuites = ['test/unit/**/*.test.ts', 'test/contract/**/*.node.test.ts']

/** Of them, those that start servers or other processes, or ask PostgreSQL. */
const servers = [
  'test/contract/{postgres,durable-object,file-server}*.node.test.ts',
  'test/unit/{postgres,sync-ledger}/*.test.ts',
  'test/unit/file/kill.test.ts',
  'test/unit/example-servers.test.ts',
]

/** And those that run tools: builds, bundles, compilers, benches. */
const tools = [
  'test/unit/{api,bench-engines,builds,components,error-names,examples,flags,size}.test.ts',
  'test/unit/{guide,guide-frameworks,readme,releases-guide,durable-objects-guide,postgres-guide,sync-guide}.test.ts',
]

const test = fileURLToPath(new URL('./test/', import.meta.url))

function inNode(name: string, include: string[], exclude: string[] = [], further: object = {}) {
  return {
    extends: true as const,
    test: {
      name,
      environment: 'node' as const,
      include,
      exclude,
      // One more than there are processors: half of the time a file waits for timers, and for tools that it runs.
      maxWorkers: availableParallelism() + 1,
      ...further,
    },
  }
}

/** A project for tests of bindings, on those of the engines that this machine has. */
function bindings(name: string, include: string[], on: readonly string[], react = '19') {
  return {
    extends: true as const,
    oxc: { target: 'es2022' as const, jsx: { runtime: 'automatic' as const } },
    plugins: [guideBlocks()],
    optimizeDeps: {
      include: [
        'react',
        'react-dom',
        'react-dom/client',
        'react-dom/server',
        'react/jsx-dev-runtime',
        '@preact/signals-core',
        'lit',
      ],
    },
    test: {
      name,
      include,
      provide: { react },
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        commands: { compiled },
        instances: engines
          .filter((engine) => on.includes(engine.name) && whyMissing(engine.name) === undefined)
          .map((engine) => ({ browser: engine.browser, name: `${engine.name}-${name}`, provider: onEngine(engine) })),
      },
    },
  }
}

export default defineConfig({
  ...(cacheDir !== undefined && { cacheDir }),
  resolve: { alias },
  plugins: [readAs('development')],
  // Named, because a dependency that Vite finds while tests run reloads the page under them.
  optimizeDeps: { include: ['idb', 'zod'] },
  test: {
    // Against hangs only: no test makes a claim about time, and a busy machine is slow.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Asked often: most of what is waited for takes a few milliseconds, and there are thousands of such waits.
    expect: { poll: { timeout: 20_000, interval: 10 } },
    // `npm run coverage`; the figures are in docs/coverage.md.
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text'], reportsDirectory: '.cache/coverage' },
    projects: [
      inNode('node', nodeSuites, [...servers, ...tools], {
        setupFiles: ['test/support/left-behind.ts'],
        // V8 spends a third of the time on optimizing code, most of which a test runs only a few times more.
        execArgv: ['--interrupt-budget=400000'],
      }),
      inNode('servers', servers),
      inNode('tools', tools),
      {
        // The packed package in the tools of those who use it: nothing here is imported from `src`.
        test: {
          name: 'package',
          environment: 'node',
          include: ['test/package/*.test.ts'],
          globalSetup: ['test/package/setup.ts'],
          testTimeout: 5 * 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'browser',
          include: browserSuites,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            commands: { bundled },
            provider: playwright({
              launchOptions: { args: chromiumArgs(), ...(chromium && { executablePath: chromium.path }) },
            }),
            // IndexedDB is in memory here, as in a private window.
            instances: [{ browser: 'chromium' }],
          },
        },
      },
      {
        extends: true,
        // As the build of the package: the language of the tests is newer than that of some engines.
        oxc: { target: 'es2022' },
        test: {
          name: 'engines',
          isolate: false,
          setupFiles: ['test/support/empty-origin.ts'],
          include: [...browserSuites, 'test/engines/*.test.ts'],
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            commands: { bundled, storageOnDisk, engineVersion },
            // Those that this machine has; `npm run test:engines` names the others.
            instances: engines
              .filter(({ name }) => whyMissing(name) === undefined)
              .map((engine) => ({
                browser: engine.browser,
                name: engine.name,
                provider: onEngine(engine),
                provide: { storage: engine.storage },
                // Chromium runs them on its other storage.
                exclude: engine.storage === 'sqlite' ? [withoutStorage] : [],
              })),
          },
        },
      },
      // Each binding with its framework, on one engine of each kind.
      bindings('bindings', ['test/bindings/*.test.ts'], ['chromium-leveldb', 'firefox', 'webkit']),
      {
        ...bindings('react-18', ['test/bindings/react{,-suspense}.test.ts'], ['chromium-leveldb'], '18'),
        plugins: [installReact18()],
        resolve: {
          alias: [
            ...alias,
            { find: /^(?=react(?:-dom)?(?:\/|$))/, replacement: `${test}bindings/react-18/node_modules/` },
          ],
        },
      },
      {
        extends: true,
        test: {
          name: 'webkit-network-process',
          environment: 'node',
          include: whyMissing('webkit') === undefined ? ['test/engines/network-process/*.node.test.ts'] : [],
        },
      },
      // Several tabs of engines that Playwright does not drive as users have them.
      ...(['firefox', 'webkit'] as const).map((engine) => ({
        extends: true as const,
        test: {
          name: `${engine}-storm`,
          environment: 'node' as const,
          include: whyMissing(engine) === undefined ? ['test/engines/storm/*.node.test.ts'] : [],
          provide: { stormOn: engine },
        },
      })),
    ],
  },
})
