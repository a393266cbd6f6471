// npm run size: what an app pays for tidemark, bundled and minified as an app is, compressed by brotli, `idb` included.
// Fails where a bundle is over its budget, or holds code that it has no use for.
import { relative, sep } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { brotliCompressSync, constants } from 'node:zlib'
import { build } from 'vite'
import { readAs } from './builds.mjs'
import { readFlags } from './flags.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const entries = {
  tidemark: 'src/index.ts',
  'tidemark/memory': 'src/memory/index.ts',
  'tidemark/server': 'src/server/index.ts',
  'tidemark/sync': 'src/sync/index.ts',
  'tidemark/durable-object': 'src/durable-object/index.ts',
  'tidemark/testing': 'src/testing/index.ts',
  'tidemark/react': 'src/bindings/react.ts',
  'tidemark/vue': 'src/bindings/vue.ts',
  'tidemark/svelte': 'src/bindings/svelte.ts',
  'tidemark/solid': 'src/bindings/solid.ts',
  'tidemark/signals': 'src/bindings/signals.ts',
  'tidemark/lit': 'src/bindings/lit.ts',
}
/** Of the app: what a binding costs is measured without its framework. */
const frameworks = ['react', 'vue', 'svelte', 'solid-js', '@preact/signals-core']
const kib = (count) => Math.round(count * 1024)
const projection = ['src/projection/', 'src/read-model/', 'src/running/', 'src/reading/']
const commands = ['src/commands/']
const memory = ['src/log/memory/memory-log.ts', 'src/read-model/memory/memory-storage.ts']
/** What `tidemark/memory` contains, so that a bundle on IndexedDB need not hold it. */
const modelsInMemory = [
  ...[
    'memory/memory-storage',
    'state',
    'possible-state',
    'dead-letters',
    'earlier-versions',
    'reserved-names',
    'stamps',
  ].map((name) => `src/read-model/${name}.ts`),
  ...['define', 'keys', 'kinds', 'equal', 'fingerprint', 'index-keys', 'row-key', 'selection'].map(
    (name) => `src/read-model/${name}.ts`,
  ),
  'src/projection/target.ts',
]
const core = 'openEventStore, defineEvents, defineProjection, startProjection, openReadModel'

/**
 * `names`: what is imported, `*` for everything. `budget`: bytes after brotli that it may not grow over; lower it when the
 * code got smaller. `aim`: what the project wants. `without`: folders and files of which nothing may be in the bundle, `but` these files.
 * `only`: the folder that all of it has to come from.
 * @type {readonly { title: string, entry: keyof typeof entries, names: string, budget: number, aim?: number, without?: readonly string[], but?: readonly string[], only?: string }[]}
 */
export const budgets = [
  {
    title: 'log, runner and read model',
    entry: 'tidemark',
    names: core,
    budget: kib(58),
    aim: kib(36),
    without: [...commands, ...memory],
  },
  { title: 'everything', entry: 'tidemark', names: '*', budget: kib(72.6) },
  {
    title: 'everything of tidemark/memory',
    entry: 'tidemark/memory',
    names: '*',
    // With the synced store; `openEventStore` alone has a budget below.
    budget: kib(40.5),
    // Commands that are decided again, and the rows that views lay pending events over.
    without: ['src/reading/', ...commands, 'node_modules/'],
    but: ['src/commands/pipeline.ts', 'src/commands/write-batch.ts'],
  },
  {
    title: 'openEventStore of tidemark/memory',
    entry: 'tidemark/memory',
    names: 'openEventStore',
    budget: kib(16.6),
    without: [...projection, ...commands, 'src/sync/', 'node_modules/'],
    but: modelsInMemory,
  },
  {
    title: 'everything of tidemark/server',
    entry: 'tidemark/server',
    names: '*',
    budget: kib(9.15),
    aim: kib(8),
    without: [...projection, ...commands, 'src/sync/', 'node_modules/'],
  },
  {
    title: 'everything of tidemark/durable-object',
    entry: 'tidemark/durable-object',
    names: '*',
    budget: kib(12.9),
    without: [...projection, ...commands, 'src/sync/', 'node_modules/'],
  },
  {
    title: 'openSyncedStore and startSync',
    entry: 'tidemark/sync',
    names: 'openSyncedStore, startSync',
    budget: kib(63.85),
    // Who adopts no local store does not pay for it.
    without: ['src/sync/adopt', 'src/sync/local-commits.ts', 'src/sync/indexeddb/adopted-database.ts'],
  },
  { title: 'everything of tidemark/testing', entry: 'tidemark/testing', names: '*', budget: kib(83.7) },
  {
    title: 'openEventStore',
    entry: 'tidemark',
    names: 'openEventStore',
    budget: kib(21.85),
    aim: kib(16.5),
    without: [...projection, ...commands],
  },
  {
    title: 'deleteEventStore',
    entry: 'tidemark',
    names: 'deleteEventStore',
    budget: kib(3.35),
    without: [...projection, ...commands],
  },
  {
    title: 'defineEvents',
    entry: 'tidemark',
    names: 'defineEvents',
    budget: kib(3.65),
    aim: kib(3),
    without: [...projection, ...commands, 'src/log/', 'node_modules/'],
  },
  {
    title: 'typed',
    entry: 'tidemark',
    names: 'typed',
    budget: kib(0.2),
    without: [...projection, ...commands, 'src/log/', 'node_modules/'],
  },
  {
    title: 'defineProjection',
    entry: 'tidemark',
    names: 'defineProjection',
    budget: kib(2.3),
    without: ['src/projection/', ...commands, 'node_modules/'],
  },
  {
    title: 'isOutdated',
    entry: 'tidemark',
    names: 'isOutdated',
    budget: kib(0.3),
    without: [...projection, 'src/log/'],
  },
  { title: 'runProjection', entry: 'tidemark', names: 'runProjection', budget: kib(34), without: commands },
  { title: 'startProjection', entry: 'tidemark', names: 'startProjection', budget: kib(37.4), without: commands },
  { title: 'openReadModel', entry: 'tidemark', names: 'openReadModel', budget: kib(22.4), without: commands },
  { title: 'deleteReadModel', entry: 'tidemark', names: 'deleteReadModel', budget: kib(4.1), without: commands },
  { title: 'listEventStores', entry: 'tidemark', names: 'listEventStores', budget: kib(3.2), without: commands },
  { title: 'listReadModels', entry: 'tidemark', names: 'listReadModels', budget: kib(6.5), without: commands },
  { title: 'verifyReadModel', entry: 'tidemark', names: 'verifyReadModel', budget: kib(26.15), without: commands },
  {
    title: 'liveProjection',
    entry: 'tidemark',
    names: 'liveProjection',
    budget: kib(4.9),
    without: ['src/projection/', ...commands, 'node_modules/'],
  },
  {
    title: 'toObservable',
    entry: 'tidemark',
    names: 'toObservable',
    budget: kib(0.3),
    without: [...projection.filter((folder) => folder !== 'src/reading/'), ...commands, 'src/log/', 'node_modules/'],
  },
  {
    title: 'verifyEventStore',
    entry: 'tidemark',
    names: 'verifyEventStore',
    budget: kib(4.6),
    without: [...projection, ...commands],
  },
  {
    title: 'checkCommit',
    entry: 'tidemark',
    names: 'checkCommit',
    budget: kib(0.95),
    without: [...projection, ...commands],
  },
  {
    title: 'checkEvent',
    entry: 'tidemark',
    names: 'checkEvent',
    budget: kib(0.85),
    without: [...projection, ...commands],
  },
  {
    title: 'compactEvents',
    entry: 'tidemark',
    names: 'compactEvents',
    budget: kib(5.25),
    without: [...projection, ...commands],
  },
  {
    title: 'exportEvents',
    entry: 'tidemark',
    names: 'exportEvents',
    budget: kib(3.5),
    without: [...projection, ...commands],
  },
  {
    title: 'importEvents',
    entry: 'tidemark',
    names: 'importEvents',
    budget: kib(6.9),
    without: [...projection, ...commands],
  },
  { title: 'tidemark', entry: 'tidemark', names: 'tidemark', budget: kib(61), without: memory },
  {
    title: 'execute',
    entry: 'tidemark',
    names: 'execute',
    budget: kib(3.2),
    without: [...projection, 'node_modules/'],
  },
  {
    title: 'defineCommand',
    entry: 'tidemark',
    names: 'defineCommand',
    budget: kib(0.2),
    without: [...projection, 'src/log/', 'node_modules/'],
  },
  ...Object.keys(entries)
    .filter((entry) => entries[entry].startsWith('src/bindings/'))
    .map((entry) => ({ title: `everything of ${entry}`, entry, names: '*', budget: kib(1), only: 'src/bindings/' })),
]

/** What `tidemark()` may add to the functions that it uses, in bytes after brotli. */
export const appLayer = {
  names: 'tidemark',
  over: `${core}, runProjection, execute`,
  budget: kib(3),
  aim: kib(3),
}

/** What all of `tidemark/sync` may add to all of the core, in bytes after brotli. */
export const syncLayer = { budget: kib(37.05), aim: kib(12) }

const fromSync = (names) => `export { ${names} } from 'tidemark/sync'`
const fromCore = (names) => `export { ${names} } from 'tidemark'\n`

/** What apps that sync import, in whole, and the same without sync. `budget`: of the whole, in bytes after brotli. */
export const syncedUses = [
  {
    title: 'tidemark, defineEvents, defineProjection',
    source: fromCore('defineEvents, defineProjection') + fromSync('tidemark'),
    local: fromCore('tidemark, defineEvents, defineProjection'),
    budget: kib(100.2),
  },
  {
    title: 'openSyncedStore, startSync, defineEvents, defineProjection, startProjection, openReadModel',
    source:
      fromCore('defineEvents, defineProjection, startProjection, openReadModel') +
      fromSync('openSyncedStore, startSync'),
    local: fromCore(core),
    budget: kib(91.85),
  },
  {
    title: 'openSyncedStore, syncOnce, defineEvents',
    source: fromCore('defineEvents') + fromSync('openSyncedStore, syncOnce'),
    local: fromCore('openEventStore, defineEvents'),
    budget: kib(60.3),
  },
  {
    title: 'openSyncedStore, defineEvents',
    source: fromCore('defineEvents') + fromSync('openSyncedStore'),
    local: fromCore('openEventStore, defineEvents'),
    budget: kib(49.6),
  },
]

/** The bytes of an app that syncs, and of the same app without. */
export async function measureUse({ source, local }) {
  const [synced, alone] = [bundle(source), bundle(local)]
  return { bytes: compressed((await synced).code), local: compressed((await alone).code) }
}

/** How much larger a bundle of the core becomes by sync. */
export async function measureSyncLayer() {
  const core = "export * from 'tidemark'"
  const [below, both] = [core, `${core}\nexport * as sync from 'tidemark/sync'`].map((source) => bundle(source))
  return compressed((await both).code) - compressed((await below).code)
}

/**
 * How much larger a bundle of the functions becomes by the app: the mean over several lengths of a comment on top. Brotli
 * ends its blocks elsewhere with each, which moves the difference by up to 0.1 KiB.
 */
export async function measureAppLayer() {
  const { names, over } = appLayer
  const exported = (each) => bundle(`export { ${each} } from 'tidemark'`)
  const [{ code: below }, { code: both }] = await Promise.all([over, `${over}, ${names}`].map(exported))
  const lengths = Array.from({ length: 8 }, (_, index) => 111 * index)
  const sizes = lengths.map((length) => {
    const on = (code) => compressed(`/*${'x'.repeat(length)}*/${code}`)
    return on(both) - on(below)
  })
  return Math.round(sizes.reduce((sum, size) => sum + size) / sizes.length)
}

/** Bundles one import of {@link budgets}. `foreign` names the files that may not be in it and are. */
export async function measureSize({ entry, names, without = [], but = [], only = '' }) {
  const { code, modules } = await bundle(
    names === '*' ? `export * from '${entry}'` : `export { ${names} } from '${entry}'`,
  )
  return {
    bytes: compressed(code),
    minified: Buffer.byteLength(code),
    foreign: modules.filter(
      (path) => !path.startsWith(only) || (without.some((folder) => path.startsWith(folder)) && !but.includes(path)),
    ),
  }
}

/** The code of a bundle, and the files of which something is in it. */
export async function bundle(source, kind = 'production') {
  const id = '\0size-entry'
  const { output } = await build({
    configFile: false,
    root,
    logLevel: 'error',
    resolve: {
      alias: Object.entries(entries).map(([name, path]) => ({
        find: new RegExp(`^${name}$`),
        replacement: `${root}${path}`,
      })),
    },
    plugins: [
      readAs(kind),
      {
        name: 'size-entry',
        resolveId: (asked) => (asked === 'size-entry' ? id : undefined),
        load: (asked) => (asked === id ? source : undefined),
      },
    ],
    build: {
      write: false,
      target: 'es2022',
      modulePreload: false,
      rollupOptions: {
        input: 'size-entry',
        external: (asked) => frameworks.some((name) => asked === name || asked.startsWith(`${name}/`)),
        preserveEntrySignatures: 'strict',
        output: { format: 'es' },
      },
    },
  })
  const chunks = output.filter(({ type }) => type === 'chunk')
  const modules = chunks.flatMap(({ modules }) =>
    Object.entries(modules)
      .filter(([, { renderedLength }]) => renderedLength > 0)
      .map(([path]) => relative(root, path).split(sep).join('/')),
  )
  return { code: chunks.map(({ code }) => code).join(''), modules }
}

function compressed(code) {
  return brotliCompressSync(code, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: Buffer.byteLength(code) },
  }).length
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  readFlags(import.meta.url)
  const shown = (bytes) => (bytes === undefined ? '' : (bytes / 1024).toFixed(2))
  const foreignCode = []
  console.log('| import | minified KiB | brotli KiB | budget KiB | aim KiB |\n|---|---:|---:|---:|---:|')
  for (const each of budgets) {
    const { bytes, minified, foreign } = await measureSize(each)
    const over = bytes > each.budget
    console.log(
      `| ${each.title} | ${shown(minified)} | ${shown(bytes)} | ${shown(each.budget)}${over ? ', **over**' : ''} | ${shown(each.aim)} |`,
    )
    if (foreign.length > 0) foreignCode.push(`'${each.title}' holds code that it has no use for: ${foreign.join(', ')}`)
    if (over || foreign.length > 0) process.exitCode = 1
  }
  const layer = await measureAppLayer()
  console.log(
    `\ntidemark() over the functions that it uses: ${shown(layer)} KiB of ${shown(appLayer.budget)}, aim ${shown(appLayer.aim)}${layer > appLayer.budget ? ', **over**' : ''}`,
  )
  if (layer > appLayer.budget) process.exitCode = 1
  const sync = await measureSyncLayer()
  console.log(
    `tidemark/sync over the core: ${shown(sync)} KiB of ${shown(syncLayer.budget)}, aim ${shown(syncLayer.aim)}${sync > syncLayer.budget ? ', **over**' : ''}`,
  )
  if (sync > syncLayer.budget) process.exitCode = 1
  console.log('\n| an app that syncs | brotli KiB | budget KiB | without sync |\n|---|---:|---:|---:|')
  for (const use of syncedUses) {
    const { bytes, local } = await measureUse(use)
    const isOver = bytes > use.budget
    console.log(
      `| ${use.title} | ${shown(bytes)} | ${shown(use.budget)}${isOver ? ', **over**' : ''} | ${shown(local)} |`,
    )
    if (isOver) process.exitCode = 1
  }
  console.log(['', ...foreignCode].join('\n'))
}
