// A tab of an older build syncs what a newer build wrote.
import { defineCommand, defineEvents, execute, refuse } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import { defineCommands, syncOnce } from 'tidemark/sync'
import { testSyncServer, virtualClock } from 'tidemark/testing'
import { expect, onTestFinished, test } from 'vitest'
import { catalogueCore } from '../../../src/events/catalogue.js'
import { decideAgain, type Deciding } from '../../../src/sync/decide-again.js'
import type { OutboxRow } from '../../../src/sync/sync-state.js'
import { syncedDevice } from '../../support/synced-devices.js'

type Shop = { type: 'Placed' | 'Shipped' | 'Cancelled' | 'HandedOver'; data: null }
const all = defineEvents<Shop>()
const orders = () =>
  defineCommands({
    cancel: defineCommand(all, (stream: string) => ({
      streams: [stream],
      initial: false,
      evolve: (gone, { type }) => gone || type === 'Shipped' || type === 'HandedOver',
      decide: (gone) => (gone ? refuse('gone') : [{ stream, type: 'Cancelled', data: null }]),
    })),
  })

const upcast = { 1: (data: unknown) => data }
const builds = {
  'a type': [
    defineEvents({ Placed: {}, Shipped: {}, Cancelled: {} }),
    defineEvents({ Placed: {}, HandedOver: {}, Cancelled: {} }),
    'HandedOver',
  ],
  'a version': [
    defineEvents({ Placed: {}, Shipped: {}, Cancelled: {} }),
    defineEvents({ Placed: {}, Shipped: { version: 2, upcast }, Cancelled: {} }),
    'Shipped',
  ],
} as const

test.for(['a type', 'a version'] as const)(
  'N111: a command that would be decided again over %s of a newer build waits as newer-format, and the newer build decides it',
  async (what) => {
    const [older, newer, type] = builds[what]
    const server = testSyncServer()
    const commands = orders()
    const connection = server.connection()
    const options = (events: object) => ({
      name: 'anna',
      url: server.url,
      fetch: connection.fetch,
      headers: () => ({ authorization: 'Bearer anna' }),
      commands,
      events: events as never,
    })
    const store = await openSyncedStore<Shop>(options(older))
    const bert = await syncedDevice<Shop>(server, 'bert', { events: newer as never })
    await store.append('order', { type: 'Placed', data: null })
    await syncOnce(store)
    await bert.rounds(1)
    await bert.store.append('order', { type, data: null })
    await bert.rounds(1)
    connection.partition('both')
    const result = await execute(store, commands.cancel('order'))
    await store.append('another', { type: 'Placed', data: null })
    connection.partition()
    const status = await syncOnce(store)
    expect(status).toMatchObject({
      status: 'waiting',
      reason: 'newer-format',
      message: expect.stringContaining('reload the page'),
      pending: 1,
      refused: 0,
    })
    // Other streams are sent all the same.
    expect((await server.log()).map((event) => [event.stream, event.type])).toEqual([
      ['order', 'Placed'],
      ['order', type],
      ['another', 'Placed'],
    ])
    expect(result).toMatchObject({ type: 'accepted' })
    expect(await store.outbox()).toMatchObject([{ status: 'pending', events: [{ type: 'Cancelled' }] }])
    await store.close()
    onTestFinished(() => store.close())
  },
)

test.for([
  ['N37: a gap in a stream', { type: 'Placed', version: 2 }, 'log-inconsistent'],
  ['N111: a type of a newer build', { type: 'HandedOver', version: 1 }, 'event-unreadable'],
] as const)('%s is no fault of the command that is decided again: nothing is refused', async ([, change, code]) => {
  const event = { data: null, stream: 'order', position: 1, id: 'a', time: 1, ...change }
  const deciding: Deciding = {
    commands: orders(),
    context: {
      catalogue: catalogueCore(defineEvents({ Placed: {}, Shipped: {}, Cancelled: {} })),
      codec: undefined,
      clock: virtualClock(),
      maxEventCharacters: 1000,
    },
    async *stream() {
      yield [event]
    },
    pending: () => undefined,
  }
  const row = { command: { name: 'cancel', args: '["order"]' } } as OutboxRow
  await expect(decideAgain(row, deciding)).rejects.toMatchObject({ code, position: 1 })
})
