// Rounds of the kill ledger are chosen by their seed.
import { expect, test } from 'vitest'
import { planRound, type Kill, type KillWeights } from '../../ledger/plan.js'

const weights: KillWeights = [
  ['process tree', 35],
  ['renderer', 30],
  ['dedicated worker', 15],
  ['service worker', 20],
]
const plans = Array.from({ length: 400 }, (_, round) => planRound(7, round, weights))

test('the same seed plans the same round, another seed another one', () => {
  expect(planRound(7, 3, weights)).toEqual(planRound(7, 3, weights))
  expect(planRound(8, 3, weights)).not.toEqual(planRound(7, 3, weights))
})

test('every kind of kill comes about as often as its weight says, and finds a victim', () => {
  for (const [kill, weight] of weights) {
    const share = plans.filter((plan) => plan.kill === kill).length / plans.length
    expect(share, kill).toBeGreaterThan(weight / 200)
    expect(share, kill).toBeLessThan(weight / 50)
  }
  const victims: Partial<Record<Kill, string>> = { 'dedicated worker': 'dedicated', 'service worker': 'service' }
  for (const { kill, contexts } of plans) {
    const victim = victims[kill]
    if (victim !== undefined) expect(contexts.some(({ realm }) => realm.startsWith(victim))).toBe(true)
  }
})

test('every context belongs to a page that is open, and every round has one that appends', () => {
  for (const { contexts, pages } of plans) {
    expect(contexts.every(({ page }) => page < pages)).toBe(true)
    expect(contexts.some(({ batches }) => batches.length > 0)).toBe(true)
  }
})

test('batches have an id of their own and at least one event in every write', () => {
  const batches = plans.flatMap(({ contexts }) => contexts.flatMap(({ batches }) => batches))
  expect(new Set(batches.map(({ id }) => id)).size).toBe(batches.length)
  expect(batches.every(({ writes }) => writes.every(({ events }) => events.length > 0))).toBe(true)
  // What the ledger is to see: commits over several streams, over several records, checked ones, and poison.
  expect(batches.some(({ writes }) => writes.length > 1)).toBe(true)
  expect(batches.some(({ writes }) => writes.some(({ events }) => events.length > 256))).toBe(true)
  expect(batches.some(({ checked }) => checked) && batches.some(({ again }) => again)).toBe(true)
  expect(batches.some(({ writes }) => writes.some(({ events }) => events.some(({ poison }) => poison)))).toBe(true)
})
