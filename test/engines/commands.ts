/** What a test may ask of the machine that its browser runs on. */
import { fileURLToPath } from 'node:url'
import { build, type Rollup } from 'vite'
import type { BrowserCommand } from 'vitest/node'
import { readAs } from '../../scripts/builds.mjs'
import type { Storage } from './engine.js'
import type { EngineRun } from './provider.js'

/** Where the IndexedDB of an origin lies on disk. */
export const storageOnDisk: BrowserCommand<[origin: string]> = (context, origin): Promise<Storage> => {
  const { engine, profile } = context as typeof context & EngineRun
  return engine.storageOnDisk(profile, origin)
}

/** Name and version of the engine. */
export const engineVersion: BrowserCommand<[]> = (context): string => (context as typeof context & EngineRun).version

const source = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/**
 * A file of the project and all that it imports, as one module. For workers that are started again and again: Vite's server
 * gives out each file by itself, and a worker that loads a hundred of them takes much longer than what it is started for.
 */
export const bundled: BrowserCommand<[file: string]> = async (_context, file): Promise<string> => {
  const { output } = (await build({
    configFile: false,
    logLevel: 'error',
    plugins: [readAs('development')],
    resolve: { alias: [{ find: /^tidemark$/, replacement: source('src/index.ts') }] },
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      modulePreload: false,
      rollupOptions: { input: source(file), preserveEntrySignatures: 'strict', output: { format: 'es' } },
    },
  })) as Rollup.RollupOutput
  return output[0].code
}

declare module 'vitest/browser' {
  interface BrowserCommands {
    bundled(file: string): Promise<string>
    engineVersion(): Promise<string>
    storageOnDisk(origin: string): Promise<Storage>
  }
}

declare module 'vitest' {
  interface TaskMeta {
    /** Name and version of the engine that ran the test. */
    engine?: string
  }
  interface ProvidedContext {
    /** Where the databases of this project's engine have to be found. */
    storage: Storage
    /** The engine whose tabs storm. */
    stormOn: string
    /** The major version of React that the project has. */
    react: string
  }
}
