// Exactly once, whatever is killed and wherever: the runner over both storages, with a crash at every step it takes.
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { defineEvents, defineProjection, table, type Projection, type RecordedEvent } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { systemClock } from '../../../src/platform/clock.js'
import { inProcessCoordinator } from '../../../src/locks/in-process.js'
import { driveTarget } from '../../../src/projection/leadership.js'
import { applied, applying } from '../../../src/projection/target.js'
import { IndexedDbStorage } from '../../../src/read-model/indexeddb/indexeddb-storage.js'
import { MemoryReadModels } from '../../../src/read-model/memory/memory-storage.js'
import { pausedOrNot, rebuildStarted } from '../../../src/read-model/state.js'
import type { ReadModelStorage } from '../../../src/read-model/storage.js'
import { readModelTarget } from '../../../src/running/read-model-target.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

type Event =
  | { type: 'Added'; data: { to: string; amount: number } }
  | { type: 'Removed'; data: { to: string } }
  | { type: 'Other'; data: null }
interface Row {
  name: string
  seen: readonly number[]
  total: number
}
const events = defineEvents<Event>()

/** Every row lists the positions that made it, so that an effect that is there twice or not at all shows. */
const definition: Projection<Event> = defineProjection(events, {
  name: 'ledger',
  tables: {
    rows: table<Row>()({ key: 'name', indexes: { byTotal: 'total' } }),
    counts: table<{ name: string; n: number }>({ key: 'name' }),
  },
  on: {
    Added: async ({ data: { to, amount }, position }, { rows }) => {
      if (amount === 13) throw new TypeError('unlucky')
      await rows.update(to, (row) => ({
        name: to,
        seen: [...(row?.seen ?? []), position],
        total: (row?.total ?? 0) + amount,
      }))
    },
    Removed: ({ data: { to } }, { rows }) => rows.delete(to),
  },
  fold: {
    counts: {
      key: ({ type }) => (type === 'Added' ? 'all' : undefined),
      evolve: (row) => ({ name: 'all', n: (row?.n ?? 0) + 1 }),
    },
  },
  onFailure: () => 'park',
}) as unknown as Projection<Event>

/** The same, written without tidemark. What was set aside because runs died of it, as it seemed, is left out (I4, N19). */
function reference(log: readonly RecordedEvent<Event>[], to: number, blamed: ReadonlySet<number> = new Set()) {
  const rows = new Map<string, Row>()
  const letters: number[] = []
  let n = 0
  for (const event of log.slice(0, to)) {
    if (blamed.has(event.position)) letters.push(event.position)
    if (blamed.has(event.position)) continue
    if (event.type === 'Removed') rows.delete(event.data.to)
    if (event.type !== 'Added') continue
    const { to: name, amount } = event.data
    if (amount === 13) {
      letters.push(event.position)
      continue
    }
    n += 1
    const row = rows.get(name)
    rows.set(name, { name, seen: [...(row?.seen ?? []), event.position], total: (row?.total ?? 0) + amount })
  }
  return {
    rows: [...rows.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    counts: n === 0 ? [] : [{ name: 'all', n }],
    letters,
  }
}

async function stored(storage: ReadModelStorage) {
  const all = async (name: string) =>
    (await storage.queries([{ table: name, query: { kind: 'all', options: {} } }])).values[0]
  return {
    rows: await all('rows'),
    counts: await all('counts'),
    letters: (await storage.letters(0, 10_000)).map(({ position }) => position),
  }
}

/** The rows, letters and counts are those of a plain fold up to a position. */
async function assertFolded(
  storage: ReadModelStorage,
  log: readonly RecordedEvent<Event>[],
  to: number,
): Promise<void> {
  const blamed = (await storage.letters(0, 10_000))
    .filter(({ errorName }) => errorName === 'PoisonEventError')
    .map(({ position }) => position)
  expect(await stored(storage)).toEqual(reference(log, to, new Set(blamed)))
}

/** Stops a context at its nth step: whatever it was waiting for does not come, unless it is thawed. */
class Crash {
  #left: number
  readonly happened: Promise<void>
  readonly #thawed: Promise<void>
  /** Lets the context go on from where it was frozen, with everything that it remembers. */
  thaw = () => {}
  /** Settles when the thawed context came to its end. */
  ended: Promise<unknown> = Promise.resolve()
  #happen = () => {}
  constructor(step: number) {
    this.#left = step
    this.happened = new Promise((resolve) => {
      this.#happen = resolve
    })
    this.#thawed = new Promise((resolve) => {
      this.thaw = resolve
    })
  }
  async step(): Promise<void> {
    this.#left -= 1
    if (this.#left > 0) return
    this.#happen()
    await this.#thawed
  }
}

/** A storage with some of its methods exchanged. */
function instead(storage: ReadModelStorage, methods: Partial<ReadModelStorage>): ReadModelStorage {
  return new Proxy(storage, {
    get(target, name: keyof ReadModelStorage) {
      const own: unknown = methods[name] ?? target[name]
      return typeof own === 'function' ? (own as () => unknown).bind(target) : own
    },
  })
}

type Store = Awaited<ReturnType<typeof openEventStore<Event>>>

/** Runs a context until it is done or dies. Answers whether it got to the end. */
async function live(store: Store, storage: ReadModelStorage, maxEvents: number, crash: Crash): Promise<boolean> {
  const faulty = instead(storage, {
    async move(...given) {
      await crash.step()
      return storage.move(...given)
    },
    async commit(change) {
      await crash.step()
      const state = await storage.commit(change)
      await crash.step()
      return state
    },
  })
  const target = readModelTarget(definition, faulty, {
    head: () => store.head(),
    event: () => Promise.reject(new Error('not asked for')),
    committed() {},
    changed() {},
  })
  const apply = target.apply
  target.apply = (event) => applying(crash.step().then(() => applied(apply(event))))
  const reader = {
    async readPage(...given: Parameters<Store['readPage']>) {
      await crash.step()
      return store.readPage(...given)
    },
  }
  // A dead context's lock is free.
  const running = driveTarget(
    target,
    { reader, coordinator: inProcessCoordinator() },
    { batch: { maxEvents } },
    { mode: 'batch', owner: crypto.randomUUID() },
  )
  crash.ended = running.catch(() => {})
  return Promise.race([running.then(() => true), crash.happened.then(() => false)])
}

const event = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('Added' as const),
      data: fc.record({ to: fc.constantFrom('a', 'b', 'c', 'd'), amount: fc.integer({ min: 1, max: 15 }) }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('Removed' as const), data: fc.record({ to: fc.constantFrom('a', 'b') }) }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'Other' as const, data: null }) },
)

async function logOf(list: readonly Event[]): Promise<{ store: Store; log: RecordedEvent<Event>[] }> {
  const store = await openEventStore<Event>({ name: 'log', events })
  if (list.length > 0) await store.append({ stream: 's', events: list })
  const log: RecordedEvent<Event>[] = []
  for await (const each of store.read()) log.push(each)
  return { store, log }
}

let count = 0
const opened: ReadModelStorage[] = []
afterEach(() => {
  for (const storage of opened.splice(0)) storage.close()
})
const storages: readonly (readonly [string, () => () => ReadModelStorage])[] = [
  [
    'memory',
    () => {
      const models = new MemoryReadModels()
      return () => models.open(definition as never, 'log')
    },
  ],
  [
    'fake-indexeddb',
    () => {
      const name = `exactly-once-${(count += 1)}`
      return () => {
        const storage = new IndexedDbStorage(name, definition as never, 'log', async () => {})
        opened.push(storage)
        return storage
      }
    },
  ],
]

describe.for(storages)('%s', ([, database]) => {
  test('N3: with a crash at every step in turn, the rows are those of a plain fold, and no effect is there twice', async () => {
    const list: Event[] = Array.from({ length: 18 }, (_, at) =>
      at % 7 === 6
        ? { type: 'Removed', data: { to: 'a' } }
        : { type: 'Added', data: { to: 'abc'[at % 3] as string, amount: at === 10 ? 13 : at + 1 } },
    )
    const { store, log } = await logOf(list)
    let steps = 0
    for (let step = 1, finished = false; !finished && step < 500; step += 1) {
      const open = database()
      finished = await live(store, open(), 5, new Crash(step))
      const left = open()
      const { position } = await left.state()
      await assertFolded(left, log, position)
      for (let lives = 0; !(await live(store, open(), 5, new Crash(step + 12))); lives += 1)
        expect(lives).toBeLessThan(50)
      await assertFolded(open(), log, log.length)
      steps = step
    }
    // So many steps that every kind of them was crashed at.
    expect(steps).toBeGreaterThan(25)
  })

  test('N43: for the same log, any batch sizes and any crash points leave the same rows', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 40 }),
        fc.array(
          fc.record({ maxEvents: fc.constantFrom(1, 7, 64, 100_000), crashAfter: fc.integer({ min: 2, max: 60 }) }),
          { maxLength: 12 },
        ),
        async (list, lives) => {
          const { store, log } = await logOf(list)
          const open = database()
          for (const { maxEvents, crashAfter } of lives) {
            await live(store, open(), maxEvents, new Crash(crashAfter))
            const left = open()
            await assertFolded(left, log, (await left.state()).position)
          }
          await live(store, open(), 64, new Crash(Infinity))
          await assertFolded(open(), log, log.length)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('N43: the same holds while rows are rebuilt, and readers never see a row of an unfinished rebuild', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { minLength: 1, maxLength: 30 }),
        fc.array(
          fc.record({
            maxEvents: fc.constantFrom(1, 5, 100_000),
            crashAfter: fc.integer({ min: 2, max: 40 }),
            rebuild: fc.boolean(),
          }),
          { maxLength: 10 },
        ),
        async (list, lives) => {
          const { store, log } = await logOf(list)
          const open = database()
          for (const { maxEvents, crashAfter, rebuild } of lives) {
            if (rebuild) await open().move('rebuilding', rebuildStarted)
            await live(store, open(), maxEvents, new Crash(crashAfter))
            const left = open()
            await assertFolded(left, log, (await left.state()).position)
          }
          await live(store, open(), 7, new Crash(Infinity))
          const end = open()
          expect((await end.state()).rebuild).toBeUndefined()
          await assertFolded(end, log, log.length)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('N15, N16: contexts that were frozen anywhere and come back commit what fits, or are refused; never half, never twice', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { minLength: 5, maxLength: 30 }),
        fc.array(
          fc.record({ maxEvents: fc.constantFrom(1, 5, 100_000), frozenAfter: fc.integer({ min: 1, max: 40 }) }),
          { minLength: 1, maxLength: 6 },
        ),
        fc.infiniteStream(fc.nat()),
        async (list, contexts, order) => {
          const { store, log } = await logOf(list)
          const open = database()
          const frozen: Crash[] = []
          for (const { maxEvents, frozenAfter } of contexts) {
            const crash = new Crash(frozenAfter)
            frozen.push(crash)
            await live(store, open(), maxEvents, crash)
          }
          while (frozen.length > 0) {
            const [back] = frozen.splice((order.next().value as number) % frozen.length, 1)
            back?.thaw()
            await back?.ended
            const left = open()
            await assertFolded(left, log, (await left.state()).position)
          }
          await live(store, open(), 7, new Crash(Infinity))
          await assertFolded(open(), log, log.length)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('N15, N43: tables that are read while runs rest, answered at any later moment, make no row wrong: two contexts, and rebuilds', async () => {
    const step = fc.record({
      by: fc.constantFrom(0, 0, 0, 0, 0, 1),
      what: fc.constantFrom(
        ...Array.from({ length: 4 }, () => ['apply', 'rest', 'answer'] as const).flat(),
        'rebuild',
        'reset',
      ),
    })
    let answers = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { minLength: 10, maxLength: 40 }),
        fc.array(step, { minLength: 20, maxLength: 80 }),
        async (list, steps) => {
          const { store, log } = await logOf(list)
          const open = database()
          const contexts = [0, 1].map(() => {
            const storage = open()
            const waiting: (() => Promise<unknown>)[] = []
            const slow = instead(storage, {
              async wholeTable(...given) {
                const rows = storage.wholeTable(...given)
                const read = rows.catch(() => {})
                await new Promise<void>((answer) => waiting.push(() => (answer(), read)))
                return rows
              },
            })
            const target = readModelTarget(definition, slow, {
              head: () => store.head(),
              event: () => Promise.reject(new Error('not asked for')),
              committed() {},
              changed() {},
            })
            return { storage, target, waiting, at: undefined as number | undefined }
          })
          /** One event, from where this context believes that the rows are; again from the stored state if it is wrong. */
          const applyOne = async (context: (typeof contexts)[number]) => {
            const { target } = context
            if (context.at === undefined) {
              const state = await target.begin('test')
              context.at = state.rebuild?.position ?? state.position
            }
            const next = log[context.at]
            if (next !== undefined) {
              await Promise.resolve(target.prepare?.([next]))
              await applied(target.apply(next)).catch((error: unknown) =>
                target.park({
                  position: next.position,
                  eventId: next.id,
                  eventType: next.type,
                  stream: next.stream,
                  attempts: 1,
                  time: 0,
                  errorName: 'TypeError',
                  message: String(error),
                }),
              )
            }
            const position = next?.position ?? context.at
            await target.commit(position, { caughtUp: position === log.length }).then(
              () => (context.at = position),
              (error: { code?: string }) => {
                expect(error.code).toBe('leadership-lost')
                target.reset()
                context.at = undefined
              },
            )
          }
          for (const { by, what } of steps) {
            const context = contexts[by] as (typeof contexts)[number]
            if (what === 'apply') await applyOne(context)
            else if (what === 'rebuild') await context.storage.move('rebuilding', rebuildStarted)
            else if (what === 'rest') {
              context.target.rest?.()
            } else if (what === 'answer') {
              answers += context.waiting.length
              for (const answer of context.waiting.splice(0)) await answer()
              await context.storage.state()
            } else {
              context.target.reset()
              context.at = undefined
            }
            await assertFolded(context.storage, log, (await context.storage.state()).position)
          }
          const [context] = contexts as [(typeof contexts)[number]]
          const isDone = async () => {
            const { position, rebuild } = await context.storage.state()
            return position === log.length && rebuild === undefined
          }
          while (!(await isDone())) await applyOne(context)
          await assertFolded(context.storage, log, log.length)
        },
      ),
      { numRuns: 30 },
    )
    // Otherwise nothing of this was tried.
    expect(answers).toBeGreaterThan(10)
  })

  test('N19: a handler that kills its context at event 37 is called five times, and then the event is set aside', async () => {
    const { store, log } = await logOf(
      Array.from({ length: 100 }, (_, at) => ({ type: 'Added', data: { to: 'abc'[at % 3] as string, amount: 1 } })),
    )
    const open = database()
    const positions: number[] = []
    let kills = 0
    // Time stands still: on a busy machine a run commits before event 37, and begins to count anew.
    const clock = { ...systemClock, monotonic: () => 0 }
    for (let lives = 0, done = false; !done; lives += 1) {
      expect(lives).toBeLessThan(10)
      const target = readModelTarget(definition, open(), {
        head: () => store.head(),
        event: () => Promise.reject(new Error('not asked for')),
        committed() {},
        changed() {},
      })
      const { apply } = target
      const died = new Promise<void>((die) => {
        target.apply = (event) => {
          if (event.position !== 37) return apply(event)
          kills += 1
          die()
          return applying(new Promise(() => {}))
        }
      })
      const running = driveTarget(
        target,
        { reader: store, coordinator: inProcessCoordinator() },
        { clock },
        { mode: 'batch', owner: crypto.randomUUID() },
      )
      done = await Promise.race([running.then(() => true), died.then(() => false)])
      positions.push((await open().state()).position)
    }
    expect(kills).toBe(5)
    expect(positions).toEqual([0, 0, 0, 36, 36, 100])
    expect(await open().letters(0, 10)).toMatchObject([{ position: 37, errorName: 'PoisonEventError' }])
    await assertFolded(open(), log, 100)
    expect(await open().state()).not.toMatchObject({ trying: expect.anything() })
  })

  test('N23: a letter that cannot be written holds the checkpoint back', async () => {
    const { store, log } = await logOf([
      { type: 'Added', data: { to: 'a', amount: 1 } },
      { type: 'Added', data: { to: 'a', amount: 13 } },
      { type: 'Added', data: { to: 'a', amount: 2 } },
    ])
    const storage = database()()
    let refusals = 0
    const picky = instead(storage, {
      commit: (change) => {
        if (change.letters.length === 0 || refusals >= 3) return storage.commit(change)
        refusals += 1
        return Promise.reject(new Error('no room for letters'))
      },
    })
    const target = readModelTarget(definition, picky, {
      head: () => store.head(),
      event: () => Promise.reject(new Error('not asked for')),
      committed() {},
      changed() {},
    })
    const positions: number[] = []
    const result = await driveTarget(
      target,
      { reader: store, coordinator: inProcessCoordinator() },
      { poll: { failureBackoff: 0 } },
      {
        mode: 'batch',
        owner: 'test',
        report: (report) => {
          if (report.type === 'storage-failed') void storage.state().then(({ position }) => positions.push(position))
        },
      },
    )
    expect(result).toMatchObject({ applied: 2, parked: 1, position: 3 })
    expect(positions).toEqual([1, 1, 1])
    await assertFolded(storage, log, 3)
  })
})

test('H25: a read model whose storage answers with nothing for a while is not lost, and not begun anew', async () => {
  const { store } = await logOf([{ type: 'Added', data: { to: 'a', amount: 1 } }])
  const name = `silent-${(count += 1)}`
  const first = new IndexedDbStorage(name, definition as never, 'log', async () => {})
  await live(store, first, 64, new Crash(Infinity))
  first.close()
  const get = IDBObjectStore.prototype.get
  const storage = new IndexedDbStorage(name, definition as never, 'log', async () => {})
  try {
    IDBObjectStore.prototype.get = function (this: IDBObjectStore, key: IDBValidKey | IDBKeyRange) {
      return get.call(this, key === 'state' ? 'nothing' : key)
    }
    for (let round = 0; round < 2; round += 1)
      await expect(storage.move('pausing', (before) => ({ after: pausedOrNot(before, true) }))).rejects.toMatchObject({
        code: 'storage-failed',
        outcome: 'not-written',
      })
  } finally {
    IDBObjectStore.prototype.get = get
  }
  expect(await storage.state()).toMatchObject({ position: 1 })
  expect((await stored(storage)).rows).toMatchObject([{ name: 'a', total: 1 }])
  storage.close()
})
