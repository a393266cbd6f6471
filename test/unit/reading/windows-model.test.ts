// Live queries of one tab that hear of every commit, with nothing that looks by the clock: after each commit each of them
// shows what a reader finds. A query that a commit left out is seen at once, before another commit runs it again.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  defineEvents,
  defineProjection,
  openEventStore as openIndexedDb,
  openReadModel,
  startProjection,
  table,
  type LiveQuery,
  type LivePages,
  type ReadModel,
} from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { virtualClock } from 'tidemark/testing'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

interface Row {
  id: number
  rank: number
  tags: number[]
}
type Event = { type: 'Put'; data: Row } | { type: 'Gone'; data: { id: number } }
const events = defineEvents<Event>()
const model = defineProjection(events, {
  name: 'windows',
  tables: {
    rows: table<Row>()({ key: 'id', indexes: { byRank: 'rank', byTag: { path: 'tags', multiEntry: true } } }),
  },
  on: {
    Put: ({ data }, { rows }) => rows.put(data),
    Gone: ({ data: { id } }, { rows }) => rows.delete(id),
  },
})
type View = ReadModel<(typeof model)['tables']>

// More rows than a window has, and few keys in the indexes, so that windows are full and end among equal keys.
const id = fc.integer({ min: 0, max: 9 })
const key = fc.integer({ min: 0, max: 2 })
const row = fc.record({ id, rank: key, tags: fc.uniqueArray(key, { maxLength: 2 }) })
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: row.map((data): Event => ({ type: 'Put', data })) },
  { weight: 1, arbitrary: id.map((gone): Event => ({ type: 'Gone', data: { id: gone } })) },
)

const index = fc.constantFrom(undefined, 'byRank' as const, 'byTag' as const)
const direction = fc.constantFrom('next' as const, 'prev' as const)
const span = fc.oneof(key, fc.record({ lower: key, lowerOpen: fc.boolean() }), fc.record({ upper: key }))
const ranges = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.record({ range: span }) },
  { weight: 1, arbitrary: fc.record({ ranges: fc.array(span, { minLength: 1, maxLength: 2 }) }) },
)
const limit = fc.integer({ min: 1, max: 3 })

/** A live query, what it shows, and what a reader finds instead. */
interface Asked {
  live(view: View): LiveQuery<unknown>
  once(view: View, shown: unknown): Promise<unknown>
}
const windows = fc.tuple(index, direction, ranges, limit).map(([at, way, spans, most]): Asked => {
  const options = { ...(at && { index: at }), direction: way, ...spans, limit: most }
  return { live: (view) => view.rows.live(options), once: (view) => view.rows.getAll(options) }
})
const behind = fc.tuple(index, direction, limit, row).map(([at, way, most, { id: last, rank }]): Asked => {
  const after = { id: last, rank, tags: [rank] }
  const options = { ...(at && { index: at }), direction: way, limit: most, after }
  return { live: (view) => view.rows.live(options), once: (view) => view.rows.getAll(options) }
})
const counts = fc.tuple(index, ranges).map(([at, spans]): Asked => {
  const options = { ...(at && { index: at }), ...spans }
  return { live: (view) => view.rows.liveCount(options), once: (view) => view.rows.count(options) }
})
const pages = fc.tuple(index, direction, limit, fc.nat(1)).map(([at, way, pageSize, more]): Asked => {
  const options = { ...(at && { index: at }), direction: way }
  return {
    live: (view) => view.rows.livePages({ ...options, pageSize }),
    async once(view, shown) {
      const live: LivePages<unknown> = view.rows.livePages({ ...options, pageSize })
      const { rows } = shown as { rows: readonly unknown[] }
      const found = await view.rows.getAll(options)
      const size = Math.min(found.length, Math.max(pageSize, Math.ceil(rows.length / pageSize) * pageSize))
      // The next page, for the commits that follow.
      if (more > 0 && rows.length <= pageSize) live.more()
      return { rows: found.slice(0, size), hasMore: found.length > size }
    },
  }
})
const asked = fc.oneof({ weight: 4, arbitrary: windows }, behind, counts, pages)

for (const [backend, open, numRuns] of [
  ['memory', openMemory, 25],
  ['fake-indexeddb', openIndexedDb, 6],
] as const)
  test(`after each commit every live query shows what a reader finds: ${backend}`, { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(asked, { minLength: 10, maxLength: 20, size: 'max' }),
        fc.array(event, { minLength: 8, maxLength: 12, size: 'max' }),
        fc.array(event, { minLength: 10, maxLength: 15, size: 'max' }),
        async (queries, first, commits) => {
          const clock = virtualClock()
          const store = await open({ name: `windows-${crypto.randomUUID()}`, events })
          const projection = startProjection(store, model, { clock })
          const view = await openReadModel(store, model, { clock })
          const commit = async (written: readonly Event[]) => {
            const { position } = await store.append('s', written as never)
            await projection.caughtUp(position)
          }
          await commit(first)
          const lives = queries.map((one) => ({ ...one, query: one.live(view) }))
          const stops = lives.map(({ query }) => query.subscribe(() => {}))
          try {
            await Promise.all(lives.map(({ query }) => query.ready()))
            for (const one of commits) {
              await commit([one])
              const shown = await Promise.all(lives.map(({ query }) => query.ready()))
              for (const [at, { once }] of lives.entries()) expect(shown[at]).toEqual(await once(view, shown[at]))
            }
            expect(clock.monotonic()).toBe(0)
          } finally {
            for (const stop of stops) stop()
            await view.close()
            await projection.stop()
            await store.close()
          }
        },
      ),
      { seed: 20261129, numRuns },
    )
  })
