// The machine, the rules, the storage in memory and the server, through random faults: docs/sync-model.md.
import { env } from 'node:process'
import { expect, test } from 'vitest'
import { run } from '../../support/sync-model/run.js'

/** Enough that each mutant of test/mutants/sync-model.mjs is caught. More: scripts/sync-model.mjs. */
const seeds = env['TIDEMARK_SYNC_SEEDS']?.split(',').map(Number) ?? Array.from({ length: 40 }, (_, index) => index + 1)

test(
  'what devices and server hold, show and say through faults, and when they have come to rest',
  { timeout: 300_000 },
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
