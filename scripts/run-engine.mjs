// Runs the browser suites on one engine, and says how they went.
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { whyMissing } from './engines.mjs'
import { attempt, countVitest, judged, MINUTE, reports, root, runVitest } from './run-tool.mjs'

/** Many times what the slowest takes, also with others running at the same time. */
const TIMEOUT = 30 * MINUTE

/**
 * @param {string} name the engine
 * @param {{ args?: readonly string[], log?: string }} [options] `args`: further ones for vitest: files, `-t`. `log`: as of `runTool`
 * @returns {Promise<EngineResult>}
 * @typedef {{ name: string, missing?: string, version: string, passed: number, failed: number, skipped?: number, seconds: number, problem?: string }} EngineResult
 */
export async function runEngine(name, { args = [], log } = {}) {
  const missing = whyMissing(name)
  if (missing) return { name, missing, version: '', passed: 0, failed: 0, seconds: 0 }
  mkdirSync(reports, { recursive: true })
  const report = join(reports, `${name}.json`)
  // One of an earlier run must never be counted.
  rmSync(report, { force: true })
  const began = performance.now()
  // A project of that name, and those that are about this engine only.
  // Its own cache of Vite's, so that several engines can run at the same time.
  const env = { TIDEMARK_VITE_CACHE: join(root, 'node_modules', '.vite', name) }
  const problem = await runVitest([`${name}*`], report, TIMEOUT, { args, env, log })
  const counted = judged(
    attempt(() => countVitest(report)),
    problem,
  )
  return { name, version: versionIn(report), ...counted, seconds: (performance.now() - began) / 1000, problem }
}

/** A table for the terminal, one line per engine. */
export function engineTable(results) {
  const rows = results.map(({ name, missing, version, passed, failed, skipped, seconds, problem }) =>
    missing
      ? [name, '', '', '', '', `not run: ${missing}`]
      : [
          name,
          version,
          String(passed),
          String(failed),
          seconds.toFixed(1),
          [skipped ? `${skipped} skipped` : '', problem ?? ''].filter(Boolean).join(', '),
        ],
  )
  const table = [['engine', 'version', 'passed', 'failed', 'seconds', ''], ...rows]
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => (column === 5 ? 0 : row[column].length))))
  return table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** The test of the storage on disk leaves it in the report. */
function versionIn(report) {
  try {
    const tests = JSON.parse(readFileSync(report, 'utf8')).testResults.flatMap((file) => file.assertionResults)
    return tests.find((test) => test.meta?.engine)?.meta.engine ?? 'unknown'
  } catch {
    return 'unknown'
  }
}
