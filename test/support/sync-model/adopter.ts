/** A context that adopts the local store of a device: the real code, stepped by the schedule between any two steps. */
import type { TidemarkStore } from '../../../src/log/open.js'
import { adoptStore } from '../../../src/sync/adopt-store.js'
import type { MemorySyncStorage } from '../../../src/sync/memory/memory-sync-storage.js'
import { OutboxIndex } from '../../../src/sync/outbox-index.js'
import { syncParts, type SyncParts } from '../../../src/sync/sync-parts.js'
import type { SyncedStore } from '../../../src/sync/synced-store.js'
import type { SyncSnapshot } from '../../../src/sync/sync-state.js'
import type { Changed } from '../../../src/sync/sync-storage.js'

export interface AdopterHost {
  readonly storage: MemorySyncStorage
  stored(changed: Changed, before: SyncSnapshot): void
  fail(what: string): never
}

/** Pauses between tries of a request. All other spans are deadlines, which pass when the schedule wants it. */
const pauses = [2000, 4000]

type Resume = (response: Response) => Promise<void>

export class Adopter {
  /** The next step, until it is taken. */
  #gate: (() => void) | undefined
  #asked: { readonly request: Request; readonly resume: Resume } | undefined
  readonly #timers = new Set<() => void>()
  #rests = () => {}
  #resting: Promise<void> = Promise.resolve()
  #isOver = false
  /** What it failed with. */
  #error: unknown

  constructor(host: AdopterHost, local: TidemarkStore) {
    this.#begin()
    const synced = { [syncParts]: this.#parts(host) } as unknown as SyncedStore<never>
    void adoptStore(local as TidemarkStore<never>, synced)
      .catch((error: unknown) => (this.#error = error))
      .finally(() => {
        this.#isOver = true
        this.#rests()
      })
  }

  /** @throws what it failed with */
  get isOver(): boolean {
    if (this.#error !== undefined) throw this.#error
    return this.#isOver
  }

  get isAsking(): boolean {
    return this.#asked !== undefined && this.#gate === undefined
  }

  /** Resolves when it waits for the schedule, or is over. */
  async rest(): Promise<void> {
    await this.#resting
  }

  /** Takes the next step. Returns whether there was one. */
  async step(): Promise<boolean> {
    const gate = this.#gate
    if (gate === undefined) return false
    this.#gate = undefined
    this.#begin()
    gate()
    await this.rest()
    return true
  }

  /** A request that is to leave, once, and what is to be called with the response. */
  request(): { readonly request: Request; readonly resume: Resume } | undefined {
    const asked = this.#asked
    this.#asked = undefined
    return asked
  }

  /** All deadlines pass. */
  async giveUp(): Promise<void> {
    const timers = [...this.#timers]
    if (timers.length === 0 || this.#gate !== undefined || this.#isOver) return
    this.#timers.clear()
    this.#asked = undefined
    this.#begin()
    for (const passed of timers) passed()
    await this.rest()
  }

  #begin(): void {
    this.#resting = new Promise((resolve) => (this.#rests = resolve))
  }

  #next(): Promise<void> {
    return new Promise((resolve) => {
      this.#gate = resolve
      this.#rests()
    })
  }

  #parts({ storage, stored }: AdopterHost): SyncParts {
    const parts: Pick<SyncParts, 'name' | 'storage' | 'outbox' | 'remote' | 'clock' | 'closed' | 'assertOpen'> = {
      name: 'synced',
      storage,
      outbox: {
        fresh: async () => {
          await this.#next()
          return { ...(await storage.loadOwn(0)), ownFrom: 0 }
        },
        facts: (append) => storage.facts(append),
        change: async (from, rule) => {
          await this.#next()
          const before = await storage.load()
          const changed = await storage.change(from, rule)
          stored(changed, before)
          return changed
        },
        indexOf: ({ outbox }) => new OutboxIndex(outbox),
      },
      remote: { url: 'http://model.test/log', fetch: (input, init) => this.#fetch(input as string, init) },
      clock: {
        now: () => 1,
        monotonic: () => 0,
        random: () => 0.5,
        schedule: (ms, callback) => {
          if (pauses.includes(ms)) void this.#next().then(callback)
          else this.#timers.add(callback)
          return () => this.#timers.delete(callback)
        },
      },
      closed: new AbortController().signal,
      assertOpen: () => {},
    }
    return parts as SyncParts
  }

  #fetch(url: string, { signal, ...init }: RequestInit = {}): Promise<Response> {
    // What was given up arrives nevertheless.
    const request = new Request(url, init)
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      const resume = async (response: Response) => {
        if (signal?.aborted === true || this.#isOver) return
        this.#begin()
        resolve(response)
        await this.rest()
      }
      this.#asked = { request, resume }
      this.#rests()
    })
  }
}
