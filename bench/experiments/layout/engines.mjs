// Starts one engine on a page and says where it keeps its databases. Each entry: find() → what to start, or undefined;
// start(found, url, profile) → { version, stop }. `onDisk` names the files that prove which storage engine was used.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, relative } from 'node:path'
import { chromiumArgs, findChromium } from '../../../scripts/find-browser.mjs'

/** The path in the variable, and only that if it is set; else the first of the paths that exists. */
const firstThere = (variable, paths) => {
  const chosen = process.env[variable]
  return (chosen ? [chosen] : paths).find((path) => existsSync(path))
}
const chromium = () => findChromium()?.path

export const engines = {
  'chromium-leveldb': {
    find: chromium,
    start: (path, url, profile) => startChromium(path, url, profile, []),
    onDisk: (file) => /IndexedDB\/http_localhost_\d+\.indexeddb\.leveldb\//.test(file),
  },
  'chromium-sqlite': {
    find: chromium,
    start: (path, url, profile) => startChromium(path, url, profile, ['--enable-features=IdbSqliteBackingStore']),
    onDisk: (file) => /IndexedDB\/http_localhost_\d+\//.test(file),
  },
  firefox: {
    find: () => firstThere('TIDEMARK_FIREFOX', ['/usr/bin/firefox-esr', '/usr/bin/firefox']),
    start: startFirefox,
    onDisk: (file) => /storage\/default\/http.*localhost.*\/idb\/.*\.sqlite$/.test(file),
  },
  // Under WebDriver this browser keeps its data in memory. So the same page is also opened by the browser alone.
  'webkit-driver': {
    find: () => {
      const driver = firstThere('TIDEMARK_WEBKIT_DRIVER', ['/usr/bin/WebKitWebDriver'])
      const browser = miniBrowser()
      return driver && browser && { driver, browser }
    },
    start: startWebKitDriver,
    inMemory: true,
    onDisk: (file) => /IndexedDB\.sqlite3$/.test(file),
  },
  webkit: {
    find: miniBrowser,
    start: startWebKit,
    onDisk: (file) => /IndexedDB\.sqlite3$/.test(file),
  },
}

function miniBrowser() {
  const browser = firstThere('TIDEMARK_WEBKIT_BROWSER', [
    '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser',
    '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.0/MiniBrowser',
  ])
  return existsSync('/usr/bin/xvfb-run') ? browser : undefined
}

async function startChromium(executablePath, url, profile, extra) {
  const { chromium } = await import('@playwright/test')
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    timeout: 60_000,
    args: [...chromiumArgs(), ...extra],
  })
  const page = context.pages()[0] ?? (await context.newPage())
  await page.goto(url, { timeout: 60_000 })
  return { version: `Chromium ${context.browser()?.version() ?? ''}`.trim(), stop: () => context.close() }
}

async function startFirefox(executablePath, url, profile) {
  const { default: puppeteer } = await import('puppeteer-core')
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    timeout: 60_000,
    userDataDir: profile,
  })
  const page = await browser.newPage()
  await page.goto(url, { timeout: 60_000 })
  return { version: await browser.version(), stop: () => browser.close() }
}

async function startWebKit(browser, url, profile) {
  const kill = onScreen([browser, url], profile)
  return { version: 'WebKitGTK, started without a driver', stop: kill }
}

async function startWebKitDriver({ driver, browser }, url, profile) {
  const { Builder } = await import('selenium-webdriver')
  const port = await freePort()
  const kill = onScreen([driver, `--port=${port}`], profile)
  try {
    await listening(port, 20_000)
    const building = new Builder()
      .usingServer(`http://127.0.0.1:${port}`)
      .withCapabilities({
        browserName: 'MiniBrowser',
        'webkitgtk:browserOptions': { binary: browser, args: ['--automation'] },
      })
      .build()
    const session = await within(30_000, building)
    await within(30_000, session.get(url))
    const capabilities = await session.getCapabilities()
    return {
      version: `WebKitGTK ${capabilities.get('browserVersion')}`,
      stop: async () => {
        await within(5_000, session.quit()).catch(() => {})
        await kill()
      },
    }
  } catch (error) {
    await kill()
    throw error
  }
}

/** Starts a command on a screen of its own, at home in the profile. Gives back how to stop it and all it started. */
function onScreen(command, profile) {
  const child = spawn('xvfb-run', ['-a', ...command], {
    detached: true, // a process group of its own
    stdio: 'ignore',
    env: {
      ...process.env,
      HOME: profile,
      XDG_DATA_HOME: join(profile, 'data'),
      XDG_CACHE_HOME: join(profile, 'cache'),
      ...(process.getuid?.() === 0 ? { WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1' } : {}),
    },
  })
  const gone = new Promise((resolve) => child.once('exit', resolve))
  return async () => {
    try {
      process.kill(-child.pid)
    } catch {
      // already gone
    }
    await within(5_000, gone).catch(() => {})
  }
}

/** Files below a directory, relative to it. */
export function filesBelow(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(directory, join(entry.parentPath ?? entry.path, entry.name)))
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

async function listening(port, ms) {
  const deadline = Date.now() + ms
  while (Date.now() < deadline) {
    const up = await fetch(`http://127.0.0.1:${port}/status`).then(
      (r) => r.ok,
      () => false,
    )
    if (up) return
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  throw new Error(`the WebKit driver did not respond in ${ms} ms`)
}

function within(ms, promise) {
  let timer
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`no answer in ${ms} ms`)), ms)))
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
