// A command in a stream that others are always faster to write to, and what else its device does meanwhile.
import { expect, test, vi } from 'vitest'
import { defineCommand, defineEvents, execute } from 'tidemark'
import { defineCommands, openSyncedStore, startSync } from 'tidemark/sync'
import { testSyncServer, virtualClock } from 'tidemark/testing'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

type Counted = { type: 'Added'; data: { n: number } }
const events = defineEvents<Counted>()
const commands = defineCommands({
  add: defineCommand(events, () => ({
    streams: ['busy'],
    initial: 0,
    evolve: (count) => count + 1,
    decide: (count) => [{ stream: 'busy', type: 'Added', data: { n: count + 1 } }],
  })),
})

test('while it rests, other commits are sent, and a call tries it immediately', async () => {
  const clock = virtualClock()
  const server = testSyncServer({ clock })
  let tries = 0
  let isBusy = true
  const fetch: typeof globalThis.fetch = async (input, init) => {
    if (isBusy && typeof init?.body === 'string' && init.body.includes('"busy"')) {
      tries += 1
      await server.append([{ stream: 'busy', type: 'Added', data: { n: 0 } }])
    }
    return server.fetch(input, init)
  }
  const store = await openSyncedStore({ name: 'contended', events, commands, clock, url: server.url, fetch })
  const sync = startSync(store)
  await sync.now()
  await execute(store, commands.add())
  await vi.waitUntil(() => tries === 31, { timeout: 20_000 })
  // No time passes.
  const { commit } = await store.append('calm', { type: 'Added', data: { n: 1 } })
  expect((await commit?.settled())?.status).toBe('confirmed')
  expect([tries, sync.status.getSnapshot()]).toMatchObject([31, { status: 'working', pending: 1, refused: 0 }])
  isBusy = false
  expect(await sync.now()).toMatchObject({ status: 'idle', pending: 0, refused: 0 })
  expect((await server.log()).filter(({ stream }) => stream === 'busy').at(-1)?.data).toEqual({ n: 32 })
  await sync.stop()
  await store.close()
  expect(clock.pending).toBe(0)
})

test('its pause has its time, however much else there is to do, and it ends without a call', async () => {
  const clock = virtualClock()
  const server = testSyncServer({ clock })
  let tries = 0
  const fetch: typeof globalThis.fetch = async (input, init) => {
    if (typeof init?.body === 'string' && init.body.includes('"busy"')) {
      tries += 1
      await server.append([{ stream: 'busy', type: 'Added', data: { n: 0 } }])
    }
    return server.fetch(input, init)
  }
  const store = await openSyncedStore({ name: 'contended-long', events, commands, clock, url: server.url, fetch })
  const sync = startSync(store)
  await sync.now()
  await execute(store, commands.add())
  await vi.waitUntil(() => tries === 31, { timeout: 20_000 })
  for (let n = 0; n < 100 && tries < 34; n += 1) {
    const { commit } = await store.append('calm', { type: 'Added', data: { n } })
    await commit?.settled()
    await clock.advance(20)
  }
  expect(tries).toBeGreaterThanOrEqual(34)
  await sync.stop()
  await store.close()
})
