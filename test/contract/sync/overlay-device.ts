/** A device without a network, for tests of views over its outbox: what the server would do is done by calls. */
import { openReadModel, runProjection, type Projection, type Tables, type TidemarkStore } from 'tidemark'
import { storeInternals } from '../../../src/log/open.js'
import { anyEvents } from '../../../src/events/catalogue.js'
import type { Clock } from '../../../src/platform/clock.js'
import { firstState } from '../../../src/sync/change-rules.js'
import type { OutboxCopy, OutboxSource } from '../../../src/sync/outbox-copy.js'
import { overlays, type Overlays } from '../../../src/sync/overlay/overlays.js'
import type { OutboxRow, OwnRow, SyncState } from '../../../src/sync/sync-state.js'

/** An event of the tests: what it is called is its id. */
export interface TestEvent {
  readonly id: string
  readonly type: string
  readonly stream: string
  readonly data: unknown
}

/** The outbox of a device, and the log that its server would have. */
export class Device {
  state: SyncState
  outbox: OutboxRow[] = []
  own: OwnRow[] = []
  /** Confirmed, in this order. */
  readonly log: TestEvent[] = []
  readonly #tabs: Tab[] = []

  constructor(identity: string) {
    this.state = firstState(identity)
  }

  get tabs(): readonly Tab[] {
    return this.#tabs
  }

  addTab(tab: Tab): void {
    this.#tabs.push(tab)
  }

  /** Adds a commit. Resolves when the tab that appended knows. */
  async append(tab: Tab, events: readonly TestEvent[], more: Partial<OutboxRow> = {}): Promise<OutboxRow> {
    const n = Math.max(this.state.largestN, this.outbox.at(-1)?.n ?? 0) + 1
    const row: OutboxRow = { n, name: events[0]?.id ?? '', time: 0, expect: [], events: events.map(textOf), ...more }
    this.outbox = [...this.outbox, row]
    await tab.changed()
    return row
  }

  /** Changes commits of the outbox at their places; `undefined` removes one. */
  async change(tab: Tab, change: (row: OutboxRow) => OutboxRow | undefined): Promise<void> {
    this.#turn({})
    this.outbox = this.outbox.flatMap((row) => change(row) ?? [])
    await tab.changed()
  }

  /** Stores pulled events: own ones among them leave the outbox. */
  async pull(tab: Tab, events: readonly TestEvent[]): Promise<void> {
    for (const { id, type, stream, data } of events) await tab.store.append(stream, [{ type, data, id }])
    const own: OwnRow[] = []
    const confirmed = new Set(events.map(({ id }) => id))
    for (const row of this.outbox) {
      const [first] = row.events
      if (first === undefined || !confirmed.has(first.id)) continue
      const at = this.log.length + events.findIndex(({ id }) => id === first.id) + 1
      own.push({ at, n: row.events.length, name: row.name })
    }
    this.log.push(...events)
    this.#turn({ cursor: { at: this.log.length, chain: '' } })
    this.own = [...this.own, ...own.sort((left, right) => left.at - right.at)]
    this.outbox = this.outbox.filter(({ events: [first] }) => first === undefined || !confirmed.has(first.id))
    await tab.changed()
  }

  copy(after: number): OutboxCopy {
    const { state, outbox, own } = this
    return { state, outbox, own: own.filter(({ at, n }) => at + n - 1 > after), ownFrom: after }
  }

  #turn(more: Partial<SyncState>): void {
    const largestN = Math.max(this.state.largestN, this.outbox.at(-1)?.n ?? 0)
    this.state = { ...this.state, ...more, turn: this.state.turn + 1, largestN }
  }
}

export const textOf = ({ id, type, stream, data }: TestEvent): OutboxRow['events'][number] => ({
  type,
  stream,
  id,
  idGiven: true,
  time: 0,
  schema: 1,
  data: JSON.stringify(data),
  meta: undefined,
})

/** One context of a device, with views of its own. */
export class Tab {
  readonly store: TidemarkStore
  readonly overlays: Overlays
  readonly #listeners = new Set<() => void | Promise<void>>()

  constructor(device: Device, store: TidemarkStore) {
    this.store = store
    device.addTab(this)
    const source: OutboxSource = {
      copy: async ({ after }) => device.copy(after),
      subscribe: (listener) => {
        this.#listeners.add(listener)
        return () => this.#listeners.delete(listener)
      },
    }
    this.overlays = overlays({
      source,
      decoding: { catalogue: anyEvents, codec: undefined },
      readPage: (request, options) =>
        (store.readPage as (...given: unknown[]) => ReturnType<TidemarkStore['readPage']>)(request, options),
      streamVersion: (stream) => store.streamVersion(stream),
    })
    Object.assign(storeInternals(store), { overlay: this.overlays })
  }

  /** The outbox is another one: as a hint, or as the call that changed it. */
  async changed(): Promise<void> {
    await Promise.all([...this.#listeners].map((listener) => listener()))
  }

  view<T extends Tables>(definition: Projection<never, T>, clock?: Clock) {
    return openReadModel(this.store, definition as unknown as Projection<{ type: string; data: unknown }, T>, {
      ...(clock && { clock }),
    })
  }

  /** Applies confirmed events, so many at most. */
  run(definition: Projection<never, Tables>, maxEvents?: number) {
    return runProjection(this.store, definition as unknown as Projection, {
      retry: { maxRetries: 0 },
      batch: { maxEvents: 3 },
      ...(maxEvents !== undefined && { budget: { maxEvents } }),
    })
  }
}
