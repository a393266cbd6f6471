// What is decided on pending commits that expect nothing: their place in the stream is not known yet.
import { defineCommand, defineEvents, execute, refuse, type EventShape } from 'tidemark'
import { defineCommands } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'
import { expect, test } from 'vitest'
import { firstState } from '../../../src/sync/change-rules.js'
import { toSend } from '../../../src/sync/rules/batches.js'
import type { OutboxRow } from '../../../src/sync/sync-state.js'
import { syncedDevice } from '../../support/synced-devices.js'

type Seats = { type: 'SeatTaken'; data: { n: number } } | { type: 'Noted'; data: { text: string } }
const events = defineEvents<Seats>()
const commands = defineCommands({
  take: defineCommand(events, (stream: string, limit: number) => ({
    streams: [stream],
    initial: 0,
    evolve: (taken, event) => (event.type === 'SeatTaken' ? taken + 1 : taken),
    decide: (taken) => (taken >= limit ? refuse('full') : [{ stream, type: 'SeatTaken', data: { n: taken + 1 } }]),
  })),
})

async function plane() {
  const server = testSyncServer()
  const device = (user: string) => syncedDevice(server, user, { events, commands, isAway: true })
  return { server, anna: await device('anna'), bert: await device('bert') }
}

const taken = (log: readonly EventShape[]) =>
  log.filter(({ type }) => type === 'SeatTaken').map(({ data }) => (data as { n: number }).n)

test('a command that was decided on a pending commit without expectations sees what came before that', async () => {
  const { server, anna, bert } = await plane()
  await execute(anna.store, commands.take('flight', 9))
  await bert.store.append('flight', events.Noted({ text: 'a window, please' }))
  await execute(bert.store, commands.take('flight', 9))
  await anna.join(1)
  await bert.join(1)
  expect(taken(await server.log())).toEqual([1, 2])
  expect(await bert.store.outbox()).toEqual([])
})

test('the last seat is sold once', async () => {
  const { server, anna, bert } = await plane()
  await execute(anna.store, commands.take('flight', 1))
  await bert.store.append('flight', events.Noted({ text: 'a window, please' }))
  await execute(bert.store, commands.take('flight', 1))
  await anna.join(1)
  await bert.join(1)
  expect(taken(await server.log())).toEqual([1])
  const [left] = await bert.store.outbox()
  expect(left).toMatchObject({ status: 'refused', refusal: { code: 'command-refused', message: 'full' } })
})

test('an append with an expected version is refused then', async () => {
  const { server, anna, bert } = await plane()
  await anna.store.append('flight', events.Noted({ text: 'first' }))
  await bert.store.append('flight', events.Noted({ text: 'second' }))
  await bert.store.append('flight', events.Noted({ text: 'third' }), { expectedVersion: 1 })
  await anna.join(1)
  await bert.join(1)
  expect((await server.log()).length).toBe(2)
  expect((await bert.store.outbox()).map(({ refusal }) => refusal?.code)).toEqual(['conflict'])
})

test('without foreign events nothing is decided again, and the order of the outbox stays', async () => {
  const { server, bert } = await plane()
  await bert.store.append('flight', events.Noted({ text: 'one' }))
  await execute(bert.store, commands.take('flight', 9))
  await bert.store.append('flight', events.Noted({ text: 'two' }))
  await execute(bert.store, commands.take('flight', 9))
  await bert.store.append('flight', events.Noted({ text: 'three' }))
  const before = (await bert.store.outbox()).map(({ events: [event] }) => event?.id)
  await bert.join(1)
  expect((await server.log()).map(({ id }) => id)).toEqual(before)
  expect(await bert.store.outbox()).toEqual([])
})

test('a discarded commit takes along what was decided on it, also under a later one', async () => {
  const { server, bert } = await plane()
  await bert.store.append('flight', { type: 'SeatTaken', data: { n: 1 } })
  await bert.store.append('flight', events.Noted({ text: 'a window, please' }))
  await execute(bert.store, commands.take('flight', 9))
  const [first] = await bert.store.outbox()
  await first?.discard()
  await bert.join(1)
  expect(taken(await server.log())).toEqual([1])
})

test('a discarded commit takes along what was decided on it, also a command under a later one', async () => {
  const { server, bert } = await plane()
  await execute(bert.store, commands.take('flight', 9))
  await bert.store.append('flight', events.Noted({ text: 'a window, please' }))
  await execute(bert.store, commands.take('flight', 9))
  const [first] = await bert.store.outbox()
  await first?.discard()
  await bert.join(1)
  expect(taken(await server.log())).toEqual([1])
})

const row = (n: number, stream: string, on?: string | null, more: Partial<OutboxRow> = {}): OutboxRow => ({
  n,
  name: `e${n}`,
  time: 0,
  events: [{ type: 'Noted', stream, id: `e${n}`, idGiven: false, time: 0, schema: 1, data: '{}', meta: undefined }],
  expect: on === undefined ? [] : [[stream, on]],
  ...more,
})
const sentOf = (...outbox: OutboxRow[]) => {
  const { commits, waiting } = toSend({ state: { ...firstState('log'), head: 9 }, outbox })
  return { commits: commits.map(({ n }) => n), waiting: waiting.map(({ n }) => n) }
}

test('what was decided on a loose commit goes with it, and waits with it', () => {
  const outbox = [row(1, 's'), row(2, 's', 'e1'), row(3, 's'), row(4, 't', null), row(5, 't', 'e4')]
  expect(sentOf(...outbox).commits).toEqual([1, 2, 3, 4, 5])
  expect(sentOf(row(1, 's', undefined, { accepted: 9 }), ...outbox.slice(1)).commits).toEqual([2, 3, 4, 5])
  expect(sentOf(row(1, 's', undefined, { behind: 'x' }), ...outbox.slice(1))).toEqual({
    commits: [4, 5],
    waiting: [1, 2, 3],
  })
})

test('what was decided on a commit that is being cancelled waits, and later ones of its streams stay behind it', () => {
  const outbox = [
    row(1, 's', undefined, { cancel: true }),
    row(2, 't', undefined, { requires: ['e1'] }),
    row(3, 't'),
    row(4, 'u', 'e3'),
    row(5, 'u', undefined, { requires: ['e3'] }),
    row(6, 'v'),
  ]
  expect(sentOf(...outbox)).toEqual({ commits: [6], waiting: [] })
})

test('a commit says which version it expects of a stream: pending events count', async () => {
  const { server, anna, bert } = await plane()
  await anna.store.append('flight', [events.Noted({ text: 'one' }), events.Noted({ text: 'two' })])
  await anna.join(1)
  await bert.join(1)
  await bert.store.append('flight', events.Noted({ text: 'three' }))
  await execute(bert.store, commands.take('flight', 9))
  const pushes: unknown[] = []
  server.refuse((commit) => {
    pushes.push(commit.expect)
    return false
  })
  await bert.join(1)
  const [, , third] = await server.log()
  expect(pushes).toEqual([undefined, { flight: [third?.id, 3] }])
})
