// I4, I5: rows and checkpoint move together, also in Firefox, which stores the rest of a transaction if a request fails after `commit()`.
import { defineEvents, defineProjection, openEventStore, openReadModel, runProjection, table } from 'tidemark'
import { afterEach, expect, test } from 'vitest'

type Event = { type: 'Added'; data: { to: string } }
const events = defineEvents<Event>()
const added = (to: string) => ({ type: 'Added' as const, data: { to } })
const { put } = IDBObjectStore.prototype

afterEach(() => {
  IDBObjectStore.prototype.put = put
})

for (const [what, fails] of [
  ['a row', (value: { name?: string }) => value.name === 'b'],
  ['the state', (value: { position?: number }) => value.position === 6],
] as const) {
  test(`I4, I5: if ${what} of a commit cannot be stored, nothing of the commit is, and the next run makes up for it`, async () => {
    const store = await openEventStore<Event>({ name: `torn-${crypto.randomUUID()}`, events })
    const definition = defineProjection(events, {
      name: 'counts',
      tables: { counts: table<{ name: string; count: number }>({ key: 'name' }) },
      on: {
        Added: async ({ data: { to } }, { counts }) => {
          await counts.update(to, (row) => ({ name: to, count: (row?.count ?? 0) + 1 }))
        },
      },
    })
    await store.append({ stream: 's', events: ['a', 'b', 'c'].map(added) })
    await runProjection(store, definition)
    await store.append({ stream: 's', events: ['a', 'b', 'c'].map(added) })
    IDBObjectStore.prototype.put = function (this: IDBObjectStore, value: never, ...rest) {
      // Refused by the storage, not thrown: the row is there already.
      return fails(value) ? this.add(value) : put.call(this, value, ...rest)
    }
    await runProjection(store, definition).catch(() => {})
    IDBObjectStore.prototype.put = put
    await runProjection(store, definition)
    const view = await openReadModel(store, definition)
    expect(await view.counts.getAll()).toEqual(['a', 'b', 'c'].map((name) => ({ name, count: 2 })))
    await view.close()
    await store.close()
  })
}
