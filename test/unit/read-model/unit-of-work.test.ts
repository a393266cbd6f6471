// The unit of work alone: what is kept, what is taken back, and what comes too late.
import { expect, test } from 'vitest'
import { defineEvents, defineProjection, table, type Projection, type RecordedEvent } from 'tidemark'
import type { RowSource } from '../../../src/read-model/storage.js'
import { applied } from '../../../src/projection/target.js'
import { UnitOfWork } from '../../../src/read-model/unit-of-work/unit-of-work.js'

interface Row {
  readonly name: string
  readonly n: number
}
type Event = { type: 'Set'; data: { name: string; n: number } }

const set = (position: number, name: string, n = position): RecordedEvent<Event> => ({
  type: 'Set',
  data: { name, n },
  stream: 's',
  version: position,
  position,
  id: `id-${position}`,
  time: 0,
})

/** Rows of which each is read by itself. */
const source = (stored: (key: unknown) => Promise<unknown>): RowSource => ({
  rows: (_table, keys) => Promise.all(keys.map(stored)),
  wholeTable: () => Promise.reject(new Error('not asked for')),
  lastKey: () => Promise.reject(new Error('not asked for')),
  select: () => Promise.reject(new Error('not asked for')),
})

/** `on` is the handler; single rows are read from `stored`, when it answers. */
function work(
  on: (
    event: RecordedEvent<Event>,
    rows: { get(key: string): Promise<Row | undefined>; put(row: Row): void; delete(key: string): void },
  ) => unknown,
  stored: (key: unknown) => Promise<unknown> = async () => undefined,
) {
  const definition = defineProjection(defineEvents<Event>(), {
    name: 'rows',
    tables: { rows: table<Row>({ key: 'name' }) },
    on: { Set: async (event, { rows }) => void (await on(event, rows)) },
  })
  return new UnitOfWork(definition as unknown as Projection<Event>, source(stored))
}
const pending = (unit: UnitOfWork<Event>) =>
  [...(unit.pending.get('rows')?.values() ?? [])].map(({ key, row }) => [key, (row as Row | null)?.n ?? null])

test('N17: what a failing event wrote is taken back, to what earlier events of the batch left', async () => {
  const unit = work((event, rows) => {
    rows.put(event.data)
    rows.put({ name: 'new', n: event.position })
    rows.delete('b')
    rows.put({ name: 'a', n: -1 })
    if (event.position === 3) throw new Error('no')
  })
  unit.reset(undefined, true)
  await applied(unit.apply(set(1, 'b')))
  await applied(unit.apply(set(2, 'c')))
  const before = pending(unit)
  await expect(applied(unit.apply(set(3, 'd')))).rejects.toThrow('no')
  expect(new Map(pending(unit) as [string, number][])).toEqual(new Map(before as [string, number][]))
  unit.committed()
  expect(pending(unit)).toEqual([])
})

test('a handler that comes back after everything was forgotten changes nothing any more', async () => {
  let answer = (_row: unknown) => {}
  let seen: unknown
  const unit = work(
    async (event, rows) => {
      if (event.position !== 2) seen = await rows.get('slow')
      rows.put(event.data)
    },
    () => new Promise((resolve) => (answer = resolve)),
  )
  unit.reset()
  const hung = applied(unit.apply(set(1, 'old')))
  // Another runner was at work meanwhile, and this one begins anew.
  unit.reset(undefined, true)
  await applied(unit.apply(set(2, 'fresh')))
  answer({ name: 'slow', n: 9 })
  await hung
  expect(pending(unit)).toEqual([['fresh', 2]])
  // Nor is the row remembered that it read back then: nothing is in the table.
  await applied(unit.apply(set(3, 'next')))
  expect(seen).toBeUndefined()
})

test('an error that the storage gave a handler is told apart from its own, also if it catches it', async () => {
  const down = new Error('down')
  const unit = work(
    async (_event, rows) => {
      await rows.get('a').catch(() => {})
    },
    () => Promise.reject(down),
  )
  unit.reset()
  const error: unknown = await applied(unit.apply(set(1, 'a'))).catch((error: unknown) => error)
  expect([error, unit.isStorageFailure(error)]).toEqual([down, true])
})

test('the methods of a table may be taken out of it', async () => {
  const unit = work(async ({ data }, { get, put, delete: remove }) => {
    put({ name: 'gone', n: 0 })
    ;['gone'].forEach((key) => remove(key))
    put({ name: data.name, n: ((await get(data.name))?.n ?? 0) + data.n })
  })
  unit.reset(undefined, true)
  await applied(unit.apply(set(1, 'a', 2)))
  await applied(unit.apply(set(2, 'a', 3)))
  expect(pending(unit)).toEqual([
    ['gone', null],
    ['a', 5],
  ])
})

test('P15: a fold whose key is none, behind one that had to wait for its row, fails as the event, not as the storage', async () => {
  const definition = defineProjection(defineEvents<Event>(), {
    name: 'rows',
    tables: { rows: table<Row>({ key: 'name' }), others: table<Row>({ key: 'name' }) },
    fold: {
      rows: { key: ({ data }) => data.name, evolve: (_row, { data }) => data },
      others: { key: () => ({}) as never, evolve: (_row, { data }) => data },
    },
  })
  const unit = new UnitOfWork(
    definition as unknown as Projection<Event>,
    source((key) =>
      typeof key === 'string' ? Promise.resolve(undefined) : Promise.reject(new Error('asked for no key')),
    ),
  )
  unit.reset()
  const failure = await applied(unit.apply(set(1, 'a'))).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'invalid-argument' })
  expect(unit.isStorageFailure(failure)).toBe(false)
})

test('a fold that returns null where there is no row writes nothing, and one that returns the same row neither', async () => {
  let next: Row | null = null
  const definition = defineProjection(defineEvents<Event>(), {
    name: 'rows',
    tables: { rows: table<Row>({ key: 'name' }) },
    fold: { rows: { key: ({ data }) => data.name, evolve: (row) => (next === null ? null : (row ?? next)) } },
  })
  const unit = new UnitOfWork(definition as unknown as Projection<Event>, {} as RowSource)
  unit.reset(undefined, true)
  await applied(unit.apply(set(1, 'a')))
  expect(pending(unit)).toEqual([])
  next = { name: 'a', n: 2 }
  await applied(unit.apply(set(2, 'a')))
  expect(pending(unit)).toEqual([['a', 2]])
  unit.committed()
  await applied(unit.apply(set(3, 'a')))
  expect(pending(unit)).toEqual([])
  next = null
  await applied(unit.apply(set(4, 'a')))
  expect(pending(unit)).toEqual([['a', null]])
})

test('N17: an event that fails takes back its own writes and not those of the event before it', async () => {
  const unit = work((event, rows) => {
    rows.put({ name: 'x', n: event.position })
    rows.put({ name: 'x', n: event.position * 10 })
    if (event.position === 2) throw new Error('no')
  })
  unit.reset(undefined, true)
  await applied(unit.apply(set(1, 'a')))
  await expect(applied(unit.apply(set(2, 'a')))).rejects.toThrow('no')
  expect(pending(unit)).toEqual([['x', 10]])
  await applied(unit.apply(set(3, 'a')))
  expect(pending(unit)).toEqual([['x', 30]])
})

test('the rows of a long page are at hand until the run has caught up, and no longer', async () => {
  const asked: unknown[] = []
  const definition = defineProjection(defineEvents<Event>(), {
    name: 'rows',
    tables: { rows: table<Row>({ key: 'name' }) },
    fold: { rows: { key: ({ data }) => data.name, evolve: (row, { data }) => ({ ...data, n: (row?.n ?? 0) + 1 }) } },
  })
  const unit = new UnitOfWork(definition as unknown as Projection<Event>, {
    rows: async (_table, keys) => (asked.push(...keys), keys.map((key) => ({ name: key, n: 10 }))),
    wholeTable: async () => undefined,
    lastKey: async () => '~',
    select: () => Promise.reject(new Error('not asked for')),
  })
  // More than are remembered whatever happens.
  const page = Array.from({ length: 25_000 }, (_, at) => set(at + 1, `row-${at}`))
  await unit.prepare(page)
  expect([asked.length, unit.preparedMuch]).toEqual([25_000, true])
  unit.apply(page[0] as RecordedEvent<Event>)
  expect(unit.pendingRows).toBe(1)
  unit.committed(false)
  for (const event of page) expect(unit.apply(event)).toBeUndefined()
  expect([asked.length, unit.pendingRows]).toEqual([25_000, 25_000])
  expect(unit.pending.get('rows')?.get('row-0')?.row).toEqual({ name: 'row-0', n: 12 })
  unit.committed(true)
  // Half of what is remembered at most was taken in, of the rows that came last.
  await applied(unit.apply(set(1, 'row-24999')))
  expect(asked.length).toBe(25_000)
  await applied(unit.apply(set(1, 'row-1')))
  expect(asked.length).toBe(25_001)
})

test('a conflict that is known in one table ends the event before the storage is asked about another', async () => {
  const asked: string[] = []
  const unique = table<Row>()({ key: 'name', indexes: { byN: { path: 'n', unique: true } } })
  const definition = defineProjection(defineEvents<Event>(), {
    name: 'two',
    tables: { left: unique, right: unique },
    on: {
      Set: ({ data, position }, { left, right }) => {
        if (position > 1) left.put({ name: data.name, n: 9 })
        right.put(data)
      },
    },
  })
  const unit = new UnitOfWork(definition as unknown as Projection<Event>, {
    ...source(async () => undefined),
    select: async (name) => {
      asked.push(name)
      return name === 'left' ? [{ name: 'stored', n: 9 }] : []
    },
  })
  unit.reset()
  await applied(unit.apply(set(1, 'a', 5)))
  expect(asked).toEqual(['right'])
  // 9 is taken on the left, which only the storage knows; 5 is taken on the right, which is in memory.
  const outcome = async (event: RecordedEvent<Event>) => applied(unit.apply(event))
  await expect(outcome(set(2, 'b', 5))).rejects.toMatchObject({ table: 'right', key: 5, heldBy: 'a' })
  expect(asked).toEqual(['right'])
  await expect(outcome(set(3, 'b', 6))).rejects.toMatchObject({ table: 'left', key: 9, heldBy: 'stored' })
  expect(asked.toSorted()).toEqual(['left', 'right', 'right'])
})
