// When events come in faster than commits end: what makes a run wait for more of them, and what does not.
import { expect, test } from 'vitest'
import { settle } from '../../../src/projection/config.js'
import { newRun } from '../../../src/projection/batching.js'
import { runMachine } from '../../../src/projection/runner.js'
import type { Presence } from '../../../src/platform/page-lifecycle.js'
import { fakeBackend, fakeRows, fakeTarget, upTo } from './fake-backend.js'

/** How long a commit takes, ms. */
const took = 20

function running(presence: Presence = 'visible') {
  const backend = fakeBackend()
  const { clock } = backend
  const rows = fakeRows()
  const controller = new AbortController()
  let wanted = (_position: number) => {}
  const run = runMachine(
    {
      target: fakeTarget(rows, {
        commit: () => new Promise((done) => void clock.schedule(took, () => done(undefined))),
      }) as never,
      settings: settle({ clock, poll: { emptyBackoff: 600_000 } }, 'continuous'),
      owner: 'a',
      run: newRun(),
      report: () => {},
      ports: {
        reader: backend.reader as never,
        lifecycle: { presence: () => presence, subscribe: () => () => {} },
        onWanted: (listener) => {
          wanted = listener
          return () => {
            wanted = () => {}
          }
        },
      },
    },
    controller.signal,
  )
  return {
    rows,
    clock,
    append: (count = 1) => backend.append(count),
    want: (position: number) => wanted(position),
    /** Until the first commit is under way, and one more event came in. */
    async inBurst() {
      await clock.advance(1000)
      backend.append(1)
      await clock.advance(5)
      backend.append(1)
      await clock.advance(took - 5)
      expect(rows.position).toBe(1)
    },
    async end() {
      controller.abort()
      await clock.runUntil(run)
      expect(clock.pending).toBe(0)
      expect(rows.applied).toEqual(upTo(rows.position))
    },
  }
}

test('an event that comes alone is committed at once, also right after another one', async () => {
  const it = running()
  await it.clock.advance(1000)
  for (const n of [1, 2, 3]) {
    it.append()
    await it.clock.advance(took)
    expect([it.rows.position, it.rows.commits]).toEqual([n, n])
  }
  await it.end()
})

test('events that pour in share commits, and the last one waits no longer than a commit takes', async () => {
  const it = running()
  await it.inBurst()
  for (let n = 0; n < 5; n += 1) {
    await it.clock.advance(10)
    it.append()
  }
  expect([it.rows.position, it.rows.commits]).toEqual([1, 1])
  await it.clock.advance(took)
  expect(it.rows.commits).toBe(2)
  await it.clock.advance(took)
  expect(it.rows.position).toBe(7)
  await it.end()
})

test('a pour that never ends is committed nine times the time of a commit after its first event at the latest', async () => {
  const it = running()
  await it.inBurst()
  for (let n = 0; n < 9 * took; n += 1) {
    it.append()
    await it.clock.advance(1)
  }
  it.append()
  await it.clock.advance(took)
  expect([it.rows.position > 9 * took, it.rows.commits]).toEqual([true, 2])
  await it.end()
})

test('whoever waits for a position has it at once', async () => {
  const it = running()
  await it.inBurst()
  it.want(2)
  await it.clock.advance(took)
  expect(it.rows.position).toBe(2)
  // Asked for before it was appended, and while the commit before it is stored.
  it.append()
  await it.clock.advance(5)
  it.append()
  it.want(4)
  await it.clock.advance(2 * took - 5)
  expect([it.rows.position, it.rows.commits]).toEqual([4, 4])
  await it.end()
})

test('H58: a hidden page waits for nothing, as its timers may come much later', async () => {
  const it = running('hidden')
  await it.inBurst()
  await it.clock.advance(took)
  expect(it.rows.position).toBe(2)
  await it.end()
})
