// Which names tables and models must not have.
import { describe, expect, test } from 'vitest'
import {
  defineEvents,
  defineProjection,
  openReadModel,
  runProjection,
  table,
  type ReservedTableName,
  type Tables,
} from 'tidemark'
import { assertTableName } from '../../../src/read-model/reserved-names.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { added, events, indexedDbStore, memoryStore, model } from './support.js'

fakeIndexedDB()

const reserved: { readonly [N in ReservedTableName]: true } = {
  at: true,
  caughtUp: true,
  close: true,
  confirmed: true,
  deadLetters: true,
  definition: true,
  live: true,
  name: true,
  pause: true,
  position: true,
  ready: true,
  rebuild: true,
  resume: true,
  skip: true,
  status: true,
  stop: true,
  tables: true,
  then: true,
  verify: true,
}
const refusal = expect.objectContaining({ code: 'invalid-name' })

describe('H48: a reserved name of a table is refused', () => {
  test.for([...Object.keys(reserved), '$', '$rows', 'tidemark:rows'])('%s', (name) => {
    expect(() => assertTableName(name)).toThrow(refusal)
    const tables = { [name]: table<{ id: string }>({ key: 'id' }) }
    expect(() =>
      defineProjection(defineEvents<{ type: 'A'; data: null }>(), { name: 'x', tables, on: { A() {} } }),
    ).toThrow(refusal)
  })
  test.for(['At', 'names', 'a$', 'tidemark', 'toString', '__proto__'])('and no other one: %s', (name) => {
    expect(() => assertTableName(name)).not.toThrow()
  })
})

describe.for([
  ['memory', memoryStore],
  ['fake-indexeddb', indexedDbStore],
] as const)('%s', ([, open]) => {
  test.for(['__proto__', 'constructor', 'toString'])('H48: a table may be called %s', async (name) => {
    const store = await open()
    const tables: Tables = { [name]: table<{ id: number }>({ key: 'id' }) }
    const definition = defineProjection(events, {
      name: 'odd',
      tables,
      on: { Added: ({ position }, writers) => writers[name]?.put({ id: position }) },
    })
    // Two commits: the second one adds to the count of the first.
    for (let run = 1; run <= 2; run += 1) {
      await store.append('s', [added(), added()])
      await runProjection(store, definition)
    }
    const view = await openReadModel(store, definition)
    expect(await view.tables[name]?.count()).toBe(4)
    expect(await view.tables[name]?.getAll()).toHaveLength(4)
    await view.close()
    await store.close()
  })
})

test('every member of a view has a name that no table may have', async () => {
  const store = await memoryStore()
  const definition = model()
  const view = await openReadModel(store, definition)
  expect(Object.keys(view).filter((name) => !(name in reserved))).toEqual(Object.keys(definition.tables))
  expect(Object.keys(view.tables)).toEqual(Object.keys(definition.tables))
  expect(view.tables.rows).toBe(view.rows)
  await view.close()
  await store.close()
})

test('a table whose second call was forgotten is refused with what to write', () => {
  const tables = { rows: table<{ id: string }>() } as never
  expect(() =>
    defineProjection(defineEvents<{ type: 'A'; data: null }>(), { name: 'x', tables, on: { A() {} } }),
  ).toThrow(expect.objectContaining({ code: 'invalid-argument', message: expect.stringContaining('table<Row>()({') }))
})
