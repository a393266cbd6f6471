// Following a log: each event once and in order, whatever becomes of the notifications, the storage and the loop.
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { ClosedError, StorageBusyError, StorageFailedError, StorageLostError } from '../../../src/errors.js'
import type { RecordedEvent } from '../../../src/events/event.js'
import { follow } from '../../../src/log/follow.js'
import { headWatch } from '../../../src/log/head-watch.js'
import type { ReadPage } from '../../../src/log/pages.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'

/** A log of numbers whose reads and notifications a test controls. */
function logOf(initial = 0) {
  const clock = virtualClock()
  const log = { head: initial, most: Infinity, failing: undefined as unknown, pages: 0, looks: 0 }
  const event = (position: number) => ({ position }) as RecordedEvent
  const watch = headWatch(clock, async () => {
    log.looks += 1
    if (log.failing !== undefined) throw log.failing
    return log.head
  })
  const readPage: ReadPage = async ({ after = 0, limit, signal }) => {
    signal?.throwIfAborted()
    log.pages += 1
    if (log.failing !== undefined) throw log.failing
    const { head } = log
    const scannedTo = Math.min(head, after + Math.min(limit, log.most))
    return { events: Array.from({ length: scannedTo - after }, (_, at) => event(after + at + 1)), scannedTo, head }
  }
  const closing = new AbortController()
  const found: number[] = []
  const open = (options: { after?: number; signal?: AbortSignal } = {}) =>
    follow(readPage, options, { clock, watch, closing: closing.signal })
  const loop = (options?: { after?: number; signal?: AbortSignal }) => {
    const iterator = open(options)
    const ended = (async () => {
      for await (const { position } of iterator) found.push(position)
      return 'left'
    })()
    ended.catch(() => {})
    return { iterator, ended }
  }
  return { clock, log, watch, closing, found, open, loop }
}

test('what is there comes first, then what a notification tells of, at once', async () => {
  const { clock, log, watch, found, loop } = logOf(3)
  const { iterator } = loop({ after: 1 })
  await clock.advance(0)
  expect(found).toEqual([2, 3])
  log.head = 5
  watch.hinted(5)
  await clock.advance(0)
  expect(found).toEqual([2, 3, 4, 5])
  await iterator.return?.()
  expect(clock.pending).toBe(0)
})

test('H66: of a lost notification a look learns within 5 s; of none it makes no page', async () => {
  const { clock, log, found, loop } = logOf(1)
  loop()
  await clock.advance(0)
  const { pages } = log
  await clock.advance(20_000)
  expect([log.pages, log.looks]).toEqual([pages, 4])
  log.head = 2
  await clock.advance(4_999)
  expect(found).toEqual([1])
  await clock.advance(1)
  expect(found).toEqual([1, 2])
})

test('a hundred loops look once every 5 s together, and not at all once they are left', async () => {
  const { clock, log, found, loop } = logOf()
  const loops = Array.from({ length: 100 }, () => loop())
  await clock.advance(10_000)
  expect(log.looks).toBe(2)
  log.head = 1
  await clock.advance(5_000)
  expect([log.looks, found.length]).toEqual([3, 100])
  for (const { iterator } of loops) await iterator.return?.()
  expect(clock.pending).toBe(0)
  await clock.advance(60_000)
  expect(log.looks).toBe(3)
})

test('nothing is read before the first step, and no page further than the loop asks for', async () => {
  const { clock, log, watch, closing } = logOf(10_000)
  const readPage: ReadPage = async ({ after = 0, limit }) => {
    log.pages += 1
    const scannedTo = Math.min(after + limit, log.head)
    return {
      events: Array.from({ length: scannedTo - after }, (_, at) => ({ position: after + at + 1 }) as RecordedEvent),
      scannedTo,
      head: log.head,
    }
  }
  const iterator = follow(readPage, {}, { clock, watch, closing: closing.signal })
  await clock.advance(60_000)
  expect([log.pages, log.looks, clock.pending]).toEqual([0, 0, 0])
  for (let at = 1; at <= 1024; at += 1) expect((await iterator.next()).value).toMatchObject({ position: at })
  expect(log.pages).toBe(1)
  await iterator.next()
  expect(log.pages).toBe(2)
  await iterator.return?.()
})

test('return ends a loop that waits: its step is done, and nothing is left behind', async () => {
  const { clock, loop } = logOf()
  const { iterator, ended } = loop()
  await clock.advance(0)
  expect(await iterator.return?.()).toEqual({ done: true, value: undefined })
  expect(await ended).toBe('left')
  expect(await iterator.next()).toEqual({ done: true, value: undefined })
  expect(clock.pending).toBe(0)
})

test.each(['while it waits', 'while it catches up', 'before the first step', 'after a failure'])(
  'a signal that aborts %s rejects with its reason, and leaves no listener behind',
  async (when) => {
    const { clock, log, loop } = logOf(when === 'while it catches up' ? 5 : 0)
    const controller = new AbortController()
    const removed = vi.spyOn(controller.signal, 'removeEventListener')
    const reason = new Error('gone')
    if (when === 'before the first step') controller.abort(reason)
    if (when === 'after a failure') log.failing = new StorageFailedError('no', {})
    const { iterator, ended } = loop({ signal: controller.signal })
    if (when !== 'while it catches up') await clock.advance(0)
    controller.abort(reason)
    await expect(ended).rejects.toBe(reason)
    expect(clock.pending).toBe(0)
    if (when !== 'before the first step') expect(removed).toHaveBeenCalled()
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  },
)

test('steps that return overtakes end without an error, whenever it comes', async () => {
  const { open, clock } = logOf(3)
  let values = 0
  for (let turns = 0; turns < 20; turns += 1) {
    const iterator = open()
    const steps = [iterator.next(), iterator.next(), iterator.next()]
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
    steps.push(iterator.return?.() as (typeof steps)[0], iterator.next())
    for (const { done } of await Promise.all(steps)) values += done === true ? 0 : 1
  }
  expect(values).toBeGreaterThan(0)
  expect(clock.pending).toBe(0)
})

test('closing the store rejects with what it says, at once', async () => {
  const { clock, closing, loop } = logOf()
  const { ended } = loop()
  await clock.advance(0)
  const closed = new ClosedError('The store')
  closing.abort(closed)
  await expect(ended).rejects.toBe(closed)
  expect(clock.pending).toBe(0)
})

test.each([new StorageFailedError('no', {}), new StorageBusyError('no', {})])(
  'a storage that fails is tried again after 1, 2, 4 … 30 s, and the loop goes on where it was: %s',
  async (failure) => {
    const { clock, log, found, loop } = logOf(2)
    loop()
    await clock.advance(0)
    log.failing = failure
    log.head = 4
    await clock.advance(5_000)
    const first = log.pages
    const tries: number[] = []
    for (let second = 1; second <= 130; second += 1) {
      await clock.advance(1_000)
      if (log.pages > first + tries.length) tries.push(second)
    }
    expect(tries.slice(0, 6)).toEqual([1, 3, 7, 15, 31, 61])
    log.failing = undefined
    await clock.advance(30_000)
    expect(found).toEqual([1, 2, 3, 4])
  },
)

test('a log that is lost ends the loop, within a look', async () => {
  const { clock, log, loop } = logOf(2)
  const { ended } = loop()
  await clock.advance(0)
  const lost = new StorageLostError('gone', {})
  log.failing = lost
  await clock.advance(5_000)
  await expect(ended).rejects.toBe(lost)
  expect(clock.pending).toBe(0)
})

test('H66: each event once and in order, over any appends, notifications and failures', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('append' as const), count: fc.integer({ min: 1, max: 3000 }), told: fc.boolean() }),
    fc.record({ kind: fc.constant('lie' as const), head: fc.integer({ min: 0, max: 2 ** 40 }) }),
    fc.record({ kind: fc.constant('fail' as const), failing: fc.boolean() }),
    fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 40_000 }) }),
    fc.record({ kind: fc.constant('short pages' as const), most: fc.integer({ min: 1, max: 700 }) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.integer({ min: 0, max: 50 }), async (steps, after) => {
      const { clock, log, watch, found, loop } = logOf(50)
      const { iterator } = loop({ after })
      for (const each of steps) {
        if (each.kind === 'append') {
          log.head += each.count
          if (each.told) watch.hinted(log.head)
        } else if (each.kind === 'lie') watch.hinted(each.head)
        else if (each.kind === 'fail') log.failing = each.failing ? new StorageFailedError('no', {}) : undefined
        else if (each.kind === 'short pages') log.most = each.most
        else await clock.advance(each.ms)
      }
      log.failing = undefined
      log.most = Infinity
      await clock.advance(35_000)
      expect(found).toEqual(Array.from({ length: log.head - after }, (_, at) => after + at + 1))
      await iterator.return?.()
      watch.stop()
      expect(clock.pending).toBe(0)
    }),
    { numRuns: 60 },
  )
})
