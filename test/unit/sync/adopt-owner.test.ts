// Adopting while another user, or another log, responds at the address of the synced store.
import { expect, test } from 'vitest'
import { openEventStore, openSyncedStore } from 'tidemark/memory'
import { adoptStore, syncOnce } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'

const local = async () => {
  const store = await openEventStore({ name: 'local' })
  for (let n = 0; n < 3; n += 1) await store.append('s', { type: 'A', data: n })
  return store
}

test('N95: nothing is sent as another user than the one whose store this is', async () => {
  const server = testSyncServer()
  let user = 'anna'
  let pushes = 0
  const synced = await openSyncedStore({
    name: 'synced',
    url: server.url,
    headers: () => ({ Authorization: `Bearer ${user}` }),
    async fetch(url, init) {
      // A loop would have no end.
      if (init?.method === 'POST' && (pushes += 1) > 5) throw new TypeError('Failed to fetch')
      return server.fetch(url, init)
    },
  })
  await syncOnce(synced, {})
  user = 'bert'
  expect(await adoptStore(await local(), synced)).toEqual({ confirmed: 0, pending: 3 })
  expect(pushes).toBe(0)
  expect(await server.log()).toEqual([])
  expect(await syncOnce(synced, {})).toMatchObject({ status: 'stopped', reason: 'other-author', pending: 3 })
  user = 'anna'
  await syncOnce(synced, {})
  expect(await server.log()).toHaveLength(3)
  await synced.close()
})

test('N95: nothing is sent to another log than the one that this store knows', async () => {
  const servers = [testSyncServer(), testSyncServer()]
  let at = 0
  let pushes = 0
  const synced = await openSyncedStore({
    name: 'synced',
    url: 'http://127.0.0.1:9/',
    async fetch(url, init) {
      if (init?.method === 'POST' && (pushes += 1) > 5) throw new TypeError('Failed to fetch')
      const server = servers[at] as (typeof servers)[number]
      return server.fetch(
        String(url instanceof Request ? url.url : url).replace('http://127.0.0.1:9', server.url.replace(/\/$/, '')),
        init,
      )
    },
  })
  await syncOnce(synced, {})
  at = 1
  expect(await adoptStore(await local(), synced)).toEqual({ confirmed: 0, pending: 3 })
  expect(pushes).toBe(0)
  expect(await servers[1]?.log()).toEqual([])
  expect(await syncOnce(synced, {})).toMatchObject({ status: 'stopped', reason: 'other-log', pending: 3 })
  await synced.close()
})
