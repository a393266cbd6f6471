/** What an entry of the package adds to the app of the core. The core adds nothing, so it pays for nothing. */
import type { EventShape } from '../events/event.js'
import type { EventStoreOptions, TidemarkStore } from '../log/open.js'
import type { Clock } from '../platform/clock.js'
import type { CatchUpOptions } from './app-types.js'

/** Opens the store of an app. */
export type OpenStore<E extends EventShape> = (options: EventStoreOptions<E>) => Promise<TidemarkStore<E>>

/** What additional members of an app need of it: see `AppCore`. */
export interface AppPorts<E extends EventShape> {
  readonly config: { readonly clock: Clock }
  readonly opened: { readonly store: TidemarkStore<E> } | undefined
  readonly of: object
  readonly failure: unknown
  use(): Promise<{ readonly store: TidemarkStore<E> }>
  follow(listener: () => void): () => void
  readonly failed: (error: unknown) => void
}

/** What is added, and how the stores of such an app are opened. */
export interface AppKind<E extends EventShape> {
  /** Options in addition to those of every app, which the entry checks. */
  readonly options?: readonly string[]
  /**
   * Returns what is called whenever the app is opened: that looks up what the options say now, and returns how the store
   * is opened. `open` is the option of the app.
   */
  opener(open: OpenStore<E> | undefined): () => OpenStore<E>
  /** Properties of the app in addition. */
  members?(core: AppPorts<E>): object
  /** Called with each store that is opened. Returns how to end that, which is awaited before the store is closed. */
  attach?(store: TidemarkStore<E>): () => unknown
  /** Called before the models are run up to the head. */
  beforeCatchUp?(store: TidemarkStore<E>, options: CatchUpOptions): Promise<unknown>
  /**
   * How to wait after a write, for what no other kind has; nothing for any other word. It may take its own options out of
   * those of the write.
   */
  waits?(until: string, options: object): (<R extends object>(result: R) => Promise<R>) | undefined
}
