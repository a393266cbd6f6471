// N47: what draws a stamp, and what does not.
import { describe, expect, test } from 'vitest'
import { letterRemoved } from '../../../src/read-model/dead-letters.js'
import { assertPossible } from '../../../src/read-model/possible-state.js'
import { isDrawn, seenIn, stamped, stampIn } from '../../../src/read-model/stamps.js'
import {
  committed,
  emptyState,
  faulted,
  pausedOrNot,
  rebuildStarted,
  takeOver,
  tried,
  type StateRow,
  type Transition,
} from '../../../src/read-model/state.js'

const empty = emptyState('log', '[]')
/** As a build with stamps stores it. */
const known: StateRow = stamped(empty, { after: { ...empty, position: 5, epoch: 3, owner: 'me' }, shows: true }, 'one')
const commit = (from: StateRow, position: number, caughtUp = true) =>
  committed('p@1', from, { from, position, caughtUp, rows: new Map(), letters: [] })
const fault = { position: 6, message: 'm', time: 0 }
const rebuilding = stamped(known, rebuildStarted(known), 'not drawn')
const begin = (before: StateRow, head: number, log = 'log') =>
  takeOver(before, log, { owner: 'you', seen: before, head })

describe('N47: a stamp', () => {
  test.for<[string, StateRow, (before: StateRow) => Transition]>([
    ['a commit', known, (before) => commit(before, 6)],
    ['a commit after a rebuild that reached the head: the swap', rebuilding, (before) => commit(before, 6)],
    ['rows of another log, which are dropped', known, (before) => begin(before, 9, 'another')],
    ['rows from beyond the head, which are dropped', known, (before) => begin(before, 4)],
  ])('is drawn by %s', ([, before, change]) => {
    const after = stamped(before, change(before), 'two')
    expect(seenIn(before)).toEqual({ stamp: 'one', revision: 1 })
    expect(seenIn(after)).toEqual({ stamp: 'two', revision: 2 })
    expect(stampIn(after)).toBe('two')
  })

  test.for<[string, StateRow, (before: StateRow) => Transition]>([
    ['a run that begins', known, (before) => begin(before, 9)],
    ['a commit into the hidden slot', rebuilding, (before) => commit(before, 4, false)],
    ['a rebuild that begins', known, rebuildStarted],
    ['a rebuild that is given up', rebuilding, (before) => faulted(before, before, fault)],
    ['a fault', known, (before) => faulted(before, before, fault)],
    ['a pause', known, (before) => ({ after: pausedOrNot(before, true) })],
    ['an event that is tried alone', known, (before) => ({ after: tried('p@1', before, before, 6) })],
    [
      'a dead letter that is discarded',
      { ...known, letters: 1 },
      (before) => ({
        after: letterRemoved('p@1', before, {
          letter: { position: 2, holdsStream: true } as never,
          upToIt: [],
          rowsAsRead: true,
        }),
      }),
    ],
  ])('is kept by %s', ([, before, change]) => {
    const after = stamped(before, change(before), 'two')
    expect(seenIn(after)).toEqual({ stamp: 'one', revision: 1 })
    // Also what it is true of is up to date: the next commit names it.
    expect(stampIn(after)).toBe('one')
  })

  test('is known to be out of date where a build that draws none changed what readers see', () => {
    for (const changed of [{ position: 6 }, { epoch: 4 }, { shown: 1 as const }]) {
      const after = { ...known, ...changed }
      expect(seenIn(after).stamp).not.toBe(seenIn(known).stamp)
      expect(isDrawn(seenIn(after).stamp)).toBe(false)
      expect(stampIn(after)).toBe('')
      // Whatever comes next draws one: nothing says that the rows are as they were.
      const next = stamped(after, { after: pausedOrNot(after, true) }, 'two')
      expect(seenIn(next)).toEqual({ stamp: 'two', revision: 2 })
    }
  })

  test('is not there in a state that an older build made, until a run of this one begins', () => {
    expect(seenIn(empty)).toEqual({ stamp: '0:0::0', revision: 0 })
    expect(isDrawn(seenIn(empty).stamp)).toBe(false)
    const paused = stamped(empty, { after: pausedOrNot(empty, true) }, 'not drawn')
    expect(paused).toEqual({ ...empty, paused: true })
    const begun = stamped(paused, begin(paused, 9), 'one')
    expect(seenIn(begun)).toEqual({ stamp: 'one', revision: 1 })
    // The runs of older builds are refused, and so is their next beginning.
    expect(begun.epoch).toBe(paused.epoch + 1)
    expect(begun.fingerprint).toBe('stamped []')
  })

  test.for<[string, unknown]>([
    ['its id', { id: 7 }],
    ['its revision', { revision: -1 }],
    ['its revision', { revision: 2 ** 53 - 1 }],
    ['what it is true of', { of: undefined }],
    ['all of it', 'one'],
  ])('that was edited is noticed: %s', ([, change]) => {
    const stamp = typeof change === 'string' ? change : { ...known.stamp, ...(change as object) }
    expect(() => assertPossible('p@1', { ...known, stamp } as StateRow)).toThrow(`The state says 'stamp' is`)
    expect(assertPossible('p@1', known)).toBe(known)
  })
})
