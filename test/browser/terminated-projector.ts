/** Runs in a worker: appends and projects until it is terminated, and tells that it has begun. */
import { defineEvents, defineProjection, openEventStore, startProjection, table } from 'tidemark'

export type Event = { type: 'Added'; data: number }
export const events = defineEvents<Event>()
export const sums = defineProjection(events, {
  name: 'sums',
  tables: { sums: table<{ id: number; count: number }>({ key: 'id' }) },
  on: {
    Added: ({ data }, { sums }) => sums.update(data % 7, (row) => ({ id: data % 7, count: (row?.count ?? 0) + 1 })),
  },
})

if (typeof document === 'undefined') {
  const store = await openEventStore({ name: self.name, events })
  startProjection(store, sums)
  postMessage('begun')
  for (let n = 0; ; n += 1) await store.append({ stream: 'worker', events: [{ type: 'Added', data: n }] })
}
