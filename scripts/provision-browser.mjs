// Makes sure there is a Chromium to test with: finds one, else installs one, else says what to do.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { findChromium } from './find-browser.mjs'

const INSTALL_TIMEOUT = 10 * 60_000

/** @returns the path of a Chromium, or `undefined` after one message that says which command to run */
export function provisionChromium() {
  const chosen = process.env['TIDEMARK_CHROMIUM']
  const found = findChromium()
  if (found) return found.path
  if (chosen) {
    console.error(`TIDEMARK_CHROMIUM is '${chosen}', which does not exist. Correct it, or unset it to search for a browser.`)
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

function hasAptGet() {
  return process.platform === 'linux' && spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status === 0
}

function installWithApt() {
  run('apt-get', ['update'])
  run('apt-get', ['install', '--yes', '--no-install-recommends', 'chromium'], { DEBIAN_FRONTEND: 'noninteractive' })
}

function installWithPlaywright(withSystemLibraries) {
  const cli = createRequire(import.meta.url).resolve('@playwright/test/cli')
  run(process.execPath, [cli, 'install', ...(withSystemLibraries ? ['--with-deps'] : []), 'chromium'])
}

function run(command, args, env = {}) {
  console.log(`No Chromium found, so: ${command === process.execPath ? 'node' : command} ${args.join(' ')}`)
  spawnSync(command, args, { stdio: 'inherit', timeout: INSTALL_TIMEOUT, env: { ...process.env, ...env } })
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const path = provisionChromium()
  if (path) console.log(`Chromium: ${path}`)
  else process.exitCode = 1
}
