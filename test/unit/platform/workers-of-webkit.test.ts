// H8: in a worker of WebKit one transaction is under way at a time, since those of a worker that is terminated may stay open (docs/engines.md).
import { afterEach, expect, test, vi } from 'vitest'
import { openReadModel, startProjection } from 'tidemark'
import { added, indexedDbStore, model, newName } from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const webkit = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15'
const chromium = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

/** Appends, projects and reads side by side. Answers how many transactions were under way at once, at most. */
async function mostAtOnce(): Promise<number> {
  const open = new Set<IDBTransaction>()
  let most = 0
  const { transaction } = IDBDatabase.prototype
  vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...given) {
    const made = transaction.apply(this, given)
    open.add(made)
    for (const end of ['complete', 'abort']) made.addEventListener(end, () => void open.delete(made))
    // One that is taken back in the turn that began it was never under way.
    queueMicrotask(() => (most = Math.max(most, open.size)))
    return made
  })
  const { abort } = IDBTransaction.prototype
  vi.spyOn(IDBTransaction.prototype, 'abort').mockImplementation(function (this: IDBTransaction) {
    abort.call(this)
    open.delete(this)
  })
  const name = newName()
  const [one, other] = [await indexedDbStore(3, name), await indexedDbStore(0, name)]
  const projection = startProjection(one, model())
  const view = await openReadModel(other, model())
  // Some of them meet others, and are taken back.
  const appended = await Promise.all(
    [one, other, one, other].map((store) => store.append({ stream: 's', events: [added()] })),
  )
  await Promise.all([
    ...appended.map(({ position }) => projection.caughtUp(position)),
    view.rows.getAll(),
    other.head(),
    one.readPage({ limit: 9 }),
  ])
  expect(await view.rows.get('a')).toMatchObject({ total: 7, seen: [1, 2, 3, 4, 5, 6, 7] })
  await view.close()
  await projection.stop()
  for (const store of [one, other]) await store.close()
  vi.restoreAllMocks()
  return most
}

test('H8: transactions go one by one there, and everything is done', async () => {
  vi.stubGlobal('navigator', { userAgent: webkit })
  expect(await mostAtOnce()).toBe(1)
})

test('H8: elsewhere, and in pages of WebKit, they go side by side', async () => {
  vi.stubGlobal('navigator', { userAgent: chromium })
  expect(await mostAtOnce()).toBeGreaterThan(1)
  vi.stubGlobal('navigator', { userAgent: webkit })
  vi.stubGlobal('document', Object.assign(new EventTarget(), { visibilityState: 'visible' }))
  expect(await mostAtOnce()).toBeGreaterThan(1)
})
