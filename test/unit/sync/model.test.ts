// The machine, the rules, the storage in memory and the server, through random faults: docs/sync-model.md.
import { env } from 'node:process'
import { afterAll, expect, test, vi } from 'vitest'
import type * as protocol from '../../../src/wire/protocol.js'
import { run, type RunOptions } from '../../support/sync-model/run.js'

// As scripts/sync-model.mjs has it: devices have to look for what conditions exclude. Files share a process, so this one
// has the package loaded again for itself, and for those that follow.
vi.hoisted(() => vi.resetModules())
vi.mock('../../../src/wire/protocol.js', async (original) => ({
  ...(await original<typeof protocol>()),
  conditionReach: 30,
}))
afterAll(() => {
  vi.doUnmock('../../../src/wire/protocol.js')
  vi.resetModules()
})

/** Runs in which rare mutants of test/mutants/sync-model.mjs are noticed; common ones are noticed among the first. */
const rare = [
  { seed: 9, style: 'heals' },
  { seed: 68, style: 'heals' },
  { seed: 7, style: 'heals' },
  { seed: 42, style: 'late' },
  { seed: 27, style: 'late' },
  { seed: 31, style: 'thefts' },
  { seed: 19, style: 'mixed' },
] as const

/** More of them: `node scripts/sync-model.mjs --runs 10000`. */
const chosen = env['TIDEMARK_SYNC_SEEDS']?.split(',').map((seed) => ({ seed: Number(seed) }))
const runs: readonly ({ seed: number } & RunOptions)[] = chosen ?? [
  ...Array.from({ length: 30 }, (_, index) => ({ seed: index + 1 })),
  ...rare,
  ...[1, 2, 3, 4, 5, 6, 7, 8].map((seed) => ({ seed, style: 'adopts' as const })),
]

// Against hangs only: alone it takes some seconds.
const timeout = 300_000

test(
  'what devices and server hold, show and say through faults, and when they have come to rest',
  { timeout },
  async () => {
    const totals: Record<string, number> = {}
    for (const { seed, ...options } of runs)
      for (const [what, count] of Object.entries(await run(seed, options))) totals[what] = (totals[what] ?? 0) + count
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
      'adopted',
    ]
    expect(wanted.filter((what) => (totals[what] ?? 0) < runs.length / 10)).toEqual([])
    expect(totals['adopted as they are']).toBeGreaterThan(0)
    // A version is a count, which a restored server may reach with other events.
    expect(totals['decided on others'] ?? 0).toBeLessThan(3)
  },
)
