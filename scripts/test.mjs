// The whole suite: typecheck, vitest (Node and browser), Playwright (both storage engines of Chromium).
// The last line is always `N passed, N failed`.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { provisionChromium } from './provision-browser.mjs'

const MINUTE = 60_000
const root = fileURLToPath(new URL('..', import.meta.url))
const reports = join(root, '.cache', 'test')
const vitestReport = join(reports, 'vitest.json')
const playwrightReport = join(reports, 'playwright.json')

// A report of an earlier run must never be counted.
rmSync(reports, { recursive: true, force: true })
mkdirSync(reports, { recursive: true })

const total = { passed: 0, failed: 0 }

const chromium = provisionChromium()
if (chromium) {
  // Every step uses the browser that was found here.
  process.env['TIDEMARK_CHROMIUM'] = chromium
  await step('typecheck', tool('typescript', 'bin/tsc'), ['--noEmit'], 5 * MINUTE, {}, () => ({ passed: 1, failed: 0 }))
  await step(
    'vitest',
    tool('vitest', 'vitest.mjs'),
    ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${vitestReport}`],
    15 * MINUTE,
    {},
    countVitest,
  )
  await step(
    'playwright',
    tool('@playwright/test', 'cli.js'),
    ['test', '--reporter=list,json'],
    25 * MINUTE,
    { PLAYWRIGHT_JSON_OUTPUT_FILE: playwrightReport },
    countPlaywright,
  )
} else {
  total.failed += 1
}

const summary = `${total.passed} passed, ${total.failed} failed`
writeFileSync(join(reports, 'summary.txt'), `${summary}\n`)
// Not process.exit(): it may cut off what is still to be printed.
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1
console.log(summary)

/** Runs one tool and adds its numbers. A tool that fails without a failed test counts as one failure. */
async function step(name, script, args, timeout, env, count) {
  console.log(`\n── ${name}`)
  const problem = await run(script, args, timeout, env)
  const counted = problem && name === 'typecheck' ? { passed: 0, failed: 1 } : attempt(count)
  if (counted.failed === 0 && (problem || counted.passed === 0)) counted.failed = 1
  total.passed += counted.passed
  total.failed += counted.failed
  const skipped = counted.skipped ? `, ${counted.skipped} skipped` : ''
  console.log(`── ${name}: ${counted.passed} passed, ${counted.failed} failed${skipped}${problem ? ` (${problem})` : ''}`)
}

/** @returns what went wrong, or undefined */
function run(script, args, timeout, env) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...args], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...env },
    })
    let late = false
    const timer = setTimeout(() => {
      late = true
      // SIGTERM first, so that the tool closes its browsers and servers.
      child.kill('SIGTERM')
      setTimeout(() => child.kill('SIGKILL'), 10_000).unref()
    }, timeout)
    child.once('error', (error) => finish(error.message))
    child.once('exit', (code, signal) =>
      finish(late ? `stopped after ${timeout / MINUTE} minutes` : code === 0 ? undefined : `exit ${code ?? signal}`),
    )
    function finish(problem) {
      clearTimeout(timer)
      resolve(problem)
    }
  })
}

function countVitest() {
  const report = JSON.parse(readFileSync(vitestReport, 'utf8'))
  // A file that cannot be loaded has no tests that could fail.
  const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken,
    skipped: report.numPendingTests + report.numTodoTests,
  }
}

function countPlaywright() {
  const { stats } = JSON.parse(readFileSync(playwrightReport, 'utf8'))
  return { passed: stats.expected, failed: stats.unexpected + stats.flaky, skipped: stats.skipped }
}

function attempt(count) {
  try {
    return count()
  } catch (error) {
    console.error(`No report to count: ${error.message}`)
    return { passed: 0, failed: 1 }
  }
}

function tool(name, script) {
  return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), script)
}
