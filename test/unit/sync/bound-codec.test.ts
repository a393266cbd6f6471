// A codec that binds what it encrypts to the event's id: commits that get other ids are encoded for those.
import { expect, test } from 'vitest'
import { defineCommand, defineEvents, type Codec } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import { defineCommands, startSync } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'
import { execute } from 'tidemark'

const events = defineEvents<{ type: 'Added'; data: { n: number } }>()
const commands = defineCommands({
  add: defineCommand(events, () => ({
    streams: ['s'],
    initial: 0,
    evolve: (n) => n + 1,
    decide: (n) => [{ ...events.Added({ n }), stream: 's' }],
  })),
})
const bound: Codec = {
  encode: async (data, { id }) => ({ id, data }),
  async decode(stored, { id }) {
    const sealed = stored as { id: string; data: unknown }
    if (sealed.id !== id) throw new Error(`bound to ${sealed.id}, not ${id}`)
    return sealed.data
  },
}

async function device(server: ReturnType<typeof testSyncServer>, user: string) {
  const way = server.connection()
  const headers = () => ({ authorization: `Bearer ${user}` })
  const store = await openSyncedStore({
    name: user,
    events,
    codec: bound,
    commands,
    url: server.url,
    fetch: way.fetch,
    headers,
  })
  const sync = startSync(store, { wake: 'poll' })
  await sync.now()
  return {
    store,
    sync,
    way,
    async close() {
      await sync.stop()
      await store.close()
    },
  }
}

test.each(['command', 'retry'])('%s', async (kind) => {
  const server = testSyncServer()
  const [anna, bert] = [await device(server, 'anna'), await device(server, 'bert')]
  // Each comes back alone, so that it is known whose commit is first.
  for (const { way } of [anna, bert]) way.partition('both')
  for (const { store } of [anna, bert]) {
    if (kind === 'command') await execute(store, commands.add())
    else await store.append('s', events.Added({ n: 7 }), { expectedVersion: 'no-stream' })
  }
  for (const { way, sync } of [anna, bert]) {
    way.partition()
    await sync.now()
  }
  if (kind === 'retry') {
    const [refused] = await bert.store.outbox()
    expect(refused?.status).toBe('refused')
    expect((await refused?.retry())?.status).toBe('pending')
    await bert.sync.now()
  }
  await bert.sync.now()
  await anna.sync.now()
  for (const { store } of [anna, bert]) {
    const read: number[] = []
    for await (const { data } of store.read()) read.push(data.n)
    expect(read).toEqual(kind === 'command' ? [0, 1] : [7, 7])
  }
  await anna.close()
  await bert.close()
})
