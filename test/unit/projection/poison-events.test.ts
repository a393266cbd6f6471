// What a run learns from runs before it that ended without a report (N19).
import { expect, test } from 'vitest'
import { PoisonEvents } from '../../../src/projection/poison-events.js'
import type { ProjectionState } from '../../../src/projection/target.js'

function poison(state: Pick<ProjectionState, 'unclean' | 'trying'>) {
  const it = new PoisonEvents()
  it.begin(state)
  return it
}
const after = (ends: number) => poison({ unclean: { position: 0, ends } })

test('commits hold as many events as they like after one end, 64 after two, one after three', () => {
  expect([0, 1, 2, 3, 4].map((ends) => after(ends).mostPerCommit)).toEqual([Infinity, Infinity, 64, 1, 1])
  expect([0, 1, 2, 3, 4].map((ends) => after(ends).alone)).toEqual([false, false, false, true, true])
})

test('after 64 events alone commits hold 64 again, and say so to the run that follows', () => {
  const it = after(3)
  for (let count = 1; count < 64; count += 1) expect(it.committing(1)).toBe(3)
  expect([it.committing(1), it.alone, it.mostPerCommit]).toEqual([2, false, 64])
  expect(it.committing(64)).toBe(2)
})

test('nothing is stored where fewer than two ends were counted, nor once everything is applied', () => {
  expect([after(0).committing(5), after(1).committing(5)]).toEqual([undefined, undefined])
  const it = after(3)
  it.caughtUp()
  expect([it.committing(5), it.alone, it.mostPerCommit]).toEqual([undefined, false, Infinity])
})

test('each event is noted once before it is applied alone, and again after a wait', () => {
  expect(after(2).needsNote(1)).toBe(false)
  const it = after(3)
  expect([it.needsNote(1), it.takeNoteBack()]).toEqual([true, false])
  it.noted(1)
  expect([it.needsNote(1), it.needsNote(2)]).toEqual([false, true])
  expect([it.takeNoteBack(), it.takeNoteBack(), it.needsNote(1)]).toEqual([true, false, true])
  it.noted(1)
  it.begin({ unclean: { position: 0, ends: 3 } })
  expect([it.takeNoteBack(), it.needsNote(1)]).toEqual([false, true])
})

test('an event that one run noted and did not survive is applied alone; one that two did not is not applied', () => {
  const once = poison({ trying: { position: 7, runs: 1 } })
  expect([once.alone, once.runsEndedBy(7)]).toEqual([true, undefined])
  const twice = poison({ trying: { position: 7, runs: 2 } })
  expect([twice.runsEndedBy(7), twice.runsEndedBy(8), twice.alone]).toEqual([2, undefined, true])
  twice.begin({})
  expect([twice.runsEndedBy(7), twice.alone]).toEqual([undefined, false])
})
