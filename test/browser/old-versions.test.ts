// What becomes of the database of a read model's former version: only where there are Web Locks is it known who uses it.
import { defineEvents, defineProjection, openEventStore, startProjection, table, tidemark } from 'tidemark'
import { virtualClock } from 'tidemark/testing'
import { expect, test } from 'vitest'

const events = defineEvents<{ type: 'Added'; data: { by: number } }>()
const sums = (version: number) =>
  defineProjection(events, {
    name: 'sums',
    version,
    tables: { rows: table<{ id: string; sum: number }>({ key: 'id' }) },
    on: {
      Added: ({ stream, data }, { rows }) =>
        rows.update(stream, (row) => ({ id: stream, sum: (row?.sum ?? 0) + data.by * version })),
    },
  })

/** The versions that are stored, such as `sums@1`, in order: WebKit lists databases in any. */
const versionsOf = async (name: string) =>
  (await indexedDB.databases())
    .flatMap(({ name: each = '' }) => (each.includes(`${name}:sums@`) ? [each.slice(-6)] : []))
    .sort()

test('H40, N34: catchUp deletes former versions that no context uses, where nothing runs models for long', async () => {
  const name = `old-versions-${crypto.randomUUID()}`
  const app = (version: number) => tidemark({ name, events, models: { sums: sums(version) }, run: false })
  const former = app(1)
  await former.append('a', events.Added({ by: 1 }))
  await former.catchUp()
  const now = app(2)
  await now.catchUp()
  expect(await versionsOf(name), 'in use').toEqual(['sums@1', 'sums@2'])
  await former.close()
  await expect.poll(async () => (await now.catchUp(), versionsOf(name))).toEqual(['sums@2'])
  expect(await now.sums.rows.get('a')).toEqual({ id: 'a', sum: 2 })
  await now.close()
})

test('H40, N34: a former version that was in use is deleted within a minute of its last use', async () => {
  const name = `old-versions-${crypto.randomUUID()}`
  const stored = () => versionsOf(name)
  const clock = virtualClock()
  const store = await openEventStore({ name, events })
  const { position } = await store.append('a', events.Added({ by: 1 }))
  const former = startProjection(store, sums(1))
  await former.caughtUp(position)
  const now = startProjection(store, sums(2), { clock })
  await now.caughtUp(position)
  // What is deleted first shows that the latter looked, and found the former in use.
  const third = startProjection(store, sums(3), { clock })
  await third.caughtUp(position)
  await now.stop()
  await clock.advance(60_000)
  await expect.poll(stored).toEqual(['sums@1', 'sums@3'])

  await former.stop()
  await clock.advance(60_000)
  await expect.poll(stored).toEqual(['sums@3'])
  await third.stop()
  await store.close()
})
