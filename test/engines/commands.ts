/** What a test may ask of the machine that its browser runs on. */
import type { BrowserCommand } from 'vitest/node'
import type { Storage } from './engine.js'
import type { EngineRun } from './provider.js'

/** Where the IndexedDB of an origin lies on disk. */
export const storageOnDisk: BrowserCommand<[origin: string]> = (context, origin): Promise<Storage> => {
  const { engine, profile } = context as typeof context & EngineRun
  return engine.storageOnDisk(profile, origin)
}

/** Name and version of the engine. */
export const engineVersion: BrowserCommand<[]> = (context): string => (context as typeof context & EngineRun).version

declare module 'vitest/browser' {
  interface BrowserCommands {
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
  }
}
