/** An app between its first use and its end: which store it has open, and what follows that. */
import { ClosedError, hasCode } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { TidemarkStore } from '../log/open.js'
import { say } from '../messages.js'
import { assertAvailable, isMissing } from '../platform/indexeddb.js'
import { listenerSet } from '../platform/listeners.js'
import { attempts, type AttemptHooks, type Attempts } from './attempts.js'
import { startApp, type AppConfig, type HotRun, type Opened } from './open-app.js'
import { joinApps, nextApp, type OpenApp } from './take-over.js'
import { isObject } from '../platform/objects.js'

export class AppCore<E extends EventShape> {
  readonly config: AppConfig<E>
  /** Subscriptions: called whenever what is open, or why nothing is, is another one. */
  readonly #changes = listenerSet()
  /** As {@link #changes}, for what is no subscription. */
  readonly watching = listenerSet()
  /** Called when the app ends for good. */
  readonly ended = listenerSet()
  readonly #tellError: (error: unknown) => void
  readonly #told = new WeakSet<object>()
  readonly #entry: OpenApp | undefined
  #attempts: Attempts<Opened<E>>
  #ends: Promise<unknown> = Promise.resolve()
  #closed: unknown

  constructor(config: AppConfig<E>, tellError: (error: unknown) => void) {
    this.config = config
    this.#tellError = tellError
    this.#entry = __DEV__
      ? {
          made: nextApp(),
          ranAt: config.clock.now(),
          isHot: config.hot,
          end: () => this.#end(new ClosedError(say`The app was replaced by newer code, and`)),
        }
      : undefined
    this.#attempts = this.#newAttempts()
  }

  /** What is open, if anything is. */
  get opened(): Opened<E> | undefined {
    return this.#closed === undefined ? this.#attempts.value() : undefined
  }

  /** What is open, is being opened, or will be: another object after a reopening. */
  get of(): object {
    return this.#attempts
  }

  /** Why nothing is open, or never will be. On a server the app is not open, and that is no failure. */
  get failure(): unknown {
    return this.#closed ?? (this.#isServer ? undefined : this.#attempts.error())
  }

  get phase(): 'idle' | 'opening' | 'failed' | 'closed' | 'open' {
    if (this.#closed !== undefined) return 'closed'
    if (this.opened !== undefined) return 'open'
    if (this.failure !== undefined) return 'failed'
    return this.#attempts.isUnderWay() && !this.#isServer ? 'opening' : 'idle'
  }

  /** For a call of the app. */
  use(): Promise<Opened<E>> {
    return this.#closed === undefined ? this.#attempts.use() : Promise.reject(this.#closed)
  }

  /** For a subscription, which counts as long as it lasts. Returns how to end it. */
  follow(listener: () => void): () => void {
    const remove = this.#changes.add(listener)
    if (this.#closed === undefined) {
      this.#attempts.want()
      for (const { view } of this.opened?.models.values() ?? []) view.want()
    }
    return remove
  }

  /** An error that no promise carries: told once. */
  readonly failed = (error: unknown): void => {
    if (hasCode(error, 'closed')) return
    if (isObject(error)) {
      if (this.#told.has(error)) return
      this.#told.add(error)
    }
    this.#tellError(error)
  }

  async ready(): Promise<TidemarkStore<E>> {
    const { store, models } = await this.use()
    await Promise.all([...models.values()].map(({ view }) => view.use()))
    return store
  }

  reopen(): Promise<TidemarkStore<E>> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    const former = this.#attempts
    this.#ends = Promise.all([this.#ends, endOf(former)])
    this.#attempts = this.#newAttempts()
    const ready = this.#readyAtLast()
    this.#tell()
    return ready
  }

  /** As `ready`, of the last one where it is reopened once more meanwhile: the store before that is closed. */
  async #readyAtLast(): Promise<TidemarkStore<E>> {
    for (;;) {
      const { of } = this
      try {
        const store = await this.ready()
        if (of === this.of) return store
      } catch (error) {
        if (of === this.of) throw error
      }
    }
  }

  close(): Promise<void> {
    return this.#end(new ClosedError(say`The app`))
  }

  async #end(reason: unknown): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = reason
      this.#ends = Promise.all([this.#ends, endOf(this.#attempts)])
      this.#tell()
      this.ended.tell()
    }
    await this.#ends
  }

  #tell(): void {
    this.watching.tell()
    this.#changes.tell()
  }

  get #isServer(): boolean {
    return this.config.needsIndexedDb && isMissing()
  }

  #newAttempts(): Attempts<Opened<E>> {
    const hooks: AttemptHooks = {
      clock: this.config.clock,
      isWanted: () => this.#changes.size > 0,
      changed: () => this.#tell(),
      failed: this.failed,
    }
    return attempts(hooks, () => this.#open(hooks))
  }

  async #open(hooks: AttemptHooks): Promise<Opened<E>> {
    const { config } = this
    if (this.#isServer) assertAvailable(say`opening an app`)
    // Before anything is waited for: what is called now is meant for this name.
    const name = typeof config.name === 'function' ? config.name() : config.name
    const open = config.opener()
    await this.#ends
    const { events, durability, codec } = config
    const start = async (hot?: HotRun) => {
      if (this.#closed !== undefined) throw this.#closed
      const store = await open({
        name,
        events,
        ...(durability !== undefined && { durability }),
        ...(codec !== undefined && { codec }),
      })
      return startApp(store, config, hooks, hot)
    }
    if (__DEV__ && this.#entry) {
      const { leave, run } = await joinApps(name, this.#entry)
      const opened = await start(run).catch((error: unknown) => {
        leave()
        throw error
      })
      return {
        ...opened,
        close() {
          leave()
          return opened.close()
        },
      }
    }
    return start()
  }
}

/** Closes what was opened, or is being opened. */
const endOf = async (attempts: Attempts<{ close(): Promise<void> } & object>): Promise<void> =>
  (await attempts.end())?.close()
