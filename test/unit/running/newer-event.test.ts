// After a deploy, tabs of two builds run side by side, and the old one may lead.
import { expect, test } from 'vitest'
import {
  defineEvents,
  defineProjection,
  openEventStore,
  openReadModel,
  runProjection,
  table,
  type FailureStrategy,
} from 'tidemark'
import { newName } from '../read-model/support.js'
import { editRows, settled } from '../../support/raw-database.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const builds = () => {
  const name = newName()
  const upcast = { 1: (data: unknown) => data }
  return Promise.all(
    [defineEvents({ Added: {} }), defineEvents({ Added: { version: 2, upcast } })].map((events) =>
      openEventStore({ name, events }).then((store) => ({ events, store })),
    ),
  )
}

test.for(['park', 'skip', 'park-stream'] as const)(
  'H41: an event that a newer build wrote stops an old one whatever its policy says, so that the newer one applies it: %s',
  async (policy) => {
    const [older, newer] = await builds()
    if (older === undefined || newer === undefined) throw new Error('both are opened')
    const asked: unknown[] = []
    const define = ({ events }: typeof older) =>
      defineProjection(events, {
        name: 'model',
        tables: { rows: table<{ id: number }>({ key: 'id' }) },
        on: { Added: ({ position }, { rows }) => rows.put({ id: position }) },
        onFailure: ({ error }) => (asked.push(error), policy as FailureStrategy),
      })
    await older.store.append({ stream: 's', events: [{ type: 'Added', data: null }] })
    await newer.store.append({ stream: 's', events: [{ type: 'Added', data: null }] })
    await expect(runProjection(older.store, define(older))).rejects.toMatchObject({
      position: 2,
      cause: { code: 'event-unreadable', newer: true, message: expect.stringContaining('reload the page') },
    })
    expect(asked).toEqual([])
    expect(await runProjection(newer.store, define(newer))).toMatchObject({
      position: 2,
      applied: 1,
      parked: 0,
      skipped: 0,
    })
    const view = await openReadModel(newer.store, define(newer))
    expect(await view.rows.getAll()).toEqual([{ id: 1 }, { id: 2 }])
    await view.close()
    await older.store.close()
    await newer.store.close()
  },
)

test('H41: so does it stop a plain projector', async () => {
  const [older, newer] = await builds()
  if (older === undefined || newer === undefined) throw new Error('both are opened')
  await newer.store.append({ stream: 's', events: [{ type: 'Added', data: null }] })
  const projector = { name: 'plain', apply() {}, onFailure: () => 'skip' as const }
  await expect(runProjection(older.store, projector)).rejects.toMatchObject({ position: 1, cause: { newer: true } })
  expect(await runProjection(newer.store, projector)).toMatchObject({ applied: 1 })
  await older.store.close()
  await newer.store.close()
})

test('H41: so does one that a newer tidemark stored in a format of its own', async () => {
  const name = newName()
  const events = defineEvents({ Added: {} })
  const store = await openEventStore({ name, events })
  await store.append('s', [events.Added(1), events.Added(2)])
  await editRows(name, async ({ commits }) => {
    commits.put({ ...((await settled(commits.get(1))) as object), format: 3, events: 'packed otherwise' })
  })
  const asked: unknown[] = []
  const policy = (failure: unknown) => (asked.push(failure), 'skip' as const)
  const plain = { name: 'plain', apply() {}, onFailure: policy }
  const model = defineProjection(events, {
    name: 'model',
    tables: { rows: table<{ id: number }>({ key: 'id' }) },
    on: { Added: ({ position }, { rows }) => rows.put({ id: position }) },
    onFailure: policy,
  })
  const stops = { position: 1, cause: { code: 'event-unreadable', newer: true } }
  await expect(runProjection(store, plain)).rejects.toMatchObject(stops)
  await expect(runProjection(store, model)).rejects.toMatchObject(stops)
  expect(asked).toEqual([])
  expect(await store.checkpoints.load('plain')).toBeUndefined()
  await store.close()
})
