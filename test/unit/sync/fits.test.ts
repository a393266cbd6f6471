// What a device takes, a server takes as well: also what an append expects counts.
import { describe, expect, test } from 'vitest'
import { defineEvents, type StreamWrite } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import { syncOnce } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'
import { seededRandom } from '../../../src/testing/random.js'

type AnyEvent = { type: 'Added'; data: string }
const events = defineEvents<AnyEvent>()
const opened = async () => {
  const server = testSyncServer()
  const store = await openSyncedStore({ name: 'fits', events, url: server.url, fetch: server.fetch })
  return { server, store }
}
/** Of 255 characters, which take three bytes each. */
const longName = (n: number) => `${n}-`.padEnd(255, '字')

describe('a commit whose names are too many bytes for a server', () => {
  test('is refused by the device, and nothing is stored', async () => {
    const { server, store } = await opened()
    const data = 'x'.repeat(250_000)
    const writes: StreamWrite<AnyEvent>[] = [{ stream: 'a', events: [events.Added(data), events.Added(data)] }]
    for (let n = 0; n < 900; n += 1) writes.push({ stream: longName(n), events: [], expectedVersion: 'no-stream' })
    await expect(store.append(writes)).rejects.toMatchObject({ code: 'invalid-event', outcome: 'not-written' })
    await expect(
      store.append('a', [events.Added(data), events.Added(data)], {
        condition: {
          failIfEventsMatch: { types: Array.from({ length: 900 }, (_, n) => longName(n)) as 'Added'[] },
          after: 0,
        },
      }),
    ).rejects.toMatchObject({ code: 'invalid-event', outcome: 'not-written' })
    expect(await store.outbox()).toEqual([])
    // Half of the names are no problem.
    await store.append([...writes.slice(0, 400)])
    expect(await syncOnce(store)).toMatchObject({ status: 'idle', pending: 0, refused: 0 })
    expect(await server.log()).toHaveLength(2)
    await store.close()
  })

  test('what the device takes the server never finds too large', async () => {
    const random = seededRandom(7)
    const kinds = ['x', '"', 'é', '字', '😀', '\u0000']
    const verdicts = { taken: 0, refused: 0 }
    for (let round = 0; round < 24; round += 1) {
      const { server, store } = await opened()
      const kind = kinds[round % kinds.length] as string
      const wide = (length: number) => kind.repeat(Math.floor(length / kind.length))
      const size = Math.floor(random() * 180_000)
      const writes: StreamWrite<AnyEvent>[] = [
        { stream: 's', events: Array.from({ length: 1 + Math.floor(random() * 5) }, () => events.Added(wide(size))) },
      ]
      const names = Math.floor(random() * 1000)
      for (let n = 0; n < names; n += 1)
        writes.push({ stream: `${n}-${wide(200)}`.slice(0, 255).trim(), events: [], expectedVersion: 'no-stream' })
      const isTaken = await store.append(writes).then(
        () => true,
        (error: { code?: string }) => {
          if (error.code !== 'invalid-event' && error.code !== 'invalid-name') throw error
          return false
        },
      )
      verdicts[isTaken ? 'taken' : 'refused'] += 1
      if (isTaken) expect(await syncOnce(store)).toMatchObject({ status: 'idle', refused: 0, pending: 0 })
      else expect(await server.log()).toEqual([])
      await store.close()
    }
    expect(verdicts.taken).toBeGreaterThan(3)
    expect(verdicts.refused).toBeGreaterThan(3)
  })
})
