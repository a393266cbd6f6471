// What was decided on events that a restored server lost, and that come back behind others (N100).
import { defineCommand, defineEvents, execute, refuse, type EventShape } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import { defineCommands, startSync } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'

import { expect, onTestFinished, test } from 'vitest'
import { isSoundRow } from '../../../src/sync/sound-rows.js'
import { arrived, isAwaiting, withLost } from '../../../src/sync/rules/lost.js'
import type { OutboxRow } from '../../../src/sync/sync-state.js'

type Seats = { type: 'SeatTaken'; data: { seat: string; by: string } } | { type: 'Noted'; data: { text: string } }
const events = defineEvents<Seats>()
const commands = defineCommands({
  take: defineCommand(events, (flight: string, by: string, wanted: readonly string[]) => ({
    streams: [flight],
    initial: [] as string[],
    evolve: (taken, event) => (event.type === 'SeatTaken' ? [...taken, event.data.seat] : taken),
    decide: (taken) => {
      const seat = wanted.find((each) => !taken.includes(each))
      return seat === undefined ? refuse('full') : [{ stream: flight, type: 'SeatTaken', data: { seat, by } }]
    },
  })),
})

async function plane() {
  const server = testSyncServer()
  await server.append([{ stream: 'other', type: 'Noted', data: { text: 'first' } }], 'x')
  const device = async (user: string) => {
    const connection = server.connection()
    const store = await openSyncedStore({
      name: user,
      events,
      commands,
      url: server.url,
      fetch: connection.fetch,
      headers: () => ({ authorization: `Bearer ${user}` }),
    })
    const sync = startSync(store)
    const rounds = async (times = 3) => {
      for (let round = 0; round < times; round += 1) await sync.now()
    }
    onTestFinished(async () => {
      await sync.stop()
      await store.close()
    })
    await rounds(1)
    return {
      store,
      rounds,
      leave: () => connection.partition('both'),
      join: async () => {
        connection.partition()
        await rounds()
      },
      take: (...wanted: string[]) => execute(store, commands.take('flight', user, wanted)),
    }
  }
  return { server, anna: await device('anna'), bert: await device('bert'), carla: await device('carla') }
}

const seats = (log: readonly EventShape[]) =>
  log.filter(({ type }) => type === 'SeatTaken').map(({ data }) => (data as { seat: string }).seat)

/** Carla took seat A, Bert has seen it, and the server lost it; all are offline. */
async function forgetful() {
  const { server, ...devices } = await plane()
  const { anna, bert, carla } = devices
  const backup = server.backup()
  await carla.take('A')
  await carla.rounds()
  await bert.rounds()
  for (const each of Object.values(devices)) each.leave()
  server.restore(backup)
  const takes = async (device: typeof anna, seat: string) => {
    await device.join()
    await device.take(seat)
    await device.rounds()
  }
  return { server, anna, bert, carla, takes }
}

test('a command is decided again if others came before what it was decided on: no seat is sold twice', async () => {
  const { server, anna, bert, carla, takes } = await forgetful()
  await bert.take('F', 'G')
  await takes(anna, 'F')
  await carla.join()
  await bert.join()
  expect(seats(await server.log())).toEqual(['F', 'A', 'G'])
  expect(await bert.store.outbox()).toEqual([])
})

test('also if those are pulled before the event comes back, which may be never', async () => {
  const { server, anna, bert, takes } = await forgetful()
  await bert.take('F', 'G')
  await takes(anna, 'F')
  await bert.join()
  expect(seats(await server.log())).toEqual(['F', 'G'])
})

test('a commit without a command is refused then, with what was in the way', async () => {
  const { server, anna, bert, carla, takes } = await forgetful()
  await bert.store.append('flight', events.Noted({ text: 'by the window' }), { expectedVersion: 1 })
  await takes(anna, 'F')
  await carla.join()
  await bert.join()
  const [foreign] = (await server.log()).filter(({ stream }) => stream === 'flight')
  const [left] = await bert.store.outbox()
  expect(left).toMatchObject({ status: 'refused', refusal: { code: 'conflict', stream: 'flight', id: foreign?.id } })
})

test('it is behind until the event is back, is not sent before that was pulled, and then as it was decided', async () => {
  const { server, bert, carla } = await forgetful()
  await bert.take('F', 'G')
  const [before] = await bert.store.outbox()
  await bert.join()
  const [waiting] = await bert.store.outbox()
  expect(waiting).toMatchObject({ status: 'pending', behind: expect.any(String) })
  await carla.join()
  await bert.rounds()
  expect(seats(await server.log())).toEqual(['A', 'F'])
  expect((await server.log()).at(-1)?.id).toBe(before?.id)
})

test('retry decides it again without the event, and discard ends it', async () => {
  const { server, bert } = await forgetful()
  await bert.take('F', 'G')
  await bert.store.append('other', events.Noted({ text: 'in another stream' }))
  await bert.take('H')
  await bert.join()
  const [first, second] = await bert.store.outbox()
  await second?.discard()
  await first?.retry()
  await bert.rounds()
  expect(seats(await server.log())).toEqual(['F'])
  expect(await bert.store.outbox()).toEqual([])
})

test('what the device has seen before its own lost commit is in no way of what it decided on that', async () => {
  const { server, bert, carla } = await plane()
  const backup = server.backup()
  await carla.take('A')
  await carla.rounds()
  await bert.rounds()
  await bert.take('B')
  await bert.rounds()
  bert.leave()
  carla.leave()
  server.restore(backup)
  await bert.store.append('flight', events.Noted({ text: 'by the window' }), { expectedVersion: 2 })
  await bert.join()
  await carla.join()
  await bert.rounds()
  expect((await server.log()).map(({ type }) => type)).toEqual(['Noted', 'SeatTaken', 'SeatTaken', 'Noted'])
  expect(await bert.store.outbox()).toEqual([])
})

test('what lies between the event and the commit says nothing of it: the commit waits for it nevertheless', async () => {
  const { server, bert, carla } = await forgetful()
  await bert.store.append('flight', events.Noted({ text: 'by the window' }))
  await bert.take('F', 'G')
  await bert.join()
  expect((await server.log()).map(({ type }) => type)).toEqual(['Noted', 'Noted'])
  await carla.join()
  await bert.rounds()
  expect(seats(await server.log())).toEqual(['A', 'F'])
  expect(await bert.store.outbox()).toEqual([])
})

const row = (n: number, expected: OutboxRow['expect'], more: Partial<OutboxRow> = {}): OutboxRow => ({
  n,
  name: `e${n}`,
  time: 0,
  events: [{ type: 'Noted', stream: 's', id: `e${n}`, idGiven: false, time: 0, schema: 1, data: '{}', meta: undefined }],
  expect: expected,
  ...more,
})
const lost = new Map([
  ['s', ['a', 'b', 'c']],
  ['t', ['d']],
])

test('what a commit has seen ends where it expects the stream to end, and own events come back by themselves', () => {
  const rows = [row(1, [['s', 'b']]), row(2, [['s', null]]), row(3, [['u', 'x']]), row(4, [['s', 'x']])]
  const [first, ...others] = withLost(rows, lost, new Set())
  expect(first).toMatchObject({ behind: 'b', lost: { saw: ['a', 'b'], awaits: ['b'] } })
  expect(others).toEqual(rows.slice(1))
  expect(withLost(rows, lost, new Set(['b']))[0]).toEqual({ ...rows[0], lost: { saw: ['a', 'b'], awaits: [] } })
})

test('refused commits and those that are decided again anyway are left as they are', () => {
  const rows = [
    row(1, [['s', 'b']], { refused: { code: 'no', message: '' } }),
    row(2, [['s', 'b']], { undecided: { code: 'conflict' } }),
  ]
  expect(withLost(rows, lost, new Set())).toEqual(rows)
})

test('of several events that it expects, each is waited for, and a server that is restored again adds to them', () => {
  const expected: OutboxRow['expect'] = [
    ['s', 'b'],
    ['t', 'd'],
  ]
  const [both] = withLost([row(1, expected)], lost, new Set()) as [OutboxRow]
  expect(both).toMatchObject({ behind: 'b', lost: { awaits: ['b', 'd'] } })
  expect(isSoundRow(both)).toBe(true)
  const one = arrived(both, 'b')
  expect(one).toMatchObject({ behind: 'd', lost: { awaits: ['d'] } })
  expect(arrived(both, 'd')).toMatchObject({ behind: 'b', lost: { awaits: ['b'] } })
  const none = arrived(one, 'd')
  expect([isAwaiting(one), isAwaiting(none), 'behind' in none]).toEqual([true, false, false])
  const [again] = withLost([one], new Map([['s', ['z', 'a', 'b']]]), new Set()) as [OutboxRow]
  expect(again).toMatchObject({ behind: 'd', lost: { saw: ['a', 'b', 'd', 'z'], awaits: ['d', 'b'] } })
  // What the server said it lacks is another event.
  expect(arrived({ ...none, behind: 'y' }, 'd').behind).toBe('y')
})

test('the ids that are remembered are limited: the newest are kept, and the events that it waits for', () => {
  const ids = Array.from({ length: 2000 }, (_, index) => `i${index}`)
  const [one] = withLost([row(1, [['s', 'i1999']])], new Map([['s', ids]]), new Set()) as [OutboxRow]
  expect(one.lost?.saw.length).toBe(500)
  expect(one.lost?.saw.at(-1)).toBe('i1999')
  const many = Array.from({ length: 1000 }, (_, index) => row(index, [['s', 'i1999']]))
  const all = withLost(many, new Map([['s', ids]]), new Set())
  expect(all.every((each) => each.lost?.saw.length === 100 && isAwaiting(each))).toBe(true)
})

test.each([{ lost: { saw: [1], awaits: [] } }, { lost: { saw: [] } }, { lost: null }])(
  'rows that were edited by hand are noticed: %j',
  (more) => expect(isSoundRow({ ...row(1, []), ...(more as object) })).toBe(false),
)
