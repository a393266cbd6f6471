// Makes sure there is a Chromium to test with: finds one, else installs one, else says what to do.
// The other engines are installed where that needs no question: as root with apt-get, in CI.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { whyMissing } from './engines.mjs'
import { findChromium } from './find-browser.mjs'
import { readFlags } from './flags.mjs'

const INSTALL_TIMEOUT = 10 * 60_000
/** Of all engines together that the suite can do without. */
const OPTIONAL_INSTALL_TIMEOUT = 3 * 60_000

/** @returns the path of a Chromium, or `undefined` after one message that says which command to run */
export function provisionChromium() {
  const chosen = process.env['TIDEMARK_CHROMIUM']
  const found = findChromium()
  if (found) return found.path
  if (chosen) {
    console.error(
      `TIDEMARK_CHROMIUM is '${chosen}', which does not exist. Correct it, or unset it to search for a browser.`,
    )
    return undefined
  }

  const root = process.getuid?.() === 0
  const attempts = [
    ...(root && hasAptGet() ? [installWithApt] : []),
    () => installWithPlaywright(root && process.platform === 'linux'),
  ]
  for (const attempt of attempts) {
    attempt()
    const installed = findChromium()
    if (installed) return installed.path
  }
  console.error(
    'No Chromium found, and none could be installed. Run `npx playwright install chromium`, ' +
      'or install Chromium or Chrome and set TIDEMARK_CHROMIUM to its path.',
  )
  return undefined
}

/** Installs Firefox and WebKitGTK if they are missing. Without them the suite continues, and says which engine it did not run. */
export function provisionOtherEngines() {
  if (!process.env['CI'] || process.getuid?.() !== 0 || !hasAptGet()) return
  const missing = [
    ['firefox', ['firefox-esr']],
    ['webkit', ['libwebkit2gtk-4.1-0', 'xvfb']],
  ].filter(([name]) => whyMissing(name))
  if (missing.length === 0) return
  const deadline = performance.now() + OPTIONAL_INSTALL_TIMEOUT
  const left = () => Math.max(1, Math.round(deadline - performance.now()))
  aptGet(['update'], left())
  for (const [name, packages] of missing) {
    const problem = aptGet(['install', '--yes', '--no-install-recommends', ...packages], left())
    const reason = whyMissing(name)
    if (reason)
      console.error(`${name} could not be installed (${problem ?? reason}), so the suite continues without it.`)
  }
}

function hasAptGet() {
  return process.platform === 'linux' && spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status === 0
}

function installWithApt() {
  aptGet(['update'], INSTALL_TIMEOUT)
  aptGet(['install', '--yes', '--no-install-recommends', 'chromium'], INSTALL_TIMEOUT)
}

function aptGet(args, timeout) {
  return run('apt-get', ['-q', ...args], timeout, { DEBIAN_FRONTEND: 'noninteractive' })
}

function installWithPlaywright(withSystemLibraries) {
  const cli = createRequire(import.meta.url).resolve('@playwright/test/cli')
  run(process.execPath, [cli, 'install', ...(withSystemLibraries ? ['--with-deps'] : []), 'chromium'], INSTALL_TIMEOUT)
}

/** @returns {string | undefined} what went wrong, if anything */
function run(command, args, timeout, env = {}) {
  console.log(`A browser is missing, so: ${command === process.execPath ? 'node' : command} ${args.join(' ')}`)
  const { error, status, signal } = spawnSync(command, args, {
    stdio: 'inherit',
    timeout,
    env: { ...process.env, ...env },
  })
  return error?.message ?? (status === 0 ? undefined : `exit ${status ?? signal}`)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  readFlags(import.meta.url)
  const path = provisionChromium()
  if (path) console.log(`Chromium: ${path}`)
  else process.exitCode = 1
}
