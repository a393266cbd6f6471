// How long a local store waits for a server that does not respond, on a virtual clock.
import { expect, test, vi } from 'vitest'
import { openEventStore, openSyncedStore } from 'tidemark/memory'
import { testSyncServer, virtualClock } from 'tidemark/testing'
import { startSync } from 'tidemark/sync'
import { adopt } from '../../../src/sync/adopt-store.js'

/** `respond`: what becomes of the n-th push, from 1. */
async function stores(respond: (push: number) => 'well' | 'late' | 'lost' | 'silence') {
  const clock = virtualClock({ start: Date.UTC(2026, 0, 1), seed: 3 })
  const server = testSyncServer({ clock })
  let [pushes, pulls] = [0, 0]
  const fetch: typeof globalThis.fetch = async (url, init) => {
    // An adoption itself only asks whether the server knows the chain.
    if (String(url).includes('/pull') && !String(url).endsWith('limit=1')) pulls += 1
    const outcome = init?.method === 'POST' ? respond((pushes += 1)) : 'well'
    if (outcome === 'silence')
      return new Promise((_, reject) => init?.signal?.addEventListener('abort', () => reject(new Error('aborted'))))
    const response = await server.fetch(url, init)
    // Behind the hint of what it is about.
    if (outcome === 'late') await new Promise<void>((resolve) => clock.schedule(80, resolve))
    if (outcome === 'lost') throw new TypeError('Failed to fetch')
    return response
  }
  const local = await openEventStore({ name: 'local' })
  const meta = { text: 'x'.repeat(250_000) }
  for (let n = 0; n < 9; n += 1) await local.append('s', { type: 'A', data: n, meta })
  const synced = await openSyncedStore({ name: 'synced', url: server.url, fetch, clock })
  return { clock, server, local, synced, pushes: () => pushes, pulls: () => pulls }
}

const turn = () => new Promise((resolve) => setTimeout(resolve))

test('N95: a server that does not respond in the beginning is waited for 5 s', async () => {
  const { clock, local, synced, pushes } = await stores(() => 'silence')
  let result: unknown
  const adopting = adopt(local, synced, {}).then((adopted) => (result = adopted))
  await vi.waitUntil(() => pushes() === 1, { timeout: 20_000 })
  await clock.advance(4_900)
  expect(result).toBeUndefined()
  await clock.advance(200)
  await adopting
  expect(result).toEqual({ confirmed: 0, pending: 9 })
  expect(pushes()).toBe(1)
  await synced.close()
})

test('N95: once it has begun, a response that is lost is asked for again', async () => {
  const { clock, server, local, synced, pushes } = await stores((push) => (push === 2 ? 'lost' : 'well'))
  const adopting = adopt(local, synced, {})
  for (; pushes() < 3; await turn()) if (pushes() === 2) await clock.advance(100)
  expect(await adopting).toEqual({ confirmed: 9, pending: 0 })
  expect(pushes()).toBe(4)
  expect(await server.log()).toHaveLength(9)
  await synced.close()
})

test('N95: a server that is gone is asked three times, and the rest waits in the outbox', async () => {
  const { clock, local, synced, pushes } = await stores((push) => (push === 1 ? 'well' : 'lost'))
  const adopting = adopt(local, synced, {})
  for (; pushes() < 4; await turn()) if (pushes() >= 2) await clock.advance(100)
  expect(await adopting).toEqual({ confirmed: 3, pending: 6 })
  expect(pushes()).toBe(4)
  await synced.close()
})

test('N95: what waits for it ends the waiting for the server', async () => {
  const { local, synced, pushes } = await stores((push) => (push === 1 ? 'well' : 'silence'))
  const impatience = new AbortController()
  const adopting = adopt(local, synced, {}, impatience.signal)
  await vi.waitUntil(() => pushes() === 2, { timeout: 20_000 })
  impatience.abort()
  expect(await adopting).toEqual({ confirmed: 3, pending: 6 })
  await synced.close()
})

test('what is adopted is not fetched from the server once more, where a sync runs', async () => {
  const { clock, local, synced, pushes, pulls } = await stores(() => 'late')
  const sync = startSync(synced)
  for (; sync.status.getSnapshot().status !== 'idle'; await turn()) await clock.advance(50)
  const before = pulls()
  let result: unknown
  const adopting = adopt(local, synced, {}).then((adopted) => (result = adopted))
  for (; result === undefined; await turn()) await clock.advance(5)
  await adopting
  expect([result, pushes()]).toEqual([{ confirmed: 9, pending: 0 }, 3])
  await clock.advance(5_000)
  // The first hint comes before anything shows that this device adopts.
  expect(pulls() - before).toBeLessThanOrEqual(1)
  expect(sync.status.getSnapshot()).toMatchObject({ status: 'idle', cursor: 9, pending: 0 })
  await sync.stop()
  await synced.close()
})
