/** What an entry of the package adds to the app of the core. The core adds nothing, so it pays for nothing. */
import type { EventShape } from '../events/event.js'
import type { EventStoreOptions, TidemarkStore } from '../log/open.js'
import type { Clock } from '../platform/clock.js'
import type { CatchUpOptions, CatchUpResult } from './app-types.js'
import type { FormerRows } from './former-rows.js'
import type { Tables } from '../read-model/define.js'
import type { ViewCalls, ViewPorts } from '../reading/view-calls.js'
import type { Subscribe } from './while-open.js'

/** Opens the store of an app. */
export type OpenStore<E extends EventShape> = (options: EventStoreOptions<E>) => Promise<TidemarkStore<E>>

/** An app, as its members see it: see `AppCore`. `O` is what is open. */
export interface AppPorts<O> {
  readonly config: { readonly clock: Clock }
  /** What is open, if anything is. */
  readonly opened: O | undefined
  /** What stays on the screen while newer code takes over, in the development build. */
  readonly formerRows?: FormerRows | undefined
  /** Why nothing is open, or never will be. On a server the app is not open, and that is no failure. */
  readonly failure: unknown
  /** While nothing is open. */
  readonly phase: 'idle' | 'opening' | 'failed' | 'closed'
  /** For a call of the app. The same promise until another store is to be opened, or opening failed. */
  use(): Promise<O>
  /** For a subscription, which counts as long as it lasts. Calls back whenever another one is open, or nothing is. */
  readonly follow: Subscribe
  /** An error that no promise carries: told once. */
  readonly failed: (error: unknown) => void
}

/** The members of every app that an entry may put something around. */
export interface AppBase {
  append(...given: readonly unknown[]): Promise<object>
  execute(command: never, options?: object): Promise<object>
  catchUp(options?: CatchUpOptions): Promise<CatchUpResult>
  ready(): Promise<object>
  reopen(): Promise<object>
}

/** What is added, and how the stores of such an app are opened. */
export interface AppKind<E extends EventShape> {
  /** Options in addition to those of every app, which the entry checks. */
  readonly options?: readonly string[]
  /**
   * Gets the option `open` of the app. What it returns is called whenever the app is opened: it reads the options as they
   * are then, and returns the function that opens the store.
   */
  opener(open: OpenStore<E> | undefined): () => OpenStore<E>
  /** Adds methods to the tables of a model. */
  tables?(tables: object, calls: Pick<ViewCalls<Tables>, 'live'> & Pick<ViewPorts<Tables>, 'ask'>): void
  /** Properties of the app in addition to those of every app, or in the place of some of those. */
  members?(core: AppPorts<{ readonly store: TidemarkStore<E> }>, base: AppBase): object
  /**
   * Called with each store that is opened. Returns a function that undoes it, which is awaited before the store is closed.
   *
   * @param runs this context runs the models
   */
  attach?(store: TidemarkStore<E>, runs: boolean): (() => unknown) | undefined
}
