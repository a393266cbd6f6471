// The rules of the stored state, each by itself: what is refused, what is raised, what is dropped.
import { describe, expect, test } from 'vitest'
import type { DeadLetterRecord, StoredFault } from '../../../src/projection/target.js'
import { letterRemoved, type LetterFound } from '../../../src/read-model/dead-letters.js'
import { addLeftOut, earlierVersions, looksBack } from '../../../src/read-model/earlier-versions.js'
import { assertPossible, impossibleIn } from '../../../src/read-model/possible-state.js'
import {
  committed,
  emptyState,
  faulted,
  faultOutcome,
  pausedOrNot,
  rebuildStarted,
  skipped,
  stampOf,
  takeOver,
  tried,
  workingSlot,
  type Commit,
  type StateRow,
} from '../../../src/read-model/state.js'

const state = (change: Partial<StateRow> = {}): StateRow => ({
  ...emptyState('log', 'tables', 'types'),
  position: 10,
  epoch: 5,
  owner: 'a',
  ...change,
})
const letter = (position: number, holdsStream = false, stream = 's'): DeadLetterRecord => ({
  position,
  eventId: `${position}`,
  eventType: 'A',
  stream,
  errorName: 'Error',
  message: '',
  attempts: 1,
  time: 0,
  ...(holdsStream && { holdsStream: true as const }),
})
const fault = (position: number): StoredFault => ({ position, message: 'broken', time: 1 })
const commit = (from: StateRow, position: number, more: Partial<Commit> = {}): Commit => ({
  from,
  position,
  caughtUp: false,
  rows: new Map(),
  letters: [],
  ...more,
})
const lost = expect.objectContaining({ code: 'leadership-lost' })
const refusal = expect.objectContaining({ code: 'invalid-argument' })

describe('a commit', () => {
  test('moves position, letters and nothing else, and clears nothing', () => {
    const from = state({ letters: 1 })
    const { after, clear = [] } = committed('m', from, commit(from, 20, { letters: [letter(15), letter(16)] }))
    expect([after, clear]).toEqual([{ ...from, position: 20, letters: 3 }, []])
  })
  test.for([
    ['another position', state({ position: 11 })],
    ['another epoch', state({ epoch: 6 })],
    ['another position of a rebuild', state({ rebuild: { position: 3, letters: 0 } })],
  ] as const)('I6: is refused where the state has %s', ([, stored]) => {
    expect(() => committed('m', stored, commit(state(), 20))).toThrow(lost)
    expect(() => tried('m', stored, state(), 11)).toThrow(lost)
  })
  test('of a rebuild is compared with where the rebuild stands, not with the rows that readers see', () => {
    const from = state({ rebuild: { position: 3, letters: 0 } })
    expect(committed('m', { ...from, position: 12 }, commit(from, 4)).after).toMatchObject({
      position: 12,
      rebuild: { position: 4 },
    })
    expect(() => committed('m', { ...from, rebuild: { position: 4, letters: 0 } }, commit(from, 5))).toThrow(lost)
  })
  test('drops a fault that it passed, and keeps one that is ahead', () => {
    for (const [at, kept] of [
      [20, false],
      [21, true],
    ] as const) {
      const from = state({ fault: fault(at), rebuildFault: fault(3) })
      const { after } = committed('m', from, commit(from, 20))
      expect([after.fault?.position, after.rebuildFault?.position]).toEqual([kept ? 21 : undefined, 3])
    }
  })
  test('keeps that streams are held, and says so where a letter of it holds one', () => {
    const from = state()
    expect(committed('m', from, commit(from, 20, { letters: [letter(15)] })).after.holds).toBeUndefined()
    expect(committed('m', from, commit(from, 20, { letters: [letter(15), letter(16, true)] })).after.holds).toBe(true)
    const held = state({ holds: true, letters: 1 })
    expect(committed('m', held, commit(held, 20)).after.holds).toBe(true)
  })
  test('N19: keeps how often runs ended until it has caught up, and which event is tried until it is passed', () => {
    const from = state({ unclean: { position: 10, ends: 3 }, trying: { position: 15, runs: 1 } })
    expect(committed('m', from, commit(from, 12, { ends: 3 })).after).toMatchObject({
      unclean: { position: 12, ends: 3 },
      trying: { position: 15 },
    })
    const passed = committed('m', from, commit(from, 15, { ends: 3, caughtUp: true })).after
    expect([passed.unclean, passed.trying]).toEqual([undefined, undefined])
    expect(committed('m', from, commit(from, 12)).after.unclean).toBeUndefined()
  })

  describe('of a rebuild', () => {
    const rebuilding = (change: Partial<StateRow> = {}) =>
      state({ rebuild: { position: 8, letters: 2 }, letters: 7, holds: true, ...change })
    test('counts letters on its own side, and shows nothing before it has caught up', () => {
      const from = rebuilding()
      const { after, clear = [] } = committed('m', from, commit(from, 9, { letters: [letter(9, true)] }))
      expect([after, clear]).toEqual([{ ...from, rebuild: { position: 9, letters: 3, holds: true } }, []])
      const next = committed('m', after, commit(after, 10)).after
      expect(next.rebuild).toEqual({ position: 10, letters: 3, holds: true })
    })
    test('a commit beyond the rows shown that has not caught up flips nothing', () => {
      const from = rebuilding()
      expect(committed('m', from, commit(from, 99)).after).toMatchObject({
        shown: 0,
        position: 10,
        rebuild: { position: 99 },
      })
    })
    test('never back: one that has caught up with less than the rows shown know flips nothing', () => {
      const from = rebuilding()
      const { after, clear = [] } = committed('m', from, commit(from, 9, { caughtUp: true }))
      expect([after.shown, after.position, after.rebuild, clear]).toEqual([0, 10, { position: 9, letters: 2 }, []])
    })
    test('one that has caught up shows its side, and clears the other one', () => {
      for (const shown of [0, 1] as const) {
        const from = rebuilding({ shown, fault: fault(30), rebuildFault: fault(4) })
        const { after, clear = [] } = committed('m', from, commit(from, 10, { caughtUp: true }))
        expect(after).toMatchObject({ shown: 1 - shown, position: 10, letters: 2 })
        expect([after.rebuild, after.holds, after.fault, after.rebuildFault, clear]).toEqual([
          undefined,
          undefined,
          undefined,
          undefined,
          [shown],
        ])
        expect(workingSlot(from)).toBe(1 - shown)
        expect(workingSlot(after)).toBe(1 - shown)
      }
    })
  })
})

describe('taking over', () => {
  const how = (seen: StateRow, head: number, more = {}) => ({ owner: 'b', seen, head, ...more })
  test('raises the epoch, names the owner, and tries what had stopped', () => {
    const before = state({ fault: fault(11), rebuildFault: fault(2), skipped: [3], carried: [4] })
    const { after, clear = [] } = takeOver(before, 'log', how(before, 10))
    expect(after).toEqual({
      ...emptyState('log', 'tables', 'types'),
      position: 10,
      epoch: 6,
      owner: 'b',
      rebuildFault: fault(2),
      skipped: [3],
      carried: [4],
    })
    expect(clear).toEqual([])
  })
  test('N36: rows from beyond the head, of either side, and rows of another log are dropped; that it is paused stays', () => {
    for (const [before, log, head] of [
      [state({ paused: true }), 'log', 9],
      [state({ paused: true, rebuild: { position: 20, letters: 0 } }), 'log', 15],
      [state({ paused: true, skipped: [2] }), 'another', 99],
    ] as const) {
      const { after, clear = [] } = takeOver(before, log, how(before, head))
      expect([after, clear]).toEqual([
        { ...emptyState(log, 'tables', 'types'), paused: true, epoch: 6, owner: 'b' },
        [0, 1],
      ])
    }
  })
  test('rows that a leader committed after the head was read are beyond that head, and stay', () => {
    const seen = state({ position: 10 })
    expect(takeOver(state({ position: 12 }), 'log', how(seen, 10)).clear ?? []).toEqual([])
    // Also where what was seen lay beyond it: the leader goes on, so it is not beyond the log.
    expect(takeOver(state({ position: 12 }), 'log', how(seen, 9)).clear ?? []).toEqual([])
    expect(
      takeOver(
        state({ rebuild: { position: 14, letters: 0 } }),
        'log',
        how(state({ rebuild: { position: 13, letters: 0 } }), 12),
      ).clear ?? [],
    ).toEqual([])
  })
  test('stops where it is not wanted any more', () => {
    expect(() => takeOver(state(), 'log', how(state(), 10, { signal: AbortSignal.abort(new Error('away')) }))).toThrow(
      'away',
    )
  })
  test('N19: counts ends without a word from one position; a word, a commit or nothing to do ends that', () => {
    const seen = (before: StateRow, owner = 'b') => takeOver(before, 'log', how(before, 20, { owner })).after.unclean
    expect(seen(state())).toEqual({ position: 10, ends: 0 })
    expect(seen(state({ unclean: { position: 10, ends: 1 } }))).toEqual({ position: 10, ends: 2 })
    expect(seen(state({ unclean: { position: 10, ends: 1 } }), 'a')).toEqual({ position: 10, ends: 1 })
    expect(seen(state({ unclean: { position: 10, ends: 1 }, fault: fault(11) }))).toEqual({ position: 10, ends: 1 })
    expect(seen(state({ unclean: { position: 9, ends: 1 } }))).toEqual({ position: 10, ends: 0 })
    const done = state({ unclean: { position: 10, ends: 1 }, trying: { position: 11, runs: 1 } })
    const { after } = takeOver(done, 'log', how(done, 10))
    expect([after.unclean, after.trying]).toEqual([undefined, undefined])
  })
  test('N19: keeps which event was tried, unless it is passed or this context lived through it', () => {
    const trying = (position: number, survived?: number) => {
      const before = state({ trying: { position, runs: 1 } })
      return takeOver(before, 'log', how(before, 20, { survived })).after.trying?.position
    }
    expect([trying(11), trying(10), trying(11, 11), trying(12, 11)]).toEqual([11, undefined, undefined, 12])
  })
  test('stores which events are handled where nothing is stored, and what earlier versions left out where that was looked for', () => {
    const { handles: _handles, ...before } = state({ carried: [1, 2] })
    const { after } = takeOver(before, 'log', how(before, 10, { handles: 'all', carried: [2, 3] }))
    expect([after.handles, after.carried]).toEqual(['all', [1, 2, 3]])
    const kept = takeOver(state(), 'log', how(state(), 10)).after
    expect([kept.handles, kept.carried]).toEqual(['types', undefined])
    expect(takeOver(state(), 'another', how(state(), 10, { carried: [3] })).after.carried).toEqual([3])
  })
})

describe('which event is applied alone', () => {
  test('is counted by runs, for one event, and taken back', () => {
    const once = tried('m', state(), state(), 11)
    expect(once.trying).toEqual({ position: 11, runs: 1 })
    expect(tried('m', once, state(), 11).trying).toEqual({ position: 11, runs: 2 })
    expect(tried('m', tried('m', once, state(), 11), state(), 12).trying).toEqual({ position: 12, runs: 1 })
    expect(tried('m', once, state())).toEqual(state())
  })
})

describe('a rebuild', () => {
  test('raises the epoch, so that a leader in its first batch is refused', () => {
    const from = state({ position: 0 })
    const { after, clear = [] } = rebuildStarted(from)
    expect([after, clear]).toEqual([{ ...from, epoch: 6, rebuild: { position: 0, letters: 0 } }, [1]])
    expect(() => committed('m', after, commit(from, 3))).toThrow(lost)
  })
  test('begins again from the start, on the side that readers do not see, without what was suspected or had stopped', () => {
    const { after, clear = [] } = rebuildStarted(
      state({
        shown: 1,
        rebuild: { position: 7, letters: 3, holds: true },
        fault: fault(11),
        rebuildFault: fault(5),
        unclean: { position: 7, ends: 2 },
        trying: { position: 8, runs: 1 },
        paused: true,
        skipped: [2],
      }),
    )
    expect([after, clear]).toEqual([
      state({ shown: 1, epoch: 6, paused: true, skipped: [2], rebuild: { position: 0, letters: 0 } }),
      [0],
    ])
  })
})

describe('a fault', () => {
  test('is kept, and tells others why nothing moves', () => {
    const why = fault(11)
    const { after, clear = [] } = faulted(state(), state(), why)
    expect([after, clear, faultOutcome(after, why)]).toEqual([state({ fault: why }), [], 'stopped'])
  })
  test('of a run that was passed changes nothing', () => {
    const why = fault(11)
    for (const now of [rebuildStarted(state()).after, state({ epoch: 6 })]) {
      const { after, clear = [] } = faulted(now, state(), why)
      expect([after, clear, faultOutcome(after, why)]).toEqual([now, [], 'moved'])
    }
  })
  test('N33: of a rebuild gives only that up: its side is cleared, the epoch raised, the rows shown stay', () => {
    for (const shown of [0, 1] as const) {
      const why = fault(4)
      const before = state({
        shown,
        rebuild: { position: 3, letters: 1 },
        unclean: { position: 3, ends: 1 },
        trying: { position: 4, runs: 2 },
      })
      const { after, clear = [] } = faulted(before, before, why)
      expect([after, clear, faultOutcome(after, why)]).toEqual([
        state({ shown, epoch: 6, rebuildFault: why }),
        [1 - shown],
        'rebuild-given-up',
      ])
    }
  })
  test('N19: a run that says why it stopped was not killed by the event that it lived through', () => {
    const before = state({ trying: { position: 11, runs: 1 } })
    expect(faulted(before, before, fault(11), 11).after.trying).toBeUndefined()
    expect(faulted(before, before, fault(11), 9).after.trying).toEqual({ position: 11, runs: 1 })
  })
})

describe('skipping an event', () => {
  test('moves on, remembers it, and raises the epoch, so that a runner before it is refused', () => {
    const before = state({ fault: fault(11), skipped: [3] })
    const after = skipped(before, 11)
    expect(after).toEqual(state({ position: 11, epoch: 6, skipped: [3, 11] }))
    expect(() => committed('m', after, commit({ ...before, position: 11 }, 12))).toThrow(lost)
  })
  test('N41: only the one that it stands at', () => {
    expect(() => skipped(state(), 11)).toThrow(
      expect.objectContaining({ message: expect.stringContaining('has not stopped') }),
    )
    expect(() => skipped(state({ fault: fault(12) }), 11)).toThrow(
      expect.objectContaining({ message: expect.stringContaining('stopped at 12') }),
    )
  })
  test('not one that the checkpoint passed, although its fault is still stored', () => {
    for (const position of [11, 15]) expect(() => skipped(state({ position, fault: fault(11) }), 11)).toThrow(refusal)
  })
  test('remembers the last thousand', () => {
    const many = Array.from({ length: 1000 }, (_, at) => at + 1)
    const { skipped: kept } = skipped(state({ position: 2000, fault: fault(2001), skipped: many }), 2001)
    expect([kept?.length, kept?.[0], kept?.at(-1)]).toEqual([1000, 2, 2001])
  })
})

describe('a dead letter that is removed', () => {
  const found = (change: Partial<LetterFound> = {}): LetterFound => ({
    letter: letter(5),
    upToIt: [],
    rowsAsRead: true,
    ...change,
  })
  test('after a replay: goes, raises the epoch, and moves nothing', () => {
    const from = state({ letters: 2 })
    expect(letterRemoved('m', from, found(), from)).toEqual(state({ letters: 1, epoch: 6 }))
  })
  test('after a replay: is refused where its rows were changed meanwhile; not where others were, nor where nothing was', () => {
    const from = state({ letters: 2 })
    for (const now of [state({ letters: 2, position: 11 }), state({ letters: 2, epoch: 6 })]) {
      expect(() => letterRemoved('m', now, found({ rowsAsRead: false }), from)).toThrow(lost)
      expect(letterRemoved('m', now, found(), from)).toMatchObject({ letters: 1, epoch: now.epoch + 1 })
    }
    expect(letterRemoved('m', from, found({ rowsAsRead: false }), from)).toMatchObject({ letters: 1 })
  })
  test('after a replay: is refused where the rows are of another side or log, whatever they look like', () => {
    const from = state({ letters: 1 })
    for (const now of [state({ letters: 1, shown: 1 }), state({ letters: 1, log: 'another' })])
      expect(() => letterRemoved('m', now, found(), from)).toThrow(lost)
  })
  test('after a replay: is refused where it does not exist any more', () => {
    expect(() => letterRemoved('m', state(), found({ letter: undefined }), state())).toThrow(
      expect.objectContaining({ message: expect.stringContaining('does not exist any more') }),
    )
  })
  test('N22: after a replay: waits for the letters before it that hold the same stream, and for no others', () => {
    const own = letter(5, true)
    const from = state({ letters: 4, holds: true })
    const remove = (upToIt: readonly DeadLetterRecord[], letter = own) =>
      letterRemoved('m', from, found({ letter, upToIt }), from)
    expect(remove([letter(3), letter(4, true, 't'), own]).letters).toBe(3)
    expect(() => remove([letter(2), letter(3, true), letter(4, true), own])).toThrow(
      expect.objectContaining({ message: expect.stringContaining('position 3') }),
    )
    expect(remove([letter(3, true)], letter(5)).letters).toBe(3)
  })
  test('by hand: raises the epoch only if it held its stream, waits for no other one, and the last one frees all', () => {
    const remove = (before: StateRow, held = false) =>
      letterRemoved('m', before, found({ letter: letter(5, held), upToIt: [letter(3, held)], rowsAsRead: false }))
    expect(remove(state({ letters: 2, holds: true }), true)).toEqual(state({ letters: 1, holds: true, epoch: 6 }))
    expect(remove(state({ letters: 2 }))).toEqual(state({ letters: 1 }))
    expect(remove(state({ letters: 1, holds: true }))).toEqual(state({ letters: 0 }))
    // The number was edited.
    expect(remove(state({ letters: 0 })).letters).toBe(0)
  })
  test('by hand: one that does not exist changes nothing', () => {
    const before = state({ letters: 2, holds: true })
    expect(letterRemoved('m', before, found({ letter: undefined }))).toEqual(before)
  })
})

test('a version stamp is another one after every change of the rows; what a rebuild does is left out for readers', () => {
  const before = state()
  const building = state({ rebuild: { position: 4, letters: 0 } })
  const changes = [before, building, state({ position: 11 }), state({ epoch: 6 }), state({ shown: 1 })]
  expect(new Set(changes.map((each) => stampOf(each))).size).toBe(changes.length)
  expect(stampOf(building, false)).toBe(stampOf(before, false))
  // Stored with the counts of rows.
  expect([stampOf(before), stampOf(building)]).toEqual(['5:10::0', '5:10:4:0'])
})

test('N40: pausing changes nothing else; resuming forgets what was suspected', () => {
  const suspected = state({ unclean: { position: 10, ends: 2 }, trying: { position: 11, runs: 2 } })
  expect(pausedOrNot(suspected, true)).toEqual({ ...suspected, paused: true })
  expect(pausedOrNot({ ...suspected, paused: true }, false)).toEqual(state())
})

describe('earlier versions', () => {
  test('are those of the same name, the latest first', () => {
    expect(
      earlierVersions(['a@1', 'a@10', 'a@9', 'a@x', 'a@01', 'a@', 'b@2', 'a@2.5', 'a@-1', 'aa@3', 'a@20'], 'a@', 10),
    ).toEqual(['a@9', 'a@1'])
  })
  test('are asked once, and again after a fault; the first version has none', () => {
    expect([
      looksBack(state(), 1),
      looksBack(state(), 2),
      looksBack(state({ carried: [] }), 2),
      looksBack(state({ carried: [], fault: fault(11) }), 2),
    ]).toEqual([false, true, false, true])
  })
  test('hand on what they and those before them left out, of the same log, if it can be believed', () => {
    const found = new Set<number>()
    addLeftOut(found, undefined, 'log')
    addLeftOut(found, state({ skipped: [3] }), 'log')
    addLeftOut(found, state({ skipped: [4], log: 'another' }), 'log')
    addLeftOut(found, state({ skipped: [5], shown: 7 as never }), 'log')
    addLeftOut(found, state({ skipped: [6], carried: [7] }), 'log')
    expect([...found]).toEqual([3, 7, 6])
  })
})

test('a state that a build stored is possible, whatever it says', () => {
  for (const each of [
    emptyState('log', 'tables'),
    state(),
    state({
      holds: true,
      letters: 3,
      skipped: [1, 10],
      carried: [400],
      rebuild: { position: 0, letters: 0 },
      rebuildFault: { ...fault(3), eventId: 'x', eventType: 'A' },
    }),
    state({
      fault: { ...fault(0), time: Number.NaN },
      unclean: { position: 10, ends: 0 },
      trying: { position: 11, runs: 1 },
    }),
    { ...state(), later: 'of a newer build' } as StateRow,
  ]) {
    expect(impossibleIn(each)).toEqual([])
    expect(assertPossible('m', each)).toBe(each)
  }
  for (const none of [undefined, null, 7])
    expect(() => assertPossible('m', none as never)).toThrow(
      expect.objectContaining({ code: 'log-inconsistent', position: 0 }),
    )
  expect(() => assertPossible('m', state({ shown: 7 as never }))).toThrow(
    expect.objectContaining({ code: 'log-inconsistent', position: 10 }),
  )
})

test.for<[keyof StateRow, unknown]>([
  ['skipped', [3, 11]],
  ['skipped', [0]],
  ['epoch', 2 ** 53 - 1],
  ['position', 2 ** 53 - 1],
  ['position', 0.5],
  ['shown', 2],
  ['rebuild', { position: 1 }],
  ['trying', null],
  ['holds', false],
  ['log', 7],
  ['carried', 3],
])('a state whose %s is %j is impossible, and says so', ([name, value]) => {
  expect(impossibleIn({ ...state(), [name]: value })).toEqual([expect.stringContaining(`'${name}'`)])
})
