/** A browser engine that the suites run on, with a profile on disk. */

/** How an engine keeps IndexedDB, told apart by what lies in the profile. */
export type Storage = 'leveldb' | 'sqlite' | 'firefox' | 'webkit' | 'none'

export interface Engine {
  /** The vitest project: `vitest run --project <name>`. */
  readonly name: string
  /** The family, as vitest knows it. */
  readonly browser: 'chromium' | 'firefox' | 'webkit'
  /** Where its IndexedDB has to be found, so that a run proves what it says. */
  readonly storage: Storage
  /** Starts it on a page. The profile is an empty folder. Throws if the engine is missing, with what to do. */
  start(url: string, profile: string): Promise<RunningEngine>
  /** Where the IndexedDB of an origin lies in a profile. */
  storageOnDisk(profile: string, origin: string): Promise<Storage>
}

export interface RunningEngine {
  /** Name and version, for people. */
  readonly version: string
  /** Ends it with all its processes. */
  stop(): Promise<void>
}
