// What an app asks before a user signs out: how much is pending, whatever syncing does.
import { expect, test } from 'vitest'
import { defineEvents } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import { startSync } from 'tidemark/sync'
import { testSyncServer, virtualClock } from 'tidemark/testing'

const events = defineEvents<{ type: 'Added'; data: null }>()

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
