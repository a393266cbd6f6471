// What a context says of its own commits after another one gave them back to a restored server, and after a reload.
import 'fake-indexeddb/auto'
import { expect, test } from 'vitest'
import { defineCommand, defineEvents, execute } from 'tidemark'
import { defineCommands, openSyncedStore, startSync } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'

type Event = { type: 'Added'; data: { n: number } }
const events = defineEvents<Event>()
const commands = defineCommands({
  add: defineCommand(events, (stream: string) => ({
    streams: [stream],
    initial: 0,
    evolve: (count: number) => count + 1,
    decide: (count: number) => [{ stream, type: 'Added' as const, data: { n: count } }],
  })),
})

let count = 0
const fresh = () => `own-commits-${(count += 1)}`

test('a commit that another context gave back is where it is now, not where it was', async () => {
  const server = testSyncServer()
  const { url, fetch } = server
  const name = fresh()
  const [one, two] = [
    await openSyncedStore({ name, events, url, fetch }),
    await openSyncedStore({ name, events, url, fetch }),
  ]
  const backup = server.backup()
  const { commit } = await one.append('a', events.Added({ n: 1 }))
  const first = startSync(one)
  await first.now()
  expect(await commit?.settled()).toMatchObject({ status: 'confirmed', position: 1 })
  await first.stop()
  server.restore(backup)
  await server.append([{ stream: 'a', type: 'Added', data: { n: 2 } }], 'bert')
  const second = startSync(two)
  await second.now()
  await second.now()
  await second.stop()
  expect(await two.head()).toBe(2)
  const known = await one.ownCommit(commit!.id)
  expect(known).toMatchObject({ id: commit!.id, status: 'confirmed', position: 2, events: [{ data: { n: 1 } }] })
  expect(await commit?.settled()).toMatchObject({ status: 'confirmed', position: 2, events: [{ data: { n: 1 } }] })
  await one.close()
  await two.close()
})

test('a commit that was decided again keeps its name after a reload', async () => {
  const server = testSyncServer()
  const { url, fetch } = server
  const name = fresh()
  const open = () => openSyncedStore({ name, events, url, fetch, commands })
  const store = await open()
  const result = await execute(store, commands.add('a'))
  const { commit } = result as { commit?: { id: string } }
  await server.append([{ stream: 'a', type: 'Added', data: { n: 7 } }], 'bert')
  const sync = startSync(store)
  await sync.now()
  await sync.now()
  const decidedAgain = { id: commit!.id, status: 'confirmed', position: 2, events: [{ data: { n: 1 } }] }
  expect(await store.ownCommit(commit!.id)).toMatchObject(decidedAgain)
  await store.close()
  const later = await open()
  const known = await later.ownCommit(commit!.id)
  expect(known).toMatchObject(decidedAgain)
  expect(await later.ownCommit(known!.events[0]!.id)).toMatchObject(decidedAgain)
  await later.close()
})
