// Finds browsers to test with. Chromium: TIDEMARK_CHROMIUM, then one that the system has, then Playwright's own download.
// Firefox and WebKitGTK: their variable, then one that the system has; Playwright's own are patched builds, not what users have.
// `node scripts/find-browser.mjs` prints the path of Chromium.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { readFlags } from './flags.mjs'

const systemPaths = {
  linux: () => [
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/usr/bin/google-chrome-stable',
    '/opt/google/chrome/chrome',
  ],
  darwin: () =>
    ['/Applications', join(homedir(), 'Applications')].flatMap((folder) => [
      `${folder}/Chromium.app/Contents/MacOS/Chromium`,
      `${folder}/Google Chrome.app/Contents/MacOS/Google Chrome`,
    ]),
  win32: () =>
    [process.env['PROGRAMFILES'], process.env['PROGRAMFILES(X86)'], process.env['LOCALAPPDATA']]
      .filter((folder) => folder !== undefined)
      .flatMap((folder) => [
        join(folder, 'Google\\Chrome\\Application\\chrome.exe'),
        join(folder, 'Chromium\\Application\\chrome.exe'),
      ]),
}

/** @returns {{ path: string, source: 'environment' | 'system' | 'playwright' } | undefined} */
export function findChromium() {
  const chosen = process.env['TIDEMARK_CHROMIUM']
  // A choice that does not exist is never replaced silently by another browser.
  if (chosen) return existsSync(chosen) ? { path: chosen, source: 'environment' } : undefined

  const system = (systemPaths[process.platform]?.() ?? []).find((path) => existsSync(path) && !isSnapPlaceholder(path))
  if (system) return { path: system, source: 'system' }

  const own = playwrightChromium()
  return own && existsSync(own) ? { path: own, source: 'playwright' } : undefined
}

/** Firefox: TIDEMARK_FIREFOX, else an installed one. @returns {string | undefined} its path */
export function findFirefox() {
  return firstThere('TIDEMARK_FIREFOX', [
    '/usr/bin/firefox-esr',
    '/usr/bin/firefox',
    '/Applications/Firefox.app/Contents/MacOS/firefox',
    'C:\\Program Files\\Mozilla Firefox\\firefox.exe',
  ])
}

/** WebKitGTK's own small browser: TIDEMARK_WEBKIT_BROWSER, else an installed one. @returns {string | undefined} its path */
export function findWebKit() {
  return firstThere('TIDEMARK_WEBKIT_BROWSER', [
    ...readdirIfThere('/usr/lib').map((folder) => `/usr/lib/${folder}/webkit2gtk-4.1/MiniBrowser`),
    '/usr/libexec/webkit2gtk-4.1/MiniBrowser',
    '/usr/lib/webkit2gtk-4.1/MiniBrowser',
  ])
}

/** The X server without a screen that WebKitGTK needs: it has no headless mode. @returns {string | undefined} its path */
export function findXvfb() {
  return firstThere('TIDEMARK_XVFB', ['/usr/bin/Xvfb'])
}

/** The path in the variable, and only that if it is set; else the first of the paths that exists. */
function firstThere(variable, paths) {
  const chosen = process.env[variable]
  return (chosen ? [chosen] : paths).find((path) => existsSync(path) && !isSnapPlaceholder(path))
}

function readdirIfThere(folder) {
  return existsSync(folder) ? readdirSync(folder) : []
}

/** Flags for every Chromium that a test starts. */
export function chromiumArgs() {
  const args = [
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ]
  // Chromium refuses to start as root with its sandbox.
  return process.getuid?.() === 0 ? ['--no-sandbox', ...args] : args
}

function playwrightChromium() {
  const require = createRequire(import.meta.url)
  try {
    // playwright-core is a dependency of @playwright/test, not ours, so it is looked up from there.
    const playwright = createRequire(require.resolve('@playwright/test/package.json'))
    return createRequire(playwright.resolve('playwright/package.json'))('playwright-core').chromium.executablePath()
  } catch {
    return undefined
  }
}

/** Ubuntu's /usr/bin/chromium-browser and /usr/bin/firefox are scripts that only ask for a snap to be installed. */
function isSnapPlaceholder(path) {
  return statSync(path).size < 10_000 && /snap install/.test(readFileSync(path, 'utf8'))
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  readFlags(import.meta.url)
  const found = findChromium()
  if (found) console.log(found.path)
  else {
    console.error('No Chromium found. Run: node scripts/provision-browser.mjs')
    process.exitCode = 1
  }
}
