// What an app pays for each import, and that it pays for nothing else.
import { expect, test } from 'vitest'
import * as tidemark from 'tidemark'
import {
  appLayer,
  budgets,
  measureAppLayer,
  measureSize,
  measureSyncLayer,
  measureUse,
  syncedUses,
  syncLayer,
} from '../../scripts/size.mjs'

test.for(budgets)(
  '$title is within its budget and brings nothing that it has no use for',
  { timeout: 30_000 },
  async (each) => {
    const { bytes, foreign } = await measureSize(each)
    expect(foreign).toEqual([])
    expect(bytes).toBeGreaterThan(0)
    expect(bytes, 'npm run size shows all of them').toBeLessThanOrEqual(each.budget)
  },
)

test('tidemark() is a thin layer over the functions', { timeout: 30_000 }, async () => {
  expect(await measureAppLayer(), 'npm run size shows it').toBeLessThanOrEqual(appLayer.budget)
})

test('sync is within its budget over the core', { timeout: 30_000 }, async () => {
  expect(await measureSyncLayer(), 'npm run size shows it').toBeLessThanOrEqual(syncLayer.budget)
})

test.for(syncedUses)('an app that syncs is within its budget: $title', { timeout: 30_000 }, async (use) => {
  const { bytes, local } = await measureUse(use)
  expect(local).toBeLessThan(bytes)
  expect(bytes, 'npm run size shows it').toBeLessThanOrEqual(use.budget)
})

test('every function that is no error, helper of types or refusal has a budget of its own', () => {
  const small = ['ensure', 'refuse', 'table']
  const functions = Object.entries(tidemark).filter(
    ([name, value]) => typeof value === 'function' && !name.endsWith('Error') && !small.includes(name),
  )
  expect(functions.map(([name]) => name).sort()).toEqual(
    budgets
      .filter(({ entry }) => entry === 'tidemark')
      .map(({ names }) => names)
      .filter((names) => /^\w+$/.test(names))
      .sort(),
  )
})
