// The whole suite: typecheck, the Node suites, the packed package in the tools of its users, the browser suites on every
// engine, Playwright (both storage engines of Chromium). The last line is always `N passed, N failed`. Engines that are missing and tests that failed are named before it.
// Not `test:browser`: the same files run on disk, on the engines.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { engineNames } from './engines.mjs'
import { playwrightFailures } from './failures.mjs'
import { provisionChromium, provisionOtherEngines } from './provision-browser.mjs'
import { engineTable, runEngine } from './run-engine.mjs'
import { attempt, countVitest, judged, MINUTE, reports, runTool, runVitest, tool } from './run-tool.mjs'

const nodeReport = join(reports, 'node.json')
const packageReport = join(reports, 'package.json')
const playwrightReport = join(reports, 'playwright.json')

// A report of an earlier run must never be counted.
rmSync(reports, { recursive: true, force: true })
mkdirSync(reports, { recursive: true })

const total = { passed: 0, failed: 0 }
const engines = []
const failures = []

const chromium = provisionChromium()
if (chromium) {
  // Every step uses the browser that was found here.
  process.env['TIDEMARK_CHROMIUM'] = chromium
  provisionOtherEngines()

  await step('typecheck', async () => {
    const problem = await runTool(fileURLToPath(new URL('typecheck.mjs', import.meta.url)), [], 5 * MINUTE)
    return { passed: problem ? 0 : 1, failed: problem ? 1 : 0, problem }
  })
  await step('node', async () => {
    const problem = await runVitest(['node'], nodeReport, 15 * MINUTE)
    return {
      ...judged(
        attempt(() => countVitest(nodeReport)),
        problem,
      ),
      problem,
    }
  })
  await step('package', async () => {
    const problem = await runVitest(['package'], packageReport, 15 * MINUTE)
    return {
      ...judged(
        attempt(() => countVitest(packageReport)),
        problem,
      ),
      problem,
    }
  })
  for (const name of engineNames) {
    await step(name, async () => {
      const result = await runEngine(name)
      engines.push(result)
      return result
    })
  }
  await step('playwright', async () => {
    const env = { PLAYWRIGHT_JSON_OUTPUT_FILE: playwrightReport }
    const problem = await runTool(
      tool('@playwright/test', 'cli.js'),
      ['test', '--reporter=list,json'],
      25 * MINUTE,
      env,
    )
    return { ...judged(attempt(countPlaywright), problem), problem }
  })
  console.log(`\n${engineTable(engines)}\n`)
} else {
  total.failed += 1
  failures.push('failed: no Chromium, so nothing ran')
  for (const name of engineNames) engines.push({ name, missing: 'nothing ran without a Chromium' })
}

const notRun = engines.filter(({ missing }) => missing).map(({ name, missing }) => `${name} not run: ${missing}`)
const summary = [...notRun, ...failures, `${total.passed} passed, ${total.failed} failed`].join('\n')
writeFileSync(join(reports, 'summary.txt'), `${summary}\n`)
// Not process.exit(): it may cut off what is still to be printed.
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1
console.log(summary)

/** Runs one part and adds its numbers. */
async function step(name, run) {
  console.log(`\n── ${name}`)
  const { missing, passed, failed, skipped, problem, failures: named = [] } = await run()
  total.passed += passed
  total.failed += failed
  // A tool that failed without a failed test says why itself.
  if (failed > 0)
    failures.push(
      ...(named.length > 0 ? named : [problem ?? 'nothing ran']).map((failure) => `failed: ${name}: ${failure}`),
    )
  const rest = `${skipped ? `, ${skipped} skipped` : ''}${problem ? ` (${problem})` : ''}`
  console.log(`── ${name}: ${missing ? `not run: ${missing}` : `${passed} passed, ${failed} failed${rest}`}`)
}

function countPlaywright() {
  const report = JSON.parse(readFileSync(playwrightReport, 'utf8'))
  const { stats } = report
  return {
    passed: stats.expected,
    failed: stats.unexpected + stats.flaky,
    skipped: stats.skipped,
    failures: playwrightFailures(report),
  }
}
