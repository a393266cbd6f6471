// A short run of the ledger of sync, and its honesty. See docs/sync-ledger.md.
import { seedFor } from '../../src/testing/random.js'
import { chromiumOn } from '../ledger/chromium.js'
import { planSyncRound } from '../sync-ledger/sync-plan.js'
import { playSyncRound } from '../sync-ledger/sync-round.js'
import { SyncStage } from '../sync-ledger/sync-stage.js'
import { expect, onOneStorage, test } from '../support/e2e.js'

const rounds = 2
const seed = 2026
/** Of the first rounds of the plan. */
const planOf = (round: number, engine: ReturnType<typeof chromiumOn>) =>
  planSyncRound(seedFor(seed, `short ${round}`), { kills: engine.kills, pages: 4 })

test.describe('the short run', () => {
  test.describe.configure({ mode: 'serial', timeout: 180_000 })
  let stage: SyncStage | undefined
  let happened = 0
  let looks = 0
  test.afterAll(() => stage?.close())

  for (let round = 0; round < rounds; round += 1) {
    test(`round ${round} of the ledger of sync finds every commit in one place, and the same rows everywhere`, async ({
      engine,
      baseURL,
    }) => {
      stage ??= await SyncStage.open(chromiumOn(engine), `${baseURL}/`)
      const result = await playSyncRound(stage, planOf(round, stage.engine), `short-${round}`)
      expect(
        result.violations,
        `seed ${seed}, round ${round}: ${JSON.stringify(result.evidence)?.slice(0, 2_000)}`,
      ).toEqual([])
      // What was not disturbed proves nothing.
      happened += Object.values(result.faults).reduce((sum, times) => sum + times, 0)
      expect(result.places.confirmed).toBeGreaterThan(0)
      looks += result.looks
      if (round < rounds - 1) return
      expect(happened).toBeGreaterThan(5)
      expect(looks).toBeGreaterThan(0)
    })
  }
})

test('a server that does not know ids again is noticed', onOneStorage, async ({ engine, baseURL }) => {
  test.setTimeout(240_000)
  const stage = await SyncStage.open(chromiumOn(engine), `${baseURL}/`, { sabotage: 'no-ids' })
  try {
    const noticed = new Set<string>()
    // A repeat that expects what it changed itself is refused: in a round with only such ones nothing is doubled.
    for (let round = 0; round < 4 && noticed.size === 0; round += 1) {
      const plan = planOf(round, stage.engine)
      // Every request arrives twice.
      const devices = plan.devices.map((device) => ({ ...device, faults: { twice: 1 } }))
      const { violations } = await playSyncRound(
        stage,
        { seed, devices, server: { away: 100, way: plan.server.way, database: { cuts: [] } } },
        `no-ids-${round}`,
      )
      for (const { rule } of violations) noticed.add(rule)
    }
    expect([...noticed]).toContain('one place')
  } finally {
    await stage.close()
  }
})
