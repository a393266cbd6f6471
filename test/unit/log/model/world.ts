/** Two instances of one store, as two tabs have them, beside the reference log. */
import { vi } from 'vitest'
import { deleteEventStore, openEventStore, type TidemarkStore } from 'tidemark'
import { systemClock } from '../../../../src/platform/clock.js'
import { openConnections, takeAway } from '../inject-faults.js'
import { collect, type History } from './operations.js'
import type { ReferenceLog } from './reference-log.js'

/** What should be so. */
export type Model = History

/** How far the clock of every store is ahead of that of the machine, ms. */
let ahead = 0

/** Sets the clock of every store, until the spies are restored. The pauses between tries are a tenth as long. */
export function setClock(): void {
  const now = performance.now.bind(performance)
  vi.spyOn(performance, 'now').mockImplementation(() => now() + ahead)
  const { schedule } = systemClock
  vi.spyOn(systemClock, 'schedule').mockImplementation((ms, work) => schedule(ms < 1_000 ? ms / 10 : ms, work))
}

/** Minutes pass: a store that failed to open too often tries again as it did at first (H28). */
export function letTimePass(): void {
  ahead += 10 * 60_000
}

export class World {
  readonly name: string
  readonly stores: [TidemarkStore, TidemarkStore]

  private constructor(name: string, stores: [TidemarkStore, TidemarkStore]) {
    this.name = name
    this.stores = stores
  }

  static async open(name: string): Promise<World> {
    return new World(name, [await openEventStore({ name }), await openEventStore({ name })])
  }

  get database(): string {
    return `tidemark:${this.name}`
  }

  get spareDatabase(): string {
    return `tidemark:${this.name}-spare`
  }

  /** Puts a new instance in the place of one that is closed or lost. */
  async reopen(on: 0 | 1): Promise<void> {
    await this.stores[on].close()
    this.stores[on] = await openEventStore({ name: this.name })
  }

  /** Makes an empty database of the right form, to be put in the place of the real one. */
  async prepareSpare(): Promise<void> {
    takeAway(this.spareDatabase)
    await (await openEventStore({ name: `${this.name}-spare` })).close()
  }

  /** The whole log, through a connection of its own that no fault touched. */
  async observe(): Promise<ReferenceLog> {
    const observer = await openEventStore({ name: this.name })
    try {
      return await collect(observer.read())
    } finally {
      await observer.close()
    }
  }

  async dispose(): Promise<void> {
    for (const store of this.stores) await store.close()
    const left = openConnections(this.database)
    if (left > 0) throw new Error(`${left} connections are left after every instance was closed (I8)`)
    await deleteEventStore(this.name)
    takeAway(this.spareDatabase)
  }
}
