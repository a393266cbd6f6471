// A browser on the bench page, with a profile on disk: in a private context IndexedDB would be in memory.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { whyMissing } from '../../scripts/engines.mjs'
import { call } from './call.mjs'
import { chromiumOn } from './engines/chromium.mjs'
import { firefox } from './engines/firefox.mjs'

const engines = { 'chromium-leveldb': chromiumOn('leveldb'), 'chromium-sqlite': chromiumOn('sqlite'), firefox }

const running = new Set()

/** Ends every browser, so that code which waits for one fails and cleans up. */
export async function closeAll() {
  await Promise.all([...running].map((close) => close()))
}

/** A new folder for a profile, and what removes it. */
export async function newProfile() {
  const path = await mkdtemp(join(tmpdir(), 'tidemark-bench-profile-'))
  // A browser may still write for a moment after it was told to end.
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }) }
}

/** @param {{ engine: keyof typeof engines, url: string, profile: string, profileFile?: string }} options */
export async function openBrowser({ engine: name, url, profile, profileFile }) {
  const missing = whyMissing(name)
  if (missing !== undefined) throw new Error(`The bench cannot run in ${name}: ${missing}`)
  const engine = engines[name]
  const browser = await engine.start(profile, profileFile)
  // A second caller of close waits until it is gone: only then may its profile be removed.
  let closing
  const close = () => {
    running.delete(close)
    return (closing ??= browser.close())
  }
  running.add(close)
  try {
    const page = await browser.firstPage()
    let other
    let otherDevice
    await page.exposeFunction('onOtherDevice', async (method, ...args) => {
      otherDevice ??= openOtherDevice({ engine: name, url })
      const { browser } = await otherDevice
      if (method === 'reload') return void (await openPage(browser.page, url))
      return browser.page.evaluate(([method, args]) => window.bench.remote[method](...args), [method, args])
    })
    await page.exposeFunction('inOtherTab', async (task) => {
      other ??= await openPage(await browser.newPage(), url)
      await other.evaluate((task) => window.bench.lead(task), task)
    })
    await openPage(page, url)
    return {
      page,
      version: browser.version,
      devtools: browser.devtools && (() => browser.devtools(page)),
      profileFile,
      /** What the databases are in, by what lies on disk. */
      async storage() {
        // Every case deletes its databases, and some engines the files with them.
        await call(page, 'leaveDatabase')
        const found = await engine.storageOnDisk(profile)
        if (found !== engine.storage) throw new Error(`The databases are in ${found}, not in ${engine.storage}`)
        return found
      },
      async close() {
        await (await otherDevice)?.close()
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** A browser with a profile of its own, which goes with it. */
async function openOtherDevice(options) {
  const disk = await newProfile()
  const browser = await openBrowser({ ...options, profile: disk.path })
  return {
    browser,
    async close() {
      await browser.close()
      await disk.remove()
    },
  }
}

async function openPage(page, url) {
  const failed = new Promise((_, reject) => page.on('pageerror', reject))
  failed.catch(() => {})
  await page.goto(url)
  await Promise.race([page.waitForFunction(() => window.bench !== undefined), failed])
  if (!(await page.evaluate(() => window.crossOriginIsolated)))
    throw new Error('The page is not isolated, so its clock is too coarse')
  return page
}
