// Chromium with a profile on disk: in a private context IndexedDB would be in memory.
import { chromium } from '@playwright/test'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromiumArgs, findChromium } from '../../scripts/find-browser.mjs'

/** A new folder for a profile, and what removes it. */
export async function newProfile() {
  const path = await mkdtemp(join(tmpdir(), 'tidemark-bench-profile-'))
  // Chromium may still write for a moment after it was told to end.
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }) }
}

/** @param {{ url: string, profile: string, sqlite: boolean }} options */
export async function openBrowser({ url, profile, sqlite }) {
  const executablePath = findChromium()?.path
  if (executablePath === undefined) throw new Error('No Chromium found. Run: node scripts/provision-browser.mjs')
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: [
      ...chromiumArgs(),
      `--enable-features=${sqlite ? 'IdbSqliteBackingStore' : 'IdbSqliteOnDiskRollout:stage/UseLevelDbOnly'}`,
      '--js-flags=--expose-gc',
    ],
  })
  try {
    const page = context.pages()[0] ?? (await context.newPage())
    let other
    await page.exposeFunction('inOtherTab', async (task) => {
      other ??= await openPage(await context.newPage(), url)
      await other.evaluate((task) => window.bench.lead(task), task)
    })
    await openPage(page, url)
    return {
      page,
      version: `Chromium ${context.browser()?.version()}`,
      /** Which storage engine the databases are in, by what lies on disk. */
      storage: () => storageOnDisk(profile, sqlite ? 'sqlite' : 'leveldb'),
      close: () => context.close(),
    }
  } catch (error) {
    await context.close()
    throw error
  }
}

async function openPage(page, url) {
  const failed = new Promise((_, reject) => page.on('pageerror', reject))
  failed.catch(() => {})
  await page.goto(url)
  await Promise.race([page.waitForFunction(() => window.bench !== undefined), failed])
  if (!(await page.evaluate(() => window.crossOriginIsolated))) throw new Error('The page is not isolated, so its clock is too coarse')
  return page
}

async function storageOnDisk(profile, wanted) {
  const entries = await readdir(join(profile, 'Default', 'IndexedDB')).catch(() => [])
  const found = entries.some((entry) => entry.endsWith('.indexeddb.leveldb')) ? 'leveldb' : entries.length > 0 ? 'sqlite' : 'memory'
  if (found !== wanted) throw new Error(`The databases are in ${found}, not in ${wanted}`)
  return found
}
