// What a context has pulled itself is not read again by those who follow the log, nor is it asked which log that is.
import { expect, test, vi } from 'vitest'
import { anyEvents } from '../../../src/events/catalogue-core.js'
import { MemoryLog } from '../../../src/log/memory/memory-log.js'
import { systemClock } from '../../../src/platform/clock.js'
import { confirmedPages } from '../../../src/sync/confirmed-pages.js'
import { MemorySyncStorage } from '../../../src/sync/memory/memory-sync-storage.js'
import { OutboxKeeper } from '../../../src/sync/outbox-keeper.js'
import { met } from '../../../src/sync/rules/contact.js'
import { pulled } from '../../../src/sync/rules/pulled.js'
import type { SyncRule } from '../../../src/sync/sync-state.js'

const by = { log: 'l', epoch: 'e', author: '' }
const chainAt = (position: number) => (position === 0 ? '0'.repeat(32) : `c${position}`)

async function opened() {
  const memory = new MemoryLog({ catalogue: anyEvents, codec: undefined })
  const read = vi.spyOn(memory, 'readPage')
  const storage = new MemorySyncStorage(memory, 'identity')
  const looks = vi.spyOn(storage, 'stamp')
  const keeper: OutboxKeeper = new OutboxKeeper({
    storage,
    clock: systemClock,
    pulled: (state, events) => log.pulled(state, events),
    takenBack() {},
  })
  const log = confirmedPages({ log: memory, keeper, catalogue: anyEvents, codec: undefined, forget() {} })
  const change = async (rule: SyncRule) => {
    expect(await keeper.change(await keeper.load(), rule)).toMatchObject({ kind: 'stored' })
  }
  await change((snapshot) => met(snapshot, by, 0))
  let head = 0
  const pull = async (count: number) => {
    const at = head + 1
    const events = Array.from({ length: count }, (_, index) => ({
      stream: `s${at + index}`,
      type: index % 2 === 0 ? 'Even' : 'Odd',
      id: `e${at + index}`,
      idGiven: true,
      time: 5,
      schema: 1 + (index % 2),
      data: `{"list":[${at + index}]}`,
      meta: index === 0 ? '{"tab":1}' : undefined,
    }))
    const page = {
      kind: 'page' as const,
      by,
      after: { at: head, chain: chainAt(head) },
      events: { at, events, versions: events.map(() => 1), starts: new Set([0]) },
      cursor: { at: head + count, chain: chainAt(head + count) },
      head: head + count,
    }
    await change((snapshot) => pulled(snapshot, page))
    head += count
  }
  const reset = () => [read, looks].forEach((each) => each.mockClear())
  return { log, keeper, storage, read, looks, pull, reset }
}

const own = { own: true, unreadable: 'collect' } as const

test('a short page that was pulled here is what the storage has, and no other reads get it', async () => {
  const { log, read, pull, reset } = await opened()
  await pull(3)
  await pull(4)
  for (const filter of [{}, { types: ['Odd'] }, { streamPrefix: 's6' }]) {
    const stored = await log.readPage({ after: 3, limit: 10, filter }, { unreadable: 'collect' })
    reset()
    const { events, scannedTo, head } = await log.readPage({ after: 3, limit: 10, filter }, own)
    expect({ events, scannedTo, head }).toEqual({ events: stored.events, scannedTo: 7, head: 7 })
    expect(events).toHaveLength(filter.types === undefined ? (filter.streamPrefix === undefined ? 4 : 1) : 2)
    expect(read).not.toHaveBeenCalled()
  }
  reset()
  for (const [request, options] of [
    [{ after: 3, limit: 10 }, {}],
    [{ after: 3, limit: 3 }, own],
    [{ after: 2, limit: 10 }, own],
    [{ after: 4, limit: 10 }, own],
    [{ limit: 10 }, own],
  ] as const)
    await log.readPage(request, options)
  expect(read).toHaveBeenCalledTimes(5)
})

test('what a handler does to an event is not seen by the next one that gets it', async () => {
  const { log, pull } = await opened()
  await pull(1)
  for (let run = 0; run < 2; run += 1) {
    const [event] = (await log.readPage({ limit: 10 }, own)).events
    const data = event?.data as { list: number[] }
    expect(data).toEqual({ list: [1] })
    data.list.push(2)
  }
})

test('a long page is read, and so is one behind which another context has stored more', async () => {
  const { log, read, keeper, storage, pull, reset } = await opened()
  await pull(17)
  reset()
  await log.readPage({ limit: 100 }, own)
  expect(read).toHaveBeenCalledTimes(1)
  await pull(1)
  const there = await storage.load()
  const events = [{ stream: 't', type: 'T', id: 'f', idGiven: true, time: 5, schema: 1, data: '1', meta: undefined }]
  const page = {
    kind: 'page' as const,
    by,
    after: there.state.cursor,
    events: { at: 19, events, versions: [1], starts: new Set([0]) },
    cursor: { at: 19, chain: 'c19' },
    head: 19,
  }
  // As another tab does.
  await storage.change(there, (snapshot) => pulled(snapshot, page))
  await keeper.fresh()
  reset()
  expect(await log.readPage({ after: 17, limit: 10 }, own)).toMatchObject({ head: 19 })
  expect(read).toHaveBeenCalledTimes(1)
})

test('which log it is, is looked at again after events were read, and not for what was pulled here', async () => {
  const { log, looks, pull, reset } = await opened()
  await pull(2)
  await log.known()
  reset()
  await log.readPage({ limit: 10 }, own)
  await log.known()
  expect(looks).not.toHaveBeenCalled()
  await log.readPage({ after: 2, limit: 10 })
  await log.known()
  expect(looks).not.toHaveBeenCalled()
  await log.readPage({ limit: 1 })
  await log.known()
  await log.known()
  expect(looks).toHaveBeenCalledTimes(1)
  // The second event is of a newer build.
  await expect(log.readPage({ after: 1, limit: 1 })).rejects.toThrow()
  await log.known()
  expect(looks).toHaveBeenCalledTimes(2)
})
