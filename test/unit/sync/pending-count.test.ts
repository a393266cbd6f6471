// What an app asks before a user signs out: how much is pending, whatever syncing does.
import { describe, expect, test, vi } from 'vitest'
import { defineEvents, type Clock } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import {
  openSyncedStore as openOnDevice,
  startSync,
  syncOnce,
  tidemark,
  type SyncHandle,
  type SyncStatus,
} from 'tidemark/sync'
import { testSyncServer, virtualClock } from 'tidemark/testing'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const events = defineEvents<{ type: 'Added'; data: null }>()
const shown = ({ status }: Pick<SyncHandle, 'status'>) => status.getSnapshot()
/** Never responds, and ends with its signal. */
const silent = (_: unknown, { signal }: RequestInit = {}) =>
  new Promise<Response>((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))

test.each([401, 403, 503])('with a server that responds %i', async (status) => {
  const clock = virtualClock()
  const server = testSyncServer({ clock })
  const store = await openSyncedStore({ name: 'shop', events, url: server.url, fetch: server.fetch, clock })
  const sync = startSync(store, { wake: 'poll' })
  await clock.runUntil(sync.now())
  server.fail(status)
  await clock.runUntil(sync.now())
  const before = sync.status.getSnapshot().status
  expect(before).not.toBe('idle')
  for (let n = 1; n <= 3; n += 1) {
    await clock.runUntil(store.append('s', events.Added(null)))
    expect(sync.status.getSnapshot().pending).toBe(n)
  }
  const [first] = await store.outbox()
  await clock.runUntil(first?.discard() as Promise<void>)
  expect((await store.outbox()).length).toBe(sync.status.getSnapshot().pending)
  expect(sync.status.getSnapshot().status).toBe(before)
  await clock.runUntil(sync.stop())
  await store.close()
})

describe('N126: on a network that swallows packets', () => {
  /** A store, what it sends with, and a request that hangs from the call on. */
  async function hanging(what: 'fetch' | 'headers', isKnown: boolean) {
    const clock = virtualClock()
    const server = testSyncServer({ clock })
    let hangs = false
    let hung = () => {}
    const begun = new Promise<void>((resolve) => (hung = resolve))
    const never = <R>(otherwise: () => R) => (hangs ? (hung(), new Promise<never>(() => {})) : otherwise())
    const store = await openSyncedStore({
      name: 'shop',
      events,
      url: server.url,
      clock,
      fetch: (input, init) =>
        hangs && what === 'fetch' ? (hung(), silent(input, init)) : server.fetch(input as string, init),
      headers: what === 'headers' ? () => never(() => ({})) : {},
    })
    const sync = startSync(store, { wake: 'poll' })
    if (isKnown) await clock.runUntil(sync.now())
    else await sync.pause()
    return {
      ...{ clock, store, sync, begun },
      hang: () => void (hangs = true),
      async end() {
        await clock.runUntil(sync.stop())
        await store.close()
      },
    }
  }

  test.each<[what: 'fetch' | 'headers', isKnown: boolean]>([
    ['fetch', true],
    ['headers', true],
    ['fetch', false],
    ['headers', false],
  ])('%s hangs (in contact before: %s): what is appended meanwhile is counted', async (what, isKnown) => {
    const { clock, store, sync, begun, hang, end } = await hanging(what, isKnown)
    hang()
    if (!isKnown) await sync.resume()
    const asked = sync.now()
    await clock.runUntil(begun)
    const seen: (readonly [SyncStatus['status'], number])[] = []
    sync.status.subscribe(() => seen.push([shown(sync).status, shown(sync).pending]))
    await clock.runUntil(store.append('s', events.Added(null)))
    await clock.runUntil(store.append('s', events.Added(null)))
    expect(shown(sync)).toMatchObject({ status: 'working', pending: 2 })
    expect(await clock.runUntil(asked)).toMatchObject({ status: 'offline', pending: 2 })
    expect(shown(sync)).toMatchObject({ status: 'offline', pending: 2 })
    // What is known once is never forgotten.
    const counts = seen.map(([, pending]) => pending)
    expect(counts).toEqual(counts.toSorted((one, other) => one - other))
    await end()
  })

  test('syncOnce counts what was appended while it waited', async () => {
    const clock = virtualClock()
    let hung = () => {}
    const begun = new Promise<void>((resolve) => (hung = resolve))
    const fetch = (input: unknown, init?: RequestInit) => (hung(), silent(input, init))
    const store = await openSyncedStore({ name: 'shop', events, url: 'https://x.test/logs/a', clock, fetch })
    const once = syncOnce(store, { budget: { maxTime: 60_000 } })
    await clock.runUntil(begun)
    await clock.runUntil(store.append('s', events.Added(null)))
    expect(await clock.runUntil(once)).toMatchObject({ status: 'offline', pending: 1 })
    await store.close()
  })
})

describe('N126: in every context', () => {
  test('what is stored before syncing starts is counted as soon as it starts', async () => {
    const server = testSyncServer()
    const store = await openSyncedStore({ name: 'shop', events, url: server.url, fetch: server.fetch })
    await store.append('s', events.Added(null))
    const sync = startSync(store, { wake: 'poll' })
    expect(shown(sync)).toMatchObject({ status: 'following', pending: 1 })
    await sync.stop()
    await store.close()
  })

  test('in a service worker, which nothing syncs by itself', async () => {
    vi.stubGlobal('ServiceWorkerGlobalScope', class {})
    try {
      const server = testSyncServer()
      const sync = { url: server.url, fetch: server.fetch }
      const app = tidemark({ name: 'worker', events, open: openSyncedStore, sync })
      await app.append('s', events.Added(null))
      expect(shown(app.sync).pending).toBe(1)
      await app.catchUp()
      expect(shown(app.sync)).toMatchObject({ status: 'idle', pending: 0 })
      await app.append('s', events.Added(null))
      expect(shown(app.sync)).toMatchObject({ status: 'idle', pending: 1 })
      await app.close()
    } finally {
      vi.unstubAllGlobals()
    }
  })

  test('a tab that follows: as soon as its append resolves, whatever the leader says of an earlier moment', async () => {
    const url = 'https://x.test/logs/a'
    const offline = async () => Promise.reject(new TypeError('no network'))
    const open = () => openOnDevice({ name: 'tabs', events, url, fetch: offline })
    const stores = [await open(), await open()] as const
    const [leader, follower] = stores
    const syncs = stores.map((store) => startSync(store, { wake: 'poll' }))
    const [, sync] = syncs as [SyncHandle, SyncHandle]
    // One after the other, and each of them after one of the other tab.
    for (let n = 1; n <= 5; n += 1) {
      const at = n % 2
      await stores[at]?.append('s', events.Added(null))
      expect((await leader.outbox()).length).toBe(n)
      expect(shown(syncs[at] as SyncHandle).pending).toBe(n)
    }
    const became = (status: SyncStatus['status']) =>
      new Promise<SyncStatus>((resolve) => {
        const stop = sync.status.subscribe(() => {
          if (shown(sync).status !== status) return
          stop()
          resolve(shown(sync))
        })
      })
    const channel = new BroadcastChannel('tidemark-sync:tabs')
    const healing = became('healing')
    const counts = { cursor: 0, head: 0, pending: 2, behind: 0, refused: 0 }
    channel.postMessage({ kind: 'status', owner: 'old', hasLock: true, status: { status: 'healing', ...counts } })
    expect(await healing).toMatchObject({ pending: 5 })
    channel.close()
    for (const { stop } of syncs) await stop()
    await leader.close()
    await follower.close()
  })

  test('a leader that counts more than this tab has heard of: this tab looks', async () => {
    const url = 'https://x.test/logs/a'
    const offline = async () => Promise.reject(new TypeError('no network'))
    const open = (clock?: Clock) => openOnDevice({ name: 'deaf', events, url, fetch: offline, clock })
    const stores = [await open(), await open(virtualClock())] as const
    const [leads, follows] = stores.map((store) => startSync(store, { wake: 'poll' })) as [SyncHandle, SyncHandle]
    await leads.now()
    await vi.waitFor(() => expect(shown(follows)).toMatchObject({ status: 'offline', pending: 0 }))
    // A tab that is closed before it tells the others.
    const other = await open()
    await other.append('s', events.Added(null))
    await other.close()
    expect(await leads.now()).toMatchObject({ status: 'offline', pending: 1 })
    await vi.waitFor(() => expect(shown(follows)).toMatchObject({ status: 'offline', pending: 1 }))
    for (const { stop } of [leads, follows]) await stop()
    for (const store of stores) await store.close()
  })
})
