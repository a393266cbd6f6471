// Events that are not applied like others.
import { expect, test } from 'vitest'
import { EventUnreadableError } from '../../../src/errors.js'
import type { RecordedEvent } from '../../../src/events/event.js'
import { SetAside } from '../../../src/projection/set-aside.js'

const event = (position: number, stream = 's'): RecordedEvent => ({
  type: 'A',
  data: null,
  stream,
  version: position,
  position,
  id: `id-${position}`,
  time: 0,
})
const nothing = new Map<number, unknown>()

test('an event that was left out by hand is skipped, also in a blocked stream', () => {
  const it = new SetAside()
  it.begin({ skipped: [2] }, new Set(['s']))
  expect([1, 2].map((position) => it.reason(event(position)))).toEqual(['blocked', 'skipped'])
  expect([1, 2].map((position) => it.reason(event(position, 't')))).toEqual([undefined, 'skipped'])
})

test('a stream is blocked from the call on, until the state is loaded again', () => {
  const given = new Set<string>()
  const it = new SetAside()
  it.begin({}, given)
  expect(it.reason(event(1))).toBeUndefined()
  it.block('s')
  expect([it.reason(event(1)), it.reason(event(1, 't')), given.size]).toEqual(['blocked', undefined, 0])
  it.begin({})
  expect(it.reason(event(1))).toBeUndefined()
})

test('what an earlier version left out is left out where it fails, but not where a newer build can apply it', () => {
  const it = new SetAside()
  it.begin({ carried: [3] })
  expect(it.reason(event(3))).toBeUndefined()
  expect([it.leavesOut(3, new Error('no')), it.leavesOut(4, new Error('no'))]).toEqual([true, false])
  expect(it.leavesOut(3, new EventUnreadableError(3, 'newer', undefined, true))).toBe(false)
})

test('a run of events ends before the first that is set aside or cannot be read', () => {
  const events = [1, 2, 3, 4, 5].map((position) => event(position, position === 4 ? 'blocked' : 's'))
  const it = new SetAside()
  it.begin({})
  expect([it.runFrom(events, 0, 5, nothing), it.runFrom(events, 2, 4, nothing)]).toEqual([5, 4])
  expect(it.runFrom(events, 0, 5, new Map([[3, 'broken']]))).toBe(2)
  it.block('blocked')
  expect([it.runFrom(events, 0, 5, nothing), it.runFrom(events, 4, 5, nothing)]).toEqual([3, 5])
  it.begin({ skipped: [2] })
  expect(it.runFrom(events, 0, 5, nothing)).toBe(1)
})
