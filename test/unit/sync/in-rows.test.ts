import { describe, expect, test } from 'vitest'
import { inRows, missingAfter, ownEvents, sameUpTo, type Identities } from '../../../src/sync/overlay/in-rows.js'
import type { OutboxCopy } from '../../../src/sync/outbox-copy.js'
import type { OutboxRow, SyncState } from '../../../src/sync/sync-state.js'

const log: Identities = {
  identity: 'c',
  left: [
    { identity: 'a', upTo: 4 },
    { identity: 'b', upTo: 7 },
  ],
}

const commit = (n: number, events: number, more: Partial<OutboxRow> = {}): OutboxRow => ({
  n,
  name: `c${n}`,
  time: 0,
  expect: [],
  events: Array.from({ length: events }, (_, index) => ({
    type: 'Done',
    stream: 's',
    id: `c${n}.${index}`,
    idGiven: true,
    time: 0,
    schema: 1,
    data: '{}',
    meta: undefined,
  })),
  ...more,
})

const copyOf = (more: Partial<OutboxCopy>, cursor = 10, of: Identities = log): OutboxCopy => ({
  state: { ...of, cursor: { at: cursor, chain: '' } } as SyncState,
  outbox: [],
  own: [],
  ownFrom: 0,
  ...more,
})

const shown = (copy: OutboxCopy, identity: string, position: number) =>
  ownEvents(copy, { identity, position }).map((event) =>
    event.kind === 'confirmed' ? event.position : `${event.commit.name}.${event.index}`,
  )

describe('N69: an own event is shown once, whatever the rows were folded of', () => {
  test('an identity is the same as today up to the least of what was kept since', () => {
    expect(sameUpTo(log, 'c')).toBe(Infinity)
    expect(sameUpTo(log, 'b')).toBe(7)
    expect(sameUpTo(log, 'a')).toBe(4)
    expect(sameUpTo(log, 'unknown')).toBe(0)
    expect(missingAfter(log, { identity: 'a', position: 9 })).toBe(4)
    expect(missingAfter(log, { identity: 'a', position: 2 })).toBe(2)
  })

  test('rows of today hold what is at or before their position, event by event', () => {
    const rows = { identity: 'c', position: 5 }
    expect(inRows(log, rows, { at: 5 }, 0)).toBe(true)
    expect(inRows(log, rows, { at: 5 }, 1)).toBe(false)
    expect(inRows(log, rows, {}, 0)).toBe(false)
    // Where it was in an earlier identity says nothing of these rows.
    expect(inRows(log, rows, { was: { b: 3 } }, 0)).toBe(false)
    expect(inRows(log, rows, { at: 9, was: { b: 3 } }, 0)).toBe(false)
  })

  test('rows of an earlier identity hold an event where it was in that', () => {
    const rows = { identity: 'b', position: 9 }
    expect(inRows(log, rows, { was: { b: 8 } }, 1)).toBe(true)
    expect(inRows(log, rows, { was: { b: 8 } }, 2)).toBe(false)
    expect(inRows(log, rows, { at: 12, was: { b: 8 } }, 0)).toBe(true)
    expect(inRows(log, rows, { at: 7 }, 0)).toBe(true)
    expect(inRows(log, rows, { at: 8 }, 0)).toBe(false)
    expect(inRows(log, { identity: 'a', position: 9 }, { was: { b: 8 } }, 0)).toBe(false)
  })

  test('confirmed ones by position, then pending ones; not those that were refused or are not wanted', () => {
    const copy = copyOf({
      own: [
        { at: 5, n: 2 },
        { at: 8, n: 1 },
      ],
      outbox: [
        commit(-1, 1, { healed: true, was: { b: 8 } }),
        commit(1, 2),
        commit(2, 1, { cancel: true }),
        commit(3, 1, { refused: { code: 'no', message: '' } }),
      ],
    })
    expect(shown(copy, 'c', 5)).toEqual([6, 8, 'c-1.0', 'c1.0', 'c1.1'])
    expect(shown(copy, 'b', 9)).toEqual([8, 'c1.0', 'c1.1'])
    expect(shown(copy, 'unknown', 9)).toEqual([5, 6, 8, 'c-1.0', 'c1.0', 'c1.1'])
  })

  test('a copy that is older than the rows is refused: what they hold would count twice', () => {
    expect(() => shown(copyOf({}, 4), 'c', 5)).toThrow(RangeError)
    expect(() => shown(copyOf({ ownFrom: 6 }), 'c', 5)).toThrow(RangeError)
    expect(shown(copyOf({ ownFrom: 5 }), 'c', 5)).toEqual([])
  })
})
