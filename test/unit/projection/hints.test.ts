// H63, H66, H68: a run looks into hints itself, and a liar makes it look once a second.
import { expect, test } from 'vitest'
import type { PageRequest } from '../../../src/log/event-store.js'
import { settle } from '../../../src/projection/config.js'
import { newRun } from '../../../src/projection/batching.js'
import { runMachine } from '../../../src/projection/runner.js'
import { fakeBackend, fakeRows, fakeTarget } from './fake-backend.js'

/** `headOf`: the head that a page is told with, by how far it reaches and by what the head is. */
function running(headOf = (_scannedTo: number, head: number) => head, limit = Infinity) {
  const backend = fakeBackend()
  const rows = fakeRows()
  const controller = new AbortController()
  let hint = (_head: number) => {}
  let reads = 0
  let duringRead = (_reads: number) => {}
  const reader = {
    ...backend.reader,
    async readPage(request: PageRequest) {
      reads += 1
      const read = await backend.reader.readPage({ ...request, limit: Math.min(request.limit, limit) })
      duringRead(reads)
      return { ...read, head: headOf(read.scannedTo, read.head) }
    },
  }
  const run = runMachine(
    {
      target: fakeTarget(rows) as never,
      settings: settle({ clock: backend.clock, poll: { emptyBackoff: 600_000 } }, 'continuous'),
      owner: 'a',
      run: newRun(),
      report: () => {},
      ports: {
        reader: reader as never,
        onHint: (listener) => {
          hint = listener
          return () => {
            hint = () => {}
          }
        },
      },
    },
    controller.signal,
  )
  return {
    rows,
    clock: backend.clock,
    /** Appends without a word of the reader's own. */
    append: (count: number) => backend.append(count),
    hint: (head: number) => hint(head),
    /** Calls back within each read. */
    whileReading: (listener: (reads: number) => void) => {
      duringRead = listener
    },
    get reads() {
      return reads
    },
    async end() {
      controller.abort()
      await backend.clock.runUntil(run)
    },
  }
}

test('a hint wakes a run at once', async () => {
  const it = running()
  await it.clock.advance(1000)
  it.append(3)
  it.hint(3)
  await it.clock.advance(0)
  expect(it.rows.position).toBe(3)
  await it.end()
})

test('after a hint that was not true a run looks once a second, however many come, and a true one among them is heard by then', async () => {
  const it = running()
  await it.clock.advance(1000)
  const before = it.reads
  for (let n = 0; n < 10_000; n += 1) {
    it.hint(Number.MAX_SAFE_INTEGER)
    if (n % 10 === 0) await it.clock.advance(1)
  }
  expect(it.reads - before).toBeLessThanOrEqual(4)
  it.append(3)
  it.hint(3)
  await it.clock.advance(1000)
  expect(it.rows.position).toBe(3)
  await it.end()
})

test('a hint that is newer than what a page was read with is no lie, and the next one is heard at once', async () => {
  // The first two pages were read when there were ten events, the last one asks again.
  const it = running((scannedTo, head) => (scannedTo < 10 ? 10 : head), 5)
  it.whileReading(() => it.hint(12))
  it.append(10)
  it.hint(10)
  it.append(2)
  await it.clock.advance(0)
  expect(it.rows.position).toBe(12)
  it.whileReading(() => {})
  it.append(1)
  it.hint(13)
  await it.clock.advance(0)
  expect(it.rows.position).toBe(13)
  await it.end()
})

test('a run that ended leaves no timer', async () => {
  const it = running()
  await it.clock.advance(1000)
  it.hint(9)
  await it.clock.advance(0)
  await it.end()
  expect(it.clock.pending).toBe(0)
})
