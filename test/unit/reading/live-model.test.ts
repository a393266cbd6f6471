// Live queries in two tabs over one read model, under random commits, rebuilds, replays and changes of the leader, and
// with hints that are lost, late, doubled, merged and made up: no query misses a change for longer than one look, and
// none shows reads of two commits.
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import {
  defineEvents,
  defineProjection,
  openEventStore,
  openReadModel,
  startProjection,
  table,
  type LiveQuery,
  type LiveTable,
  type ProjectionHandle,
  type ReadModel,
} from 'tidemark'
import { storeInternals } from '../../../src/log/open.js'
import type { Hint } from '../../../src/platform/signals.js'
import { joinChanges } from '../../../src/read-model/committed-hint.js'
import { virtualClock, type VirtualClock } from '../../../src/testing/virtual-clock.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

/** A search for what is not known yet, with another seed each time: `TIDEMARK_MODEL_RUNS=500`. */
const runs = process.env['TIDEMARK_MODEL_RUNS']
const parameters =
  runs === undefined
    ? { seed: 20261129, numRuns: 40 }
    : { seed: Math.trunc(Math.random() * 2 ** 31), numRuns: Number(runs) }

type Event =
  | { type: 'Put'; data: { id: number; rank: number } }
  | { type: 'Gone'; data: { id: number } }
  | { type: 'Bad'; data: { id: number } }
const events = defineEvents<Event>()

interface Row {
  id: number
  rank: number
  n: number
  tags: number[]
}

let isHealed = false
/** What a query that reads one row after the other waits for between its reads. */
let between: { readonly passed: Promise<void>; open(): void } | undefined
/** Every event writes both tables, so that reads of two commits show. */
const model = () =>
  defineProjection(events, {
    name: 'model',
    tables: {
      rows: table<Row>()({
        key: 'id',
        indexes: {
          byRank: 'rank',
          byBoth: ['rank', 'n'],
          byTag: { path: 'tags', multiEntry: true } as unknown as 'rank',
        },
      }),
      last: table<{ id: 'last'; n: number; rows: number }>({ key: 'id' }),
      packs: table<{ id: number; n: number }>({ key: 'id' }),
    },
    on: {
      Put: async ({ data: { id, rank }, position: n }, { rows, packs, last }) => {
        rows.put({ id, rank, n, tags: [rank, id] })
        packs.put({ id, n })
        await last.update('last', (row) => ({ id: 'last', n, rows: (row?.rows ?? 0) + 1 }))
      },
      Gone: ({ data: { id } }, { rows, packs }) => {
        rows.delete(id)
        packs.delete(id)
      },
      Bad: ({ data: { id }, position: n }, { rows, packs }) => {
        if (!isHealed) throw new TypeError('made to fail')
        rows.put({ id, rank: 0, n, tags: [] })
        packs.put({ id, n })
      },
    },
    onFailure: () => 'park',
  })
type Model = ReturnType<typeof model>['tables']

/** What is asked, as a live query and once. */
interface Asked {
  readonly live: (view: ReadModel<Model>) => LiveQuery<unknown>
  readonly once: (view: ReadModel<Model>) => Promise<unknown>
}
const windows = fc.record(
  {
    index: fc.constantFrom('byRank' as const, 'byBoth' as const, 'byTag' as const),
    direction: fc.constantFrom('next' as const, 'prev' as const),
    limit: fc.integer({ min: 1, max: 4 }),
  },
  { requiredKeys: [] },
)
const id = fc.integer({ min: 0, max: 7 })
const rank = fc.integer({ min: 0, max: 3 })
const asked: fc.Arbitrary<Asked> = fc.oneof(
  id.map((key) => ({
    live: (view: ReadModel<Model>) => view.rows.liveRow(key),
    once: (view: ReadModel<Model>) => view.rows.get(key),
  })),
  fc.tuple(windows, fc.option(rank, { nil: undefined })).map(([window, from]) => {
    const range = from === undefined ? {} : { lower: window.index === 'byBoth' ? [from] : from }
    const options = { ...window, range }
    const anyRows = (view: ReadModel<Model>): LiveTable<object> => view.rows
    return {
      live: (view: ReadModel<Model>) => anyRows(view).live(options),
      once: (view: ReadModel<Model>) => anyRows(view).getAll(options),
    }
  }),
  fc.constant({
    live: (view: ReadModel<Model>) => view.packs.liveCount(),
    once: (view: ReadModel<Model>) => view.packs.count(),
  }),
  fc.array(id, { minLength: 1, maxLength: 3 }).map((keys) => ({
    live: (view: ReadModel<Model>) => view.live(['many', keys], ({ packs }) => packs.getMany(keys)),
    once: (view: ReadModel<Model>) => view.packs.getMany(keys),
  })),
  // Changes may come while it runs.
  id.map((key) => ({
    live: (view: ReadModel<Model>) =>
      view.live(['held', key], async ({ rows }) => {
        const found = await rows.getAll({ index: 'byRank', range: { lower: key % 3 }, limit: 2 })
        await between?.passed
        return found
      }),
    once: (view: ReadModel<Model>) => view.rows.getAll({ index: 'byRank', range: { lower: key % 3 }, limit: 2 }),
  })),
  // Reads one after the other.
  id.map((key) => ({
    live: (view: ReadModel<Model>) =>
      view.live(['pair', key], async ({ rows, packs }) => {
        const row = await rows.get(key)
        await between?.passed
        return [row?.n, (await packs.get(key))?.n]
      }),
    once: async (view: ReadModel<Model>) => [(await view.rows.get(key))?.n, (await view.packs.get(key))?.n],
  })),
)

type Command =
  | { readonly do: 'append'; readonly tab: 0 | 1; readonly events: readonly Event[] }
  | { readonly do: 'subscribe'; readonly tab: 0 | 1; readonly asked: Asked }
  | { readonly do: 'leave'; readonly nth: number }
  | {
      readonly do: 'hints'
      readonly how: 'deliver' | 'lose' | 'double' | 'late' | 'merge' | 'forge'
      readonly n: number
    }
  | { readonly do: 'rebuild' | 'replay' | 'lead' | 'look' | 'turn' | 'hold' | 'let go' }

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(id, rank).map(([id, rank]) => events.Put({ id, rank }) as Event),
  },
  { weight: 2, arbitrary: id.map((id) => events.Gone({ id }) as Event) },
  { weight: 1, arbitrary: id.map((id) => events.Bad({ id }) as Event) },
)
const tab = fc.constantFrom(0 as const, 1 as const)
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      tab,
      events: fc.array(event, { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('subscribe' as const), tab, asked }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), nth: fc.nat(9) }) },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('hints' as const),
      how: fc.constantFrom('deliver', 'deliver', 'lose', 'double', 'late', 'merge', 'forge'),
      n: fc.nat(20),
    }) as fc.Arbitrary<Command>,
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('rebuild', 'replay', 'lead', 'look', 'turn', 'hold', 'hold', 'let go'),
    }) as fc.Arbitrary<Command>,
  },
)

type Committed = Extract<Hint, { kind: 'committed' }>

interface Watched {
  readonly tab: 0 | 1
  readonly asked: Asked
  readonly live: LiveQuery<unknown>
  stop(): void
}

/** Two tabs, and what one hears of the other, hint by hint. */
class Tabs {
  readonly clocks: readonly [VirtualClock, VirtualClock] = [virtualClock(), virtualClock()]
  readonly stores: Awaited<ReturnType<typeof openStore>>[] = []
  readonly views: ReadModel<Model>[] = []
  readonly #waiting: { readonly to: 0 | 1; readonly hint: Hint }[] = []
  readonly #old: Committed[] = []
  readonly #tell: ((hint: Hint) => void)[] = []
  readonly watched: Watched[] = []
  readonly torn: unknown[] = []
  leader: 0 | 1 = 0
  projection!: ProjectionHandle

  async open(): Promise<void> {
    const name = `live-model-${crypto.randomUUID()}`
    for (const tab of [0, 1] as const) {
      const store = await openStore(name)
      this.stores.push(store)
      const { signals } = storeInternals(store)
      const post = signals.post.bind(signals)
      this.#tell.push(post)
      Object.assign(signals, {
        post: (hint: Hint) => {
          post(hint)
          const changes = hint.kind === 'committed' ? { changes: joinChanges(undefined, hint.changes) } : {}
          this.#waiting.push({
            to: tab === 0 ? 1 : 0,
            hint: structuredClone({ ...hint, ...changes }),
          })
          if (hint.kind === 'committed') this.#old.push(structuredClone({ ...hint, ...changes }))
        },
      })
      this.views.push(await openReadModel(store, model(), { clock: this.clocks[tab] }))
    }
    this.#lead(0)
  }

  #lead(tab: 0 | 1): void {
    this.leader = tab
    const store = this.stores[tab] as (typeof this.stores)[0]
    this.projection = startProjection(store, model(), { clock: this.clocks[tab] })
  }

  get clock(): VirtualClock {
    return this.clocks[this.leader]
  }

  async catchUp(): Promise<void> {
    const head = await (this.stores[0] as (typeof this.stores)[0]).head()
    await this.clock.runUntil(this.projection.caughtUp(head, { timeout: 600_000 }))
  }

  hints(how: Extract<Command, { do: 'hints' }>['how'], n: number): void {
    const waiting = this.#waiting
    const at = waiting.length === 0 ? 0 : n % waiting.length
    const one = waiting[at]
    if (how === 'lose') waiting.splice(at, 1)
    else if (how === 'deliver') {
      const next = waiting.shift()
      if (next !== undefined) this.#tell[next.to]?.(next.hint)
    } else if (how === 'late' && one !== undefined) {
      // The one that was posted after it comes first.
      waiting.splice(at, 1)
      waiting.push(one)
    } else if (how === 'double' && one !== undefined) this.#tell[one.to]?.(structuredClone(one.hint))
    else if (how === 'merge') this.#merge()
    else if (how === 'forge') this.#forge(n)
  }

  #merge(): void {
    const [before, after] = this.#waiting
    if (before?.hint.kind !== 'committed' || after?.hint.kind !== 'committed' || before.to !== after.to) return
    if (before.hint.to !== after.hint.from || before.hint.to === '') return
    const changes = joinChanges(before.hint.changes, after.hint.changes)
    const hint: Committed = {
      ...after.hint,
      from: before.hint.from,
      changes: structuredClone(changes),
    }
    this.#waiting.splice(0, 2, { to: after.to, hint })
  }

  /** A hint made of parts of others, as another script may post it: it knows no stamp that was not posted yet. */
  #forge(n: number): void {
    const one = this.#old[n % Math.max(1, this.#old.length)]
    const other = this.#old[(n * 7 + 3) % Math.max(1, this.#old.length)]
    const tell = this.#tell[n % 2]
    if (one === undefined || other === undefined || tell === undefined) return
    const forged: Committed[] = [
      { ...one, from: other.to, to: one.from },
      { ...one, revision: other.revision + 100, from: 'made up', to: 'made up as well' },
      { ...one, to: '', from: other.from },
      { ...other, changes: 'unknown' },
      { ...other, from: '', changes: new Map() },
    ]
    tell(structuredClone(forged[n % forged.length] as Committed))
  }

  async subscribe(tab: 0 | 1, asked: Asked): Promise<void> {
    const live = asked.live(this.views[tab] as ReadModel<Model>)
    const look = () => {
      const snapshot = live.getSnapshot()
      if (snapshot.status !== 'ready' || snapshot.stale || !Array.isArray(snapshot.data)) return
      const [left, right] = snapshot.data as unknown[]
      if (typeof left === 'number' && typeof right === 'number' && left !== right) this.torn.push([left, right])
    }
    this.watched.push({ tab, asked, live, stop: live.subscribe(look) })
    await this.clocks[tab].advance(0)
  }

  async replay(): Promise<void> {
    isHealed = true
    for await (const letter of this.projection.deadLetters()) await letter.replay()
    isHealed = false
  }

  async takeOver(): Promise<void> {
    await this.projection.stop()
    this.#lead(this.leader === 0 ? 1 : 0)
    await this.catchUp()
  }

  hold(): void {
    let open = () => {}
    const passed = new Promise<void>((resolve) => (open = resolve))
    between ??= { passed, open }
  }

  letGo(): void {
    between?.open()
    between = undefined
  }

  /** One look in each tab; nothing is committed meanwhile, and no hint arrives. */
  async look(): Promise<void> {
    await this.catchUp()
    this.letGo()
    for (const clock of this.clocks) await clock.advance(5_000)
    for (const { live, asked, tab } of this.watched) {
      const expected = await asked.once(this.views[tab] as ReadModel<Model>)
      const state = async () => {
        await this.clocks[tab].advance(0)
        const { status, data, stale } = live.getSnapshot()
        return { status, data, stale }
      }
      // What runs is let end; it is not asked to run again.
      for (let turn = 0; turn < 20 && (await state()).status !== 'ready'; turn += 1);
      expect(await state()).toEqual({ status: 'ready', data: expected, stale: false })
    }
  }

  async do(command: Command): Promise<void> {
    switch (command.do) {
      case 'append':
        await this.stores[command.tab]?.append('s', command.events as never)
        return this.catchUp()
      case 'subscribe':
        return this.subscribe(command.tab, command.asked)
      case 'leave':
        return this.watched.splice(command.nth % Math.max(1, this.watched.length), 1)[0]?.stop()
      case 'hints':
        return this.hints(command.how, command.n)
      case 'rebuild':
        return this.clock.runUntil(this.projection.rebuild())
      case 'replay':
        return this.replay()
      case 'lead':
        return this.takeOver()
      case 'look':
        return this.look()
      case 'hold':
        return this.hold()
      case 'let go':
        return this.letGo()
      case 'turn':
        for (const clock of this.clocks) await clock.advance(0)
    }
  }

  async close(): Promise<void> {
    this.letGo()
    for (const { stop } of this.watched) stop()
    await this.projection.stop()
    for (const view of this.views) await view.close()
    for (const store of this.stores) await store.close()
  }
}

/** Hears no other tab but through the test. */
async function openStore(name: string) {
  vi.stubGlobal('BroadcastChannel', undefined)
  try {
    return await openEventStore({ name, events })
  } finally {
    vi.unstubAllGlobals()
  }
}

test(
  'no live query misses a change for longer than one look, or shows reads of two commits',
  { timeout: 120_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(tab, asked), { minLength: 4, maxLength: 12, size: 'max' }),
        fc.array(command, { minLength: 5, maxLength: 25, size: 'max' }),
        async (first, commands) => {
          const tabs = new Tabs()
          try {
            await tabs.open()
            for (const [tab, asked] of first) await tabs.subscribe(tab, asked)
            for (const command of commands) await tabs.do(command)
            await tabs.look()
            expect(tabs.torn).toEqual([])
          } finally {
            await tabs.close()
          }
        },
      ),
      parameters,
    )
  },
)
