// npm test: the whole suite: format, lint, unused code, typecheck, the Node suites, the packed package in the tools of its users,
// the browser suites on every engine, Playwright (both storage engines of Chromium). Several at a time, since each waits much
// of its time; `--lanes=1` runs one after the other. What each prints is in .cache/test/NAME.log, and is shown when it ends.
// Engines that are missing and tests that failed are named at the end, and how many tests were skipped, with the reasons. The
// last line is always `N passed, N failed`.
// Not `test:browser`: the same files run on disk, on the engines.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { engineNames } from './engines.mjs'
import { playwrightFailures } from './failures.mjs'
import { readFlags } from './flags.mjs'
import { inLanes } from './lanes.mjs'
import { provisionChromium, provisionOtherEngines } from './provision-browser.mjs'
import { engineTable, runEngine } from './run-engine.mjs'
import { playwrightSkipped, skippedLine } from './skipped.mjs'
import { attempt, countVitest, judged, MINUTE, reports, root, runTool, runVitest, tool } from './run-tool.mjs'

const { lanes: given } = readFlags(import.meta.url, { lanes: { type: 'string' } }).values
// One more than there are processors: alone, a suite leaves more than half of two processors idle. More would need memory for more browsers.
const lanes = given === undefined ? Math.min(4, availableParallelism() + 1) : Number(given)

/** Quick ones first, then the longest ones, so that no lane is empty at the end; those that keep several processors busy come last. */
const steps = [
  ['format', (log) => checked(tool('oxfmt', 'bin/oxfmt'), ['--check', '.'], log)],
  ['lint', (log) => checked(tool('oxlint', 'bin/oxlint'), [], log)],
  // Its package does not offer its package.json.
  ['unused', (log) => checked(join(root, 'node_modules', 'knip', 'bin', 'knip.js'), ['--no-progress'], log)],
  ['typecheck', (log) => checked(fileURLToPath(new URL('typecheck.mjs', import.meta.url)), [], log)],
  ['playwright', playwright],
  ['webkit', engine('webkit')],
  // The longest of all; it waits for npm much of its time.
  ['package', vitest('package')],
  ['firefox', engine('firefox')],
  ['chromium-leveldb', engine('chromium-leveldb')],
  ['chromium-sqlite', engine('chromium-sqlite')],
  ['servers', vitest('servers')],
  ['node', vitest('node')],
  ['tools', vitest('tools')],
]

// A report of an earlier run must never be counted.
rmSync(reports, { recursive: true, force: true })
mkdirSync(reports, { recursive: true })

const total = { passed: 0, failed: 0 }
const engines = []
const failures = []
const skippedTests = []

const chromium = provisionChromium()
if (chromium) {
  // Every step uses the browser that was found here.
  process.env['TIDEMARK_CHROMIUM'] = chromium
  provisionOtherEngines()
  await inLanes(
    steps.map(
      ([name, run]) =>
        () =>
          step(name, run),
    ),
    lanes,
  )
  engines.sort((a, b) => engineNames.indexOf(a.name) - engineNames.indexOf(b.name))
  console.log(`\n${engineTable(engines)}\n`)
} else {
  total.failed += 1
  failures.push('failed: no Chromium, so nothing ran')
  for (const name of engineNames) engines.push({ name, missing: 'nothing ran without a Chromium' })
}

const notRun = engines.filter(({ missing }) => missing).map(({ name, missing }) => `${name} not run: ${missing}`)
const skipped = skippedLine(skippedTests, lacks())
const summary = [
  ...notRun,
  ...failures,
  ...(skipped ? [skipped] : []),
  `${total.passed} passed, ${total.failed} failed`,
].join('\n')
writeFileSync(join(reports, 'summary.txt'), `${summary}\n`)
// Not process.exit(): it may cut off what is still to be printed.
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1
console.log(summary)

/** Runs one part, shows what it printed, and adds its numbers. */
async function step(name, run) {
  console.log(`── ${name} begins`)
  const began = performance.now()
  const log = join(reports, `${name}.log`)
  // A mistake of these scripts counts as a failure of the part, and the others run on.
  const result = await run(log).catch((error) => ({ passed: 0, failed: 1, problem: String(error) }))
  const { missing, passed, failed, skipped, problem, failures: named = [], skippedTests: unasked = [] } = result
  total.passed += passed
  total.failed += failed
  skippedTests.push(...unasked)
  // A tool that failed without a failed test says why itself.
  const reasons = named.length > 0 ? named : [problem ?? 'nothing ran']
  if (failed > 0) failures.push(...reasons.map((reason) => `failed: ${name}: ${reason}`))
  const rest = `${skipped ? `, ${skipped} skipped` : ''}${problem ? ` (${problem})` : ''}`
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.log(`\n${printed(log)}`)
  console.log(
    `── ${name}: ${missing ? `not run: ${missing}` : `${passed} passed, ${failed} failed${rest}, ${seconds} s`}\n`,
  )
}

function printed(log) {
  try {
    return readFileSync(log, 'utf8')
  } catch {
    // A part that did not run printed nothing.
    return ''
  }
}

/** What this machine lacks. The tests that look for PostgreSQL, and install it where they may, say why they have none. */
function lacks() {
  const logs = ['servers', 'tools', 'node'].map((name) => printed(join(reports, `${name}.log`)))
  const [, noPostgres] = /TESTS ARE SKIPPED: (.+)/.exec(logs.join('\n')) ?? []
  const cloudflare = join(root, 'node_modules', '@cloudflare')
  const programs = existsSync(cloudflare) ? readdirSync(cloudflare) : []
  const hasWorkerd = programs.some((name) =>
    ['workerd', 'workerd.exe'].some((program) => existsSync(join(cloudflare, name, 'bin', program))),
  )
  return [
    ...(noPostgres ? [{ of: /postgres/i, why: `without PostgreSQL (${noPostgres.replace(/\.$/, '')})` }] : []),
    ...(hasWorkerd
      ? []
      : [{ of: /durable.?object|workerd/i, why: 'without workerd (it has no program for this machine)' }]),
  ]
}

/** A tool that passes or fails as a whole. */
async function checked(script, args, log) {
  const problem = await runTool(script, args, 10 * MINUTE, {}, log)
  return { passed: problem ? 0 : 1, failed: problem ? 1 : 0, problem }
}

function vitest(project) {
  return async (log) => {
    const report = join(reports, `${project}.json`)
    const problem = await runVitest([project], report, 30 * MINUTE, { log })
    const counted = attempt(() => countVitest(report))
    return { ...judged(counted, problem), problem }
  }
}

function engine(name) {
  return async (log) => {
    const result = await runEngine(name, { log })
    engines.push(result)
    return result
  }
}

async function playwright(log) {
  const report = join(reports, 'playwright.json')
  const env = { PLAYWRIGHT_JSON_OUTPUT_FILE: report }
  const args = ['test', '--reporter=list,json']
  const problem = await runTool(tool('@playwright/test', 'cli.js'), args, 28 * MINUTE, env, log)
  const counted = attempt(() => countPlaywright(report))
  return { ...judged(counted, problem), problem }
}

function countPlaywright(file) {
  const report = JSON.parse(readFileSync(file, 'utf8'))
  const { stats } = report
  return {
    passed: stats.expected,
    failed: stats.unexpected + stats.flaky,
    skipped: stats.skipped,
    failures: playwrightFailures(report),
    skippedTests: playwrightSkipped(report),
  }
}
