// A target that has to read rows for its events is told of more of them at a time than one page holds.
import { expect, test } from 'vitest'
import { openEventStore } from 'tidemark'
import { settle, type ProjectionOptions } from '../../../src/projection/config.js'
import { newRun } from '../../../src/projection/batching.js'
import { runMachine } from '../../../src/projection/runner.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { added, events, newName } from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { fakeRows, fakeTarget, upTo } from './fake-backend.js'

fakeIndexedDB()

const few = 10_000
const many = 40_000
/** Events that cannot be decoded, in one page and the next. */
const unreadable = [100, 4_500, 9_999]

async function pages(preparesMuch: boolean, config: ProjectionOptions = {}, to = 'a', count = few) {
  const decode = (data: unknown) => {
    if ((data as { amount: number }).amount < 0) throw new Error('no')
    return data
  }
  const store = await openEventStore({ name: newName(), events, codec: { encode: (data) => data, decode } })
  for (let from = 1; from <= count; from += 500) {
    await store.append({
      stream: 's',
      events: upTo(500).map((n) => added(to, unreadable.includes(from + n - 1) ? -1 : 1)),
    })
  }
  const clock = virtualClock()
  const rows = fakeRows()
  const sizes: number[] = []
  const target = fakeTarget(rows, { onFailure: () => 'park' })
  const run = runMachine(
    {
      target: { ...target, preparesMuch, prepare: (page) => void sizes.push(page.length) },
      settings: settle({ clock, ...config }, 'batch'),
      owner: 'a',
      run: newRun(),
      report: () => {},
      ports: { reader: store as never },
    },
    new AbortController().signal,
  )
  const result = await clock.runUntil(run)
  await store.close()
  return { sizes, rows, result }
}

test('eight pages at a time, and every event of them once, in order', async () => {
  const { sizes, rows, result } = await pages(true, {}, 'a', many)
  expect(sizes).toEqual([32_768, 7_232])
  expect(rows.applied).toEqual(upTo(many).filter((position) => !unreadable.includes(position)))
  expect(rows.letters.map(({ position }) => position)).toEqual(unreadable)
  expect(result).toMatchObject({ position: many, parked: 3, reason: 'caught-up' })
})

test('one page at a time for all others', async () => {
  const { sizes } = await pages(false)
  expect([Math.max(...sizes) <= 4_096, sizes.reduce((sum, size) => sum + size)]).toEqual([true, few])
})

test('few of large ones', async () => {
  const { sizes, rows } = await pages(true, {}, 'x'.repeat(4_000))
  expect(Math.max(...sizes)).toBeLessThan(3_000)
  expect(rows.applied.length).toBe(few - unreadable.length)
})

test('no more than the budget has room for', async () => {
  const { sizes, result } = await pages(true, { budget: { maxEvents: 5_000 } })
  expect([sizes, result.position, result.reason]).toEqual([[5_000], 5_000, 'budget'])
})
