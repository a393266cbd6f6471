// What one process sends to others: merged, in few statements, and never more than PostgreSQL takes.
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Notifier } from '../../../src/postgres/notifier.js'
import type { Database } from '../../../src/postgres/sql-database.js'
import { parseHint, type Hint } from '../../../src/platform/signals.js'

const seed = 20261130

type Sent = Extract<Hint, { readonly projection: string }>

/** Statements that end when the test says so. */
function database() {
  const payloads: string[] = []
  let end = () => {}
  const query = (_text: string, [, payload]: readonly unknown[]) => {
    payloads.push(payload as string)
    return new Promise<void>((resolve) => (end = resolve))
  }
  return { payloads, end: () => end(), database: { query } as unknown as Database }
}

const committed = (projection: string, position: number): Sent => ({
  kind: 'committed',
  projection,
  position,
  revision: position,
  from: 'a',
  to: 'b',
  changes: new Map(),
})

/** Everything that another process hears of payloads. */
function heard(payloads: readonly string[], by = new Notifier(database().database, 'c')): unknown[] {
  const all: unknown[] = []
  for (const payload of payloads)
    by.receive(payload, {
      head: (name, head) => all.push([name, head]),
      hint: (name, message) => all.push([name, parseHint(message)]),
    })
  return all
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('the first is sent immediately, and what comes until 10 ms later is one statement with the last of each', async () => {
  const { payloads, end, database: one } = database()
  const notifier = new Notifier(one, 'c')
  for (const head of [1, 2, 3]) notifier.head('log', head)
  for (const position of [1, 2]) notifier.hint('log', committed('sums@1', position))
  notifier.hint('other', { kind: 'control', projection: 'sums@1' })
  expect(heard(payloads)).toEqual([['log', 1]])
  end()
  await vi.advanceTimersByTimeAsync(9)
  expect(payloads.length).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(heard(payloads.slice(1))).toEqual([
    ['log', 3],
    ['log', { ...committed('sums@1', 2), changes: undefined }],
    ['other', { kind: 'control', projection: 'sums@1' }],
  ])
})

test('is settled once others were notified of all that was there, however much comes after it', async () => {
  const { end, database: one } = database()
  const notifier = new Notifier(one, 'c')
  await notifier.settled()
  notifier.head('a', 1)
  notifier.head('b', 1)
  let isSettled = false
  void notifier.settled().then(() => (isSettled = true))
  for (let round = 0; round < 2; round += 1) {
    expect(isSettled).toBe(false)
    notifier.head('c', round + 1)
    end()
    await vi.advanceTimersByTimeAsync(10)
  }
  expect(isSettled).toBe(true)
})

test('a process does not hear its own hints', () => {
  const { payloads, database: one } = database()
  const notifier = new Notifier(one, 'c')
  notifier.hint('log', committed('sums@1', 1))
  expect(heard(payloads, notifier)).toEqual([])
  expect(heard(payloads).length).toBe(1)
})

test('whatever a projection is called, it arrives, in ASCII and below the limit', async () => {
  const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 255 })
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 30 }), async (names) => {
      const { payloads, end, database: one } = database()
      const notifier = new Notifier(one, 'c')
      for (const each of names) notifier.hint('log', { kind: 'control', projection: each })
      for (let round = 0; round < names.length; round += 1) {
        end()
        await vi.advanceTimersByTimeAsync(10)
      }
      for (const payload of payloads) expect(payload).toMatch(/^[ -~\n]{1,7999}$/)
      expect(heard(payloads)).toEqual(names.map((projection) => ['log', { kind: 'control', projection }]))
    }),
    { seed, numRuns: 20 },
  )
})

test('any payload at all is heard without harm', () => {
  const word = fc.oneof(fc.constantFrom('log', '~', '', '1', '{}', '{"kind":"control","projection":"p"}'), fc.string())
  const line = fc.array(word).map((words) => words.join(' '))
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      for (const each of heard([lines.join('\n')])) expect(each).toHaveLength(2)
    }),
    { seed, numRuns: 1000 },
  )
})
