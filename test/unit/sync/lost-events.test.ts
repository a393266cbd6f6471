// What was decided on events that a restored server lost, and that come back behind others (N100).
import { defineCommand, defineEvents, execute, refuse, type EventShape } from 'tidemark'
import { defineCommands } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'
import { expect, test } from 'vitest'
import { syncedDevice } from '../../support/synced-devices.js'

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
  list: defineCommand(events, (flight: string, list: string) => ({
    streams: [flight, list],
    initial: 0,
    evolve: (count) => count + 1,
    decide: (count) => [{ stream: list, type: 'Noted', data: { text: `${count} before` } }],
  })),
})

async function plane() {
  const server = testSyncServer()
  await server.append([{ stream: 'other', type: 'Noted', data: { text: 'first' } }], 'x')
  const device = async (user: string) => {
    const own = await syncedDevice(server, user, { events, commands })
    return { ...own, take: (...wanted: string[]) => execute(own.store, commands.take('flight', user, wanted)) }
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

test('N100: a command is decided again if others came before what it was decided on: no seat is sold twice', async () => {
  const { server, anna, bert, carla, takes } = await forgetful()
  await bert.take('F', 'G')
  await takes(anna, 'F')
  await carla.join()
  await bert.join()
  expect(seats(await server.log())).toEqual(['F', 'A', 'G'])
  expect(await bert.store.outbox()).toEqual([])
})

test('also if the event never comes back', async () => {
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
  const [left] = await bert.store.outbox()
  expect(left).toMatchObject({ status: 'refused', refusal: { code: 'conflict', stream: 'flight' } })
  // Its last event is the one that was expected.
  expect(left?.refusal).not.toHaveProperty('id')
  expect(seats(await server.log())).toEqual(['F', 'A'])
})

test('it is behind until the event is back, and then stored as it was decided', async () => {
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

test('an own commit between hides nothing: what was decided on it waits for the lost event, too', async () => {
  const { server, bert, carla } = await forgetful()
  await bert.store.append('flight', events.Noted({ text: 'by the window' }))
  await bert.take('A', 'F')
  await bert.join()
  expect((await server.log()).map(({ type }) => type)).toEqual(['Noted', 'Noted'])
  await carla.join()
  await bert.rounds()
  expect(seats(await server.log())).toEqual(['A', 'F'])
  expect(await bert.store.outbox()).toEqual([])
})

test('what waits with a commit that is behind is decided again whenever others write there, and is not refused for it', async () => {
  const { server, anna, bert, carla } = await plane()
  const backup = server.backup()
  anna.leave()
  await carla.take('A')
  await carla.rounds()
  await bert.rounds()
  await bert.store.append('flight', events.Noted({ text: 'by the window' }))
  await bert.rounds()
  carla.leave()
  bert.leave()
  server.restore(backup)
  await bert.join()
  await anna.join()
  // Its own note waits for Carla's seat, which it was written behind, and this waits for the note.
  await execute(bert.store, commands.list('flight', 'list'))
  for (let times = 0; times < 35; times += 1) {
    await anna.take(`B${times}`)
    await anna.rounds()
    await bert.rounds()
    expect((await bert.store.outbox()).map(({ status }) => status)).toEqual(['pending', 'pending'])
  }
  await carla.join()
  await bert.rounds()
  expect(await bert.store.outbox()).toEqual([])
  const log = await server.log()
  expect(seats(log).at(-1)).toBe('A')
  // All that was in the stream by then: the seats of both, and the note.
  expect(log.at(-1)).toMatchObject({ stream: 'list', data: { text: '37 before' } })
})
