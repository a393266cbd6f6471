import { expect, test } from 'vitest'
import { run } from '../../support/sync-model/run.js'

test('try', async () => {
  const from = Number(process.env['FROM'] ?? 1)
  const runs = Number(process.env['RUNS'] ?? 20)
  const failures: string[] = []
  const totals: Record<string, number> = {}
  const start = performance.now()
  for (let seed = from; seed < from + runs; seed += 1) {
    try {
      for (const [what, count] of Object.entries(await run(seed))) totals[what] = (totals[what] ?? 0) + count
    } catch (error) {
      failures.push(String((error as Error).message) + (process.env['STACK'] ? (error as Error).stack : ''))
    }
  }
  console.log(totals, performance.now() - start)
  expect(failures).toEqual([])
})
