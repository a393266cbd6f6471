// Commits that are decided again together, and what was decided on them meanwhile.
import { expect, test } from 'vitest'
import { defineCommand, defineEvents, execute } from 'tidemark'
import { defineCommands, openSyncedStore, syncOnce } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

type Counted =
  | { type: 'Added'; data: { n: number } }
  | { type: 'Aimed'; data: { at: string } }
  | { type: 'Hit'; data: { at: string } }
const events = defineEvents<Counted>()

const commands = defineCommands({
  add: defineCommand(events, (stream: string) => ({
    streams: [stream],
    initial: 0,
    evolve: (count) => count + 1,
    decide: (count) => [{ stream, type: 'Added', data: { n: count + 1 } }],
  })),
  hit: defineCommand(events, () => ({
    streams: ['aim'],
    initial: 'x',
    evolve: (at, each) => (each.type === 'Aimed' ? each.data.at : at),
    discover: (at) => [at],
    decide: (at) => [
      { stream: 'aim', type: 'Hit', data: { at } },
      { stream: at, type: 'Hit', data: { at } },
    ],
  })),
})

test('what is decided on a commit that falls with another one is not left waiting for it', async () => {
  const server = testSyncServer()
  const remote = { url: server.url, fetch: server.fetch }
  const mine = await openSyncedStore({ name: 'together', events, commands, ...remote })
  const worker = await openSyncedStore({ name: 'together', events, ...remote })
  const other = await openSyncedStore({ name: 'other', events, ...remote })
  await execute(mine, commands.add('a'))
  await other.append('a', { type: 'Added', data: { n: 1 } })
  await syncOnce(other, {})
  // Without the commands it leaves the conflict to others.
  await syncOnce(worker, {})
  const plain = await mine.append({ stream: 'a', expectedVersion: 2, events: [{ type: 'Added', data: { n: 3 } }] })
  await other.append('aim', { type: 'Aimed', data: { at: 'a' } })
  await syncOnce(other, {})
  await execute(mine, commands.hit())
  const status = await syncOnce(mine, {})
  expect((await plain.commit?.settled())?.status).toBe('refused')
  expect(status).toMatchObject({ pending: 0, behind: 0, refused: 1 })
  expect((await server.log()).map(({ stream, type }) => `${stream} ${type}`)).toEqual([
    'a Added',
    'aim Aimed',
    'a Added',
    'aim Hit',
    'a Hit',
  ])
  for (const store of [mine, worker, other]) await store.close()
})

test('one whose arguments cannot be read at the moment does not keep those before it', async () => {
  const server = testSyncServer()
  const remote = { url: server.url, fetch: server.fetch }
  const codec = {
    encode: (data: unknown) => data,
    decode(data: unknown) {
      if (Array.isArray(data) && data[0] === 'b') throw new Error('no key')
      return data
    },
  }
  const mine = await openSyncedStore({ name: 'locked', events, commands, codec, ...remote })
  const other = await openSyncedStore({ name: 'locked-other', events, codec, ...remote })
  for (const stream of ['a', 'b']) {
    await execute(mine, commands.add(stream))
    await other.append(stream, { type: 'Added', data: { n: 1 } })
  }
  await syncOnce(other, {})
  for (let n = 0; n < 2; n += 1) await syncOnce(mine, {}).catch(() => {})
  expect((await server.log()).map(({ stream, data }) => [stream, data])).toEqual([
    ['a', { '~': { n: 1 } }],
    ['b', { '~': { n: 1 } }],
    ['a', { '~': { n: 2 } }],
  ])
  expect(await mine.outbox()).toMatchObject([{ status: 'pending', events: [{ stream: 'b' }] }])
  for (const store of [mine, other]) await store.close()
})

test('many of one stream read it once for each hundred, and each of them sees those before it', async () => {
  const server = testSyncServer()
  const remote = { url: server.url, fetch: server.fetch }
  const mine = await openSyncedStore({ name: 'hundreds', events, commands, ...remote })
  const other = await openSyncedStore({ name: 'hundreds-other', events, ...remote })
  for (let n = 1; n <= 250; n += 1) await execute(mine, commands.add('a'))
  await other.append('a', { type: 'Added', data: { n: 1 } })
  await syncOnce(other, {})
  const transactions: string[] = []
  const begin = IDBDatabase.prototype.transaction
  IDBDatabase.prototype.transaction = function (...given: Parameters<typeof begin>) {
    transactions.push(`${String(given[0])} ${given[1]}`)
    return begin.apply(this, given)
  }
  const status = await syncOnce(mine, {})
  IDBDatabase.prototype.transaction = begin
  expect(status).toMatchObject({ pending: 0, refused: 0 })
  expect((await server.log()).map(({ data }) => data)).toEqual(Array.from({ length: 251 }, (_, n) => ({ n: n + 1 })))
  // Before, one for each command.
  expect(transactions.filter((each) => each === 'commits readonly').length).toBeLessThanOrEqual(6)
  for (const store of [mine, other]) await store.close()
})

test('another context that pulls in between: all of them are decided on what is before them then', async () => {
  const server = testSyncServer()
  const remote = { url: server.url, fetch: server.fetch }
  let decoded = 0
  let meanwhile = async () => {}
  const codec = {
    encode: (data: unknown) => data,
    async decode(data: unknown) {
      // The arguments of the fifth command that is decided again.
      if (Array.isArray(data) && (decoded += 1) === 5) await meanwhile()
      return data
    },
  }
  const mine = await openSyncedStore({ name: 'between', events, commands, codec, ...remote })
  const worker = await openSyncedStore({ name: 'between', events, codec, ...remote })
  const other = await openSyncedStore({ name: 'between-other', events, codec, ...remote })
  for (let n = 1; n <= 10; n += 1) await execute(mine, commands.add('a'))
  const theirs = async () => {
    await other.append('a', { type: 'Added', data: { n: 0 } })
    await syncOnce(other, {})
  }
  await theirs()
  meanwhile = async () => {
    await theirs()
    await syncOnce(worker, {})
  }
  expect(await syncOnce(mine, {})).toMatchObject({ pending: 0, refused: 0 })
  expect(decoded).toBeGreaterThan(10)
  const own = (await server.log()).map(({ data }) => (data as { '~': { n: number } })['~'].n).filter((n) => n > 0)
  expect(own).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  for (const store of [mine, worker, other]) await store.close()
})
