// I8: what a view and its live queries hold of the page, and when they let it go; and storage that fails under them.
import { afterEach, expect, test, vi } from 'vitest'
import { liveProjection, openReadModel, runProjection } from 'tidemark'
import { storeInternals } from '../../../src/log/open.js'
import { IndexedDbStorage } from '../../../src/read-model/indexeddb/indexeddb-storage.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { inject, type Injection } from '../log/inject-faults.js'
import { added, fakePage, indexedDbStore, memoryStore, model, shown } from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

let injection: Injection | undefined
afterEach(() => {
  injection?.stop()
  vi.restoreAllMocks()
})

/** Counts the listeners of the store's signals, and of the page. */
function countListeners(store: object) {
  const { signals } = storeInternals(store)
  const count = { signals: 0, page: 0 }
  const { listen } = signals
  Object.assign(signals, {
    listen(...given: Parameters<typeof listen>) {
      const stop = listen(...given)
      count.signals += 1
      return () => {
        count.signals -= 1
        stop()
      }
    },
  })
  vi.spyOn(document, 'addEventListener').mockImplementation(() => void (count.page += 1))
  vi.spyOn(document, 'removeEventListener').mockImplementation(() => void (count.page -= 1))
  return count
}

test('the last unsubscribe of a live query lets go of its timers, of the signals and of the page', async () => {
  fakePage()
  const store = await memoryStore(1)
  const clock = virtualClock()
  const count = countListeners(store)
  const view = await openReadModel(store, model(), { clock })
  const live = view.live(({ rows }) => rows.count())
  const before = { ...count }
  const [stop, stopOther] = [live.subscribe(() => {}), live.subscribe(() => {})]
  await shown(live, ({ status }) => status === 'ready')
  expect([count.signals, clock.pending]).toEqual([before.signals + 1, 1])
  expect(count.page).toBeGreaterThan(before.page)
  stop()
  expect([count.signals, clock.pending]).toEqual([before.signals + 1, 1])
  stopOther()
  expect([count, clock.pending]).toEqual([before, 0])
  await view.close()
  await store.close()
})

test('the end of a view lets go of them, too, for subscribers that never unsubscribed', async () => {
  fakePage()
  const store = await memoryStore(1)
  const clock = virtualClock()
  const count = countListeners(store)
  const before = { ...count }
  const view = await openReadModel(store, model(), { clock })
  const queries = [1, 2, 3].map(() => view.live(({ rows }) => rows.count()))
  for (const live of queries) live.subscribe(() => {})
  await Promise.all(queries.map((live) => shown(live, ({ status }) => status === 'ready')))
  // One in the middle of a run, and one that waits after a failure.
  view.live(() => new Promise(() => {})).subscribe(() => {})
  const failing = view.live(() => Promise.reject(new Error('no')))
  failing.subscribe(() => {})
  await shown(failing, ({ status }) => status === 'error')
  // One for all of them.
  expect(count.signals).toBe(before.signals + 1)
  await view.close()
  expect([count, clock.pending]).toEqual([before, 0])
  await store.close()
})

test('the last unsubscribe of a live projection lets go of everything', async () => {
  fakePage()
  const store = await memoryStore(1)
  const clock = virtualClock()
  const count = countListeners(store)
  const live = liveProjection(store, { initial: 0, clock, on: { Added: (sum) => sum + 1 } })
  const stop = live.subscribe(() => {})
  await shown(live, ({ status }) => status === 'ready')
  expect(count.page).toBeGreaterThan(0)
  expect(clock.pending).toBe(1)
  stop()
  expect([count.page, clock.pending]).toEqual([0, 0])
  await store.close()
})

test('a storage that fails for 12 s leaves a live query in its error no longer than it pauses, with no commit', async () => {
  const store = await indexedDbStore(2)
  await runProjection(store, model())
  const clock = virtualClock()
  const view = await openReadModel(store, model(), { clock })
  const live = view.live(({ rows }) => rows.count())
  const stop = live.subscribe(() => {})
  await shown(live, ({ status }) => status === 'ready')
  stop()
  injection = inject([
    { kind: 'no transaction', times: 1_000, error: 'UnknownError' },
    { kind: 'open fails', times: 1_000, error: 'UnknownError' },
  ])
  live.subscribe(() => {})
  await shown(live, ({ status }) => status === 'error')
  expect(live.getSnapshot()).toMatchObject({ error: { code: 'storage-failed' }, data: 1 })
  injection.stop()
  // Only the retry can see it, as nothing was committed.
  await clock.advance(5_000)
  expect(await shown(live, ({ status }) => status === 'ready')).toMatchObject({ data: 1 })
  await view.close()
  await store.close()
})

test.for(['succeeded', 'failed'])(
  'a commit whose hint is lost is seen by the next look that succeeds, where the first look %s',
  async (first) => {
    const store = await indexedDbStore(1)
    await runProjection(store, model())
    const clock = virtualClock()
    const view = await openReadModel(store, model(), { clock })
    const live = view.live(({ rows }) => rows.get('a'))
    vi.spyOn(storeInternals(store).signals, 'post').mockImplementation(() => {})
    const stop = live.subscribe(() => {})
    await shown(live, ({ status }) => status === 'ready')
    await store.append({ stream: 's', events: [added()] })
    await runProjection(store, model())
    // Only looks read it alone.
    if (first === 'failed')
      vi.spyOn(IndexedDbStorage.prototype, 'state').mockRejectedValueOnce(new Error('the disk is asleep'))
    await clock.advance(first === 'failed' ? 9_999 : 4_999)
    expect(live.getSnapshot()).toMatchObject({ data: { total: 1 } })
    await clock.advance(1)
    expect(await shown(live, (snapshot) => snapshot.status === 'ready' && snapshot.data?.total === 2)).toBeDefined()
    stop()
    await view.close()
    await store.close()
  },
)
