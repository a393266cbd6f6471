// The machine, the rules, the storage in memory and the server, through random faults: docs/sync-model.md.
import { env } from 'node:process'
import { expect, test, vi } from 'vitest'
import type * as protocol from '../../../src/wire/protocol.js'
import { run } from '../../support/sync-model/run.js'

// As scripts/sync-model.mjs has it: devices have to look for what conditions exclude.
vi.mock('../../../src/wire/protocol.js', async (original) => ({
  ...(await original<typeof protocol>()),
  conditionReach: 30,
}))

/** Seeds at which rare mutants of test/mutants/sync-model.mjs are noticed; common ones are noticed among the first. */
const rare = [60, 83, 179, 308, 342]

/** More of them: `node scripts/sync-model.mjs --runs 10000`. */
const seeds = env['TIDEMARK_SYNC_SEEDS']?.split(',').map(Number) ?? [
  ...Array.from({ length: 40 }, (_, index) => index + 1),
  ...rare,
]

// Against hangs only: alone it takes some seconds.
const timeout = 300_000

test(
  'what devices and server hold, show and say through faults, and when they have come to rest',
  { timeout },
  async () => {
    const totals: Record<string, number> = {}
    for (const seed of seeds)
      for (const [what, count] of Object.entries(await run(seed))) totals[what] = (totals[what] ?? 0) + count
    // A run in which nothing happens proves nothing.
    const wanted = [
      'confirmed',
      'no: conflict',
      'no: blocked',
      'behind',
      'decided again',
      'restores',
      'healed commits',
      'squats',
    ]
    expect(wanted.filter((what) => (totals[what] ?? 0) < seeds.length / 10)).toEqual([])
  },
)
