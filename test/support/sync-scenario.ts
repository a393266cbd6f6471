/**
 * Two devices, tabs, a service worker and a server that is killed: what one appends is in the rows of all. Run on Chromium
 * by test/e2e/sync.spec.ts, on the other engines by test/engines/storm/sync.node.test.ts. What runs in pages is sent as
 * source, so it must not refer to anything outside itself.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Realm } from '../e2e/harness/main.js'
import type { Tidemark } from '../e2e/harness/rpc.js'
import type { SyncServerProcess } from './sync-server-process.js'

type State = Record<string, any>

/** A tab of a device. */
export interface Tab {
  run<Result, Arg>(
    realm: Realm,
    body: (tidemark: Tidemark, arg: Arg, state: State) => Result | Promise<Result>,
    arg: Arg,
  ): Promise<Result>
  close(): Promise<void>
}

/** A browser profile. */
export interface DeviceBrowser {
  openTab(): Promise<Tab>
}

/** What a tab shows. */
export interface Shown {
  readonly status: string
  readonly reason?: string
  readonly cursor: number
  readonly pending: number
  readonly rows: readonly { readonly id: string; readonly n: number }[]
}

/** What the test expects, as its framework says it. */
export type Same = (actual: unknown, expected: unknown, what: string) => void

async function open(tidemark: Tidemark, url: string, state: State): Promise<void> {
  const events = tidemark.defineEvents<{ type: 'Added'; data: { to: string } }>()
  const store = (state['store'] = await tidemark.sync.openSyncedStore({ name: 'shop', events, url }))
  const counts = tidemark.defineProjection(events, {
    name: 'counts',
    tables: { rows: tidemark.table<{ id: string; n: number }>({ key: 'id' }) },
    on: { Added: ({ data }, { rows }) => rows.update(data.to, (row) => ({ id: data.to, n: (row?.n ?? 0) + 1 })) },
  })
  state['sync'] = tidemark.sync.startSync(store)
  state['projection'] = tidemark.startProjection(store as never, counts)
  state['view'] = await tidemark.openReadModel(store as never, counts)
}

const append = async (_tidemark: Tidemark, to: readonly string[], { store }: State): Promise<void> => {
  for (const each of to) await store.append('stream', { type: 'Added', data: { to: each } })
}

const show = async (_tidemark: Tidemark, _arg: undefined, { sync, view }: State): Promise<Shown> => ({
  ...sync.status.getSnapshot(),
  rows: await view.rows.getAll(),
})

const log = async (_tidemark: Tidemark, _arg: undefined, { store }: State): Promise<readonly string[]> => {
  const found: string[] = []
  for await (const { id, position } of store.read()) found.push(`${position} ${id}`)
  return found
}

const now = async (_tidemark: Tidemark, _arg: undefined, { sync }: State): Promise<void> => void (await sync.now())
const stop = (_tidemark: Tidemark, _arg: undefined, { sync }: State): Promise<void> => sync.stop()

/** In a service worker: one round on a store of its own, which is closed again. */
async function once(tidemark: Tidemark, url: string): Promise<{ status: string; pending: number }> {
  const store = await tidemark.sync.openSyncedStore({ name: 'shop', url })
  try {
    const { status, pending } = await tidemark.sync.syncOnce(store)
    return { status, pending }
  } finally {
    await store.close()
  }
}

const DEADLINE = 30_000

/** Resolves once a tab shows this. */
async function until(tab: Tab, check: (shown: Shown) => boolean, what: string): Promise<void> {
  let shown: Shown | undefined
  for (const deadline = performance.now() + DEADLINE; performance.now() < deadline; await sleep(20)) {
    shown = await tab.run('page', show, undefined)
    if (check(shown)) return
  }
  throw new Error(`${what}: ${JSON.stringify(shown)}`)
}

const counts = (shown: Shown): string => shown.rows.map(({ id, n }) => `${id}${n}`).join(' ')

/** Plays it. Returns how many events there were. */
export async function playSync(
  one: DeviceBrowser,
  other: DeviceBrowser,
  server: SyncServerProcess,
  same: Same,
): Promise<number> {
  const opened = async (device: DeviceBrowser) => {
    const tab = await device.openTab()
    await tab.run('page', open, server.url)
    return tab
  }
  const first = await opened(one)
  await until(first, ({ status }) => status === 'idle', 'the first tab has nothing to do')
  let second = await opened(one)
  const third = await opened(other)
  const arrives = async (tab: Tab, wanted: string, what: string) =>
    until(tab, (shown) => counts(shown) === wanted, `${what}, ${wanted}`)
  // Rows show what is pending, too: what a device appended may not be confirmed yet.
  const settles = async (tab: Tab, wanted: string, what: string) =>
    until(tab, (shown) => counts(shown) === wanted && shown.pending === 0, `${what}, ${wanted}, and nothing pending`)

  // From a tab that does not lead, to another device; and back, to both tabs.
  await second.run('page', append, ['a'])
  await arrives(third, 'a1', 'a row on the other device')
  await third.run('page', append, ['b'])
  for (const tab of [first, second, third]) await settles(tab, 'a1 b1', 'a row in every tab')

  // The server is killed; both work on.
  await server.kill()
  await first.run('page', append, ['a', 'a'])
  await third.run('page', append, ['b', 'c'])
  for (const [tab, pending] of [
    [first, 2],
    [second, 2],
    [third, 2],
  ] as const)
    await until(
      tab,
      (shown) => shown.status === 'offline' && shown.pending === pending,
      'offline, with what is pending',
    )
  await server.start()
  await second.run('page', now, undefined)
  await third.run('page', now, undefined)
  await second.run('page', now, undefined)
  for (const tab of [first, second, third]) await settles(tab, 'a3 b2 c1', 'what was done meanwhile')

  // The tab that leads is closed.
  await first.close()
  await second.run('page', append, ['d'])
  await arrives(third, 'a3 b2 c1 d1', 'from the tab that is left')
  await settles(second, 'a3 b2 c1 d1', 'of its own')

  // A tab is closed with something pending, and opened again.
  await server.kill()
  await second.run('page', append, ['e'])
  await second.close()
  await server.start()
  second = await opened(one)
  await until(second, ({ pending, status }) => pending === 0 && status === 'idle', 'nothing is pending')
  // Which would look by itself, but not so soon: its stream of hints ended with the server.
  await third.run('page', now, undefined)
  await arrives(third, 'a3 b2 c1 d1 e1', 'after a reload')

  // No tab syncs: the service worker does.
  await second.run('page', stop, undefined)
  await second.run('page', append, ['f'])
  same(await second.run('service', once, server.url), { status: 'idle', pending: 0 }, 'one round of the worker')
  await third.run('page', now, undefined)
  await arrives(third, 'a3 b2 c1 d1 e1 f1', 'by the service worker')
  await arrives(second, 'a3 b2 c1 d1 e1 f1', 'here too')
  const [here, there] = [await second.run('page', log, undefined), await third.run('page', log, undefined)]
  same(here, there, 'the same log on both devices')
  same(there.length, 9, 'every event once')
  return there.length
}
