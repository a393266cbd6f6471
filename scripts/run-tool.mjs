// Runs the tools of the suite, each within a limit of time, and reads their reports.
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { vitestFailures } from './failures.mjs'
import { vitestSkipped } from './skipped.mjs'

/** The folder of the project. */
export const root = fileURLToPath(new URL('..', import.meta.url))

export const MINUTE = 60_000
/** Where reports go. */
export const reports = join(root, '.cache', 'test')

/** The script of a tool in node_modules. */
export function tool(name, script) {
  return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), script)
}

/**
 * @param {number} timeout ms
 * @param {NodeJS.ProcessEnv} [env] further variables
 * @param {string} [log] a file that gets what it prints, instead of this process's own output
 * @returns {Promise<string | undefined>} what went wrong, if anything
 */
export function runTool(script, args, timeout, env = {}, log) {
  return new Promise((resolve) => {
    const output = log === undefined ? 'inherit' : openLog(log)
    const child = spawn(process.execPath, [script, ...args], {
      cwd: root,
      stdio: ['ignore', output, output],
      env: { ...process.env, ...env },
    })
    let late = false
    let closed = false
    let killing
    const timer = setTimeout(() => {
      late = true
      // SIGTERM first, so that the tool closes its browsers and servers.
      child.kill('SIGTERM')
      killing = setTimeout(() => child.kill('SIGKILL'), 10_000)
    }, timeout)
    child.once('error', (error) => finish(error.message))
    child.once('exit', (code, signal) =>
      finish(late ? `stopped after ${timeout / MINUTE} minutes` : code === 0 ? undefined : `exit ${code ?? signal}`),
    )
    function finish(problem) {
      clearTimeout(timer)
      clearTimeout(killing)
      // Called twice where a program cannot be started.
      if (typeof output === 'number' && !closed) closeSync(output)
      closed = true
      resolve(problem)
    }
  })
}

function openLog(file) {
  mkdirSync(dirname(file), { recursive: true })
  return openSync(file, 'a')
}

/** Runs some of vitest's projects. The report is at `file`. */
export function runVitest(projects, file, timeout, { args = [], env = {}, log } = {}) {
  return runTool(
    tool('vitest', 'vitest.mjs'),
    [
      'run',
      ...projects.flatMap((name) => ['--project', name]),
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${file}`,
      ...args,
    ],
    timeout,
    env,
    log,
  )
}

/** The numbers in a report of vitest, and what failed. */
export function countVitest(file) {
  const report = JSON.parse(readFileSync(file, 'utf8'))
  // A file that cannot be loaded has no tests that could fail.
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  ).length
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken,
    skipped: report.numPendingTests + report.numTodoTests,
    failures: vitestFailures(report, root),
    skippedTests: vitestSkipped(report, root),
  }
}

/** A tool that fails without a failed test counts as one failure, and so does one that ran nothing. */
export function judged(counted, problem) {
  return counted.failed === 0 && (problem || counted.passed === 0) ? { ...counted, failed: 1 } : counted
}

/** Reads a report. One that is not there is a failure. */
export function attempt(count) {
  try {
    return count()
  } catch (error) {
    console.error(`No report to count: ${error.message}`)
    return { passed: 0, failed: 1 }
  }
}
