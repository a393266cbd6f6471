// Which code may lead while an app is developed, and when it folds again.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { admitted, type ModelCode, type RunningCode } from '../../../src/read-model/code.js'
import { emptyState, type StateRow } from '../../../src/read-model/state.js'

const row = (change: Partial<StateRow> = {}): StateRow => ({
  ...emptyState('log', 'tables'),
  position: 10,
  epoch: 4,
  owner: 'me',
  ...change,
})
const code = (text: string, ranAt: number): ModelCode => ({ text, ranAt })
const few = 100

/** What becomes of the state: its verdict, or the fields that change. */
const outcome = (before: StateRow, running: RunningCode, head = few) => {
  const found = admitted(before, running, head, 5_000)
  return typeof found === 'string' ? found : found.after.rebuild === undefined ? 'noted' : 'again'
}

test.for<[string, ModelCode | undefined, RunningCode, number, string]>([
  ['no code is known, the page was loaded', undefined, { text: 'a', ranAt: 5 }, few, 'again'],
  ['another text, and newer', code('a', 1), { text: 'b', ranAt: 5 }, few, 'again'],
  ['another text, and newer, over many events', code('a', 1), { text: 'b', ranAt: 5 }, 1e6, 'again'],
  ['another text, and older', code('a', 9), { text: 'b', ranAt: 5 }, few, 'older'],
  ['the same text, on a page load', code('a', 1), { text: 'a', ranAt: 5 }, few, 'same'],
  ['the same text, in a tab that was loaded before', code('a', 4_000), { text: 'a', ranAt: 5 }, few, 'same'],
  ['the same text that was folded long after', code('a', 6_000), { text: 'a', ranAt: 5 }, few, 'older'],
  ['a changed helper: taken over', code('a', 1), { text: 'a', ranAt: 5, replaced: 1 }, few, 'again'],
  ['a changed helper, over many events', code('a', 1), { text: 'a', ranAt: 5, replaced: 1 }, 50_001, 'same'],
  ['another tab took over before', code('a', 4), { text: 'a', ranAt: 5, replaced: 1 }, few, 'same'],
])('%s', ([, stored, running, head, expected]) => {
  expect(outcome(row(stored && { code: stored }), running, head)).toBe(expected)
})

test('an empty read model only notes the code', () => {
  const { after } = admitted(row({ position: 0 }), { text: 'a', ranAt: 5 }, 0) as { after: StateRow }
  expect(after).toEqual({ ...row({ position: 0 }), code: code('a', 5) })
})

test('folding again keeps the rows that readers see, ends the run of older code, and leaves no owner', () => {
  const before = row({ code: code('a', 1) })
  const { after } = admitted(before, { text: 'b', ranAt: 5 }, few) as { after: StateRow }
  expect(after).toMatchObject({ position: 10, shown: before.shown, rebuild: { position: 0 }, owner: '', epoch: 5 })
  expect(after.code).toEqual(code('b', 5))
})

test('tabs that take over one after the other fold once for each edit, and none of them is locked out', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 5 }),
      fc.array(fc.record({ text: fc.constantFrom('a', 'b'), order: fc.infiniteStream(fc.nat(1_000)) }), {
        maxLength: 8,
      }),
      (tabs, edits) => {
        let state = row({ code: code('a', 0) })
        let folded = 0
        const ranAt = Array.from({ length: tabs }, () => 0)
        edits.forEach(({ text, order }, at) => {
          // Saves are seconds apart; each tab runs the edited module within a second of it.
          const saved = (at + 1) * 10_000
          const delays = Array.from({ length: tabs }, () => order.next().value as number)
          const first = [...delays.keys()].sort((a, b) => (delays[a] as number) - (delays[b] as number))
          const before = folded
          for (const tab of first) {
            const running = { text, ranAt: saved + (delays[tab] as number), replaced: ranAt[tab] }
            const found = admitted(state, running, few, 5_000)
            expect(found).not.toBe('older')
            // The code that this tab ran before may not lead any more, so that it cannot do the work of newer code.
            if (typeof found === 'string')
              expect(admitted(state, { text, ranAt: ranAt[tab] as number }, few)).toBe('older')
            else {
              state = { ...found.after, position: few }
              folded += 1
            }
            ranAt[tab] = Math.max(running.ranAt, state.code?.ranAt ?? 0)
          }
          expect(folded - before).toBe(1)
          // Any of them may lead from here on, and does not fold again.
          for (const each of ranAt) expect(admitted(state, { text, ranAt: each }, few)).toBe('same')
        })
      },
    ),
  )
})
