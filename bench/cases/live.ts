/** Live queries by the hundred: what a change costs those on screen, compared with Dexie's `liveQuery`. */
import Dexie, { liveQuery, type Table } from 'dexie'
import {
  defineEvents,
  defineProjection,
  deleteEventStore,
  openEventStore,
  openReadModel,
  startProjection,
  table,
} from 'tidemark'
import { countIndexedDb, type IndexedDbCounts, type IsLook } from '../page/requests.js'
import type { Case, Contender, Run, Sizes } from './case.js'

interface Item {
  readonly id: string
  readonly score: number
  /** How many events it saw: it changes with each of them. */
  readonly times: number
}
type ScoredEvent = { type: 'Scored'; data: { readonly id: string; readonly score: number } }

const itemCount = 1_000
/** Of the rows on screen none has such a score, nor does a window reach to it. */
const farAway = 1_000_000
const idOf = (n: number) => `item-${n}`
const windowOf = (n: number) => ({ lower: n, upper: n + 9 })

/** What a live query shows. */
type Shown = (rows: readonly Item[]) => void
/** One live query: the row of an id, or a window of rows by score. */
type Asked = { readonly id: string } | { readonly window: { readonly lower: number; readonly upper: number } }

/** Rows with live queries over them, of whatever make. */
interface Live {
  /** Appends an event, and resolves when it is stored. */
  change(id: string, score: number): Promise<void>
  /** Resolves when the rows of every change are committed. */
  settled(): Promise<unknown>
  /** Calls `shown` with the first answer, and with each later one. */
  subscribe(asked: Asked, shown: Shown): () => void
  close(): Promise<void>
}

interface LiveSystem {
  readonly name: string
  /** Which transactions come by the clock. @default none */
  readonly isLook?: IsLook
  open(): Promise<Live>
  destroy(): Promise<void>
}

const events = defineEvents<ScoredEvent>()
const projection = defineProjection(events, {
  name: 'items',
  tables: { items: table<Item>()({ key: 'id', indexes: { byScore: 'score' } }) },
  on: {
    Scored: ({ data }, { items }) => items.update(data.id, (row) => ({ ...data, times: (row?.times ?? 0) + 1 })),
  },
})

/** @param byFunction live queries are functions with code of their own, not options that the library knows */
function tidemark(name: string, byFunction: boolean): LiveSystem {
  const storeName = `live-${byFunction}`
  return {
    name,
    // Of the log whether it has grown, and of the read model whether its state is another one.
    isLook: (database, stores) => !database.includes(':items@') || stores.join() === 'tidemark:state',
    async open() {
      const store = await openEventStore({ name: storeName, events, durability: 'relaxed' })
      const running = startProjection(store, projection)
      const view = await openReadModel(store, projection)
      if ((await store.head()) === 0)
        await store.append(
          Array.from({ length: itemCount }, (_, n) => ({
            stream: idOf(n),
            events: [{ type: 'Scored' as const, data: { id: idOf(n), score: n } }],
          })),
        )
      await running.caughtUp(await store.head())
      const queryOf = (asked: Asked) =>
        'id' in asked
          ? byFunction
            ? view.live(({ items }) => items.get(asked.id))
            : view.items.liveRow(asked.id)
          : byFunction
            ? view.live(({ items }) => items.getAll({ index: 'byScore', range: asked.window }))
            : view.items.live({ index: 'byScore', range: asked.window })
      let appended = 0
      return {
        async change(id, score) {
          const written = { stream: id, events: [{ type: 'Scored' as const, data: { id, score } }] }
          appended = (await store.append(written)).position
        },
        settled: () => running.caughtUp(appended),
        subscribe(asked, shown) {
          const query = queryOf(asked)
          const look = () => {
            const { status, data } = query.getSnapshot()
            if (status === 'error') throw new Error('A live query failed')
            if (status === 'ready') shown(data === undefined ? [] : Array.isArray(data) ? data : [data as Item])
          }
          return query.subscribe(look)
        },
        async close() {
          await view.close()
          await running.stop()
          await store.close()
        },
      }
    },
    destroy: () => deleteEventStore(storeName),
  }
}

/** Events and rows in one transaction, as in the other cases. */
const dexie: LiveSystem = {
  name: 'Dexie, liveQuery',
  async open() {
    const db = new Dexie('live-dexie', { chromeTransactionDurability: 'relaxed' }) as Dexie & {
      items: Table<Item, string>
      events: Table<ScoredEvent['data'], number>
    }
    db.version(1).stores({ events: '++position', items: 'id, score' })
    await db.open()
    if ((await db.items.count()) === 0)
      await db.items.bulkAdd(Array.from({ length: itemCount }, (_, n) => ({ id: idOf(n), score: n, times: 1 })))
    return {
      change: (id, score) =>
        db.transaction('rw', db.events, db.items, async () => {
          await db.events.add({ id, score })
          const row = await db.items.get(id)
          await db.items.put({ id, score, times: (row?.times ?? 0) + 1 })
        }),
      settled: async () => {},
      subscribe(asked, shown) {
        const rows = () =>
          'id' in asked
            ? db.items.where('id').equals(asked.id).toArray()
            : db.items.where('score').between(asked.window.lower, asked.window.upper, true, true).toArray()
        const subscription = liveQuery(rows).subscribe(shown, (error) => reportError(error))
        return () => subscription.unsubscribe()
      },
      close: async () => db.close(),
    }
  },
  destroy: () => Dexie.delete('live-dexie'),
}

/** Subscribed live queries, and what they showed. */
class Screen {
  readonly live: Live
  readonly #stops: (() => void)[] = []
  readonly #shown: (readonly Item[] | undefined)[]
  #changed = () => {}
  /** How often one of them showed something else. */
  changes = 0

  constructor(live: Live, asked: readonly Asked[]) {
    this.live = live
    this.#shown = asked.map(() => undefined)
    for (const [at, each] of asked.entries())
      this.#stops.push(
        live.subscribe(each, (rows) => {
          if (rows === this.#shown[at]) return
          this.#shown[at] = rows
          this.changes += 1
          this.#changed()
        }),
      )
  }

  /** Resolves when `holds` is true of what is shown. */
  until(holds: (shown: readonly (readonly Item[] | undefined)[]) => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = () => {
        if (!holds(this.#shown)) return
        this.#changed = () => {}
        resolve()
      }
      this.#changed()
    })
  }

  ready(): Promise<void> {
    return this.until((shown) => !shown.includes(undefined))
  }

  /** How many events a query's first row saw. */
  times(at: number): number {
    return this.#shown[at]?.[0]?.times ?? 0
  }

  async close(): Promise<void> {
    for (const stop of this.#stops) stop()
    await this.live.close()
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** What belongs to a change is asked for by then, ms after it is shown. */
const afterwards = 20

/** Resolves when nothing was asked of IndexedDB for a while. */
async function quiet(asked: IndexedDbCounts): Promise<void> {
  const all = () => asked.transactions + asked.looks
  for (let before = -1; before !== all();) {
    before = all()
    await pause(60)
  }
}

const middle = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number

const rows = (count: number): Asked[] => Array.from({ length: count }, (_, n) => ({ id: idOf(n) }))
const windows = (count: number): Asked[] => Array.from({ length: count }, (_, n) => ({ window: windowOf(n) }))

/**
 * Runs `work` some times over the same screen, each time until nothing is asked of IndexedDB any more. Looks by the clock
 * are counted apart: how many there are depends on how long everything else takes. Of the counts the median is taken.
 */
function contender(
  system: LiveSystem,
  asked: readonly Asked[],
  waits: number,
  work: (screen: Screen, n: number) => Promise<unknown>,
): Contender {
  return {
    name: system.name,
    async run(): Promise<Run> {
      // Some libraries keep the methods that they find when they open.
      const counting = countIndexedDb(system.isLook)
      const screen = new Screen(await system.open(), asked)
      try {
        await screen.ready()
        await quiet(counting)
        const all: Record<string, number[]> = {
          ms: [],
          transactions: [],
          'read requests': [],
          looks: [],
          'changed snapshots': [],
        }
        for (let n = 0; n < waits; n += 1) {
          const before = {
            transactions: counting.transactions,
            reads: counting.reads,
            looks: counting.looks,
            changes: screen.changes,
          }
          const start = performance.now()
          await work(screen, n)
          all['ms']?.push(performance.now() - start)
          await pause(afterwards)
          all['transactions']?.push(counting.transactions - before.transactions)
          all['read requests']?.push(counting.reads - before.reads)
          await quiet(counting)
          all['looks']?.push(counting.looks - before.looks)
          all['changed snapshots']?.push(screen.changes - before.changes)
        }
        const { ms: times = [], ...counts } = all
        return {
          ms: middle(times),
          events: 1,
          waits: times,
          counts: Object.fromEntries(Object.entries(counts).map(([name, values]) => [name, middle(values)])),
        }
      } finally {
        counting.stop()
        await screen.close()
      }
    },
  }
}

/** A change of row `at`, until the screen shows it. */
async function changeShown(screen: Screen, at: number): Promise<void> {
  const times = screen.times(at) + 1
  await screen.live.change(idOf(at), at)
  await screen.until(() => screen.times(at) >= times)
}

/** A change of a row that no query shows. */
async function changeElsewhere({ live }: Screen): Promise<void> {
  await live.change(idOf(itemCount - 1), farAway)
  await live.settled()
}

/** Ten changes, one after the other, until the screen shows the last one. */
async function tenChanges(screen: Screen): Promise<void> {
  const before = Array.from({ length: 10 }, (_, at) => screen.times(at))
  for (let at = 0; at < 10; at += 1) await screen.live.change(idOf(at), at)
  await screen.until(() => before.every((times, at) => screen.times(at) > times))
}

const rest = 10_000
/** The pauses between looks double after a commit, from 50 ms to 5 s: that long, ms, and one more. */
const untilRest = 12_000

/** What live queries ask while nothing changes. */
function atRest(system: LiveSystem): Contender {
  return {
    name: system.name,
    async run() {
      const counting = countIndexedDb()
      const screen = new Screen(await system.open(), rows(itemCount))
      try {
        await screen.ready()
        await pause(untilRest)
        const before = { transactions: counting.transactions, reads: counting.reads }
        await pause(rest)
        return {
          ms: rest,
          events: 1,
          waits: [rest],
          counts: {
            transactions: counting.transactions - before.transactions,
            'read requests': counting.reads - before.reads,
          },
        }
      } finally {
        counting.stop()
        await screen.close()
      }
    },
  }
}

export function liveCases({ liveWaits }: Sizes): Case[] {
  const byOptions = tidemark('tidemark', false)
  const byFunction = tidemark('tidemark, functions', true)
  const each = (systems: readonly LiveSystem[], asked: readonly Asked[], work: Parameters<typeof contender>[3]) =>
    systems.map((system) => contender(system, asked, liveWaits, work))
  const all = [byOptions, byFunction, dexie]
  const cases: Case[] = [
    {
      name: 'live: 500 rows on screen, one changes',
      contenders: each(all, rows(500), (screen, n) => changeShown(screen, n * 7)),
    },
    {
      name: 'live: 500 rows on screen, another one changes',
      contenders: each(all, rows(500), changeElsewhere),
    },
    {
      name: 'live: 500 windows over an index, a row outside of all changes',
      contenders: each([byOptions, dexie], windows(500), changeElsewhere),
    },
    {
      name: 'live: 200 rows on screen, ten appends one after the other',
      contenders: each([byOptions, dexie], rows(200), tenChanges),
    },
    { name: 'live: 1,000 rows on screen, 10 s at rest', once: true, contenders: [byOptions, dexie].map(atRest) },
  ]
  const tearDown = async () => {
    for (const system of all) await system.destroy()
  }
  // The last one cleans up after all of them.
  return cases.map((live) => ({ ...live, tearDown }))
}
