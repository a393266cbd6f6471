// One Chromium with a new profile on disk: in a private context IndexedDB would be in memory.
import { chromium } from '@playwright/test'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromiumArgs, findChromium } from '../../scripts/find-browser.mjs'

/** @param {{ url: string, sqlite: boolean }} options */
export async function openBrowser({ url, sqlite }) {
  const executablePath = findChromium()?.path
  if (executablePath === undefined) throw new Error('No Chromium found. Run: node scripts/provision-browser.mjs')
  const profile = await mkdtemp(join(tmpdir(), 'tidemark-bench-profile-'))
  const removeProfile = () => rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  try {
    const context = await chromium.launchPersistentContext(profile, {
      executablePath,
      args: [
        ...chromiumArgs(),
        `--enable-features=${sqlite ? 'IdbSqliteBackingStore' : 'IdbSqliteOnDiskRollout:stage/UseLevelDbOnly'}`,
        '--js-flags=--expose-gc',
      ],
    })
    const page = context.pages()[0] ?? (await context.newPage())
    const failed = new Promise((_, reject) => page.on('pageerror', reject))
    failed.catch(() => {})
    await page.goto(url)
    await Promise.race([page.waitForFunction(() => window.bench !== undefined), failed])
    if (!(await page.evaluate(() => window.crossOriginIsolated))) throw new Error('The page is not isolated, so its clock is too coarse')
    return {
      page,
      version: `Chromium ${context.browser()?.version()}`,
      /** Which storage engine the databases are in, by what lies on disk. */
      storage: () => storageOnDisk(profile, sqlite ? 'sqlite' : 'leveldb'),
      async close() {
        await context.close()
        await removeProfile()
      },
    }
  } catch (error) {
    await removeProfile()
    throw error
  }
}

async function storageOnDisk(profile, wanted) {
  const entries = await readdir(join(profile, 'Default', 'IndexedDB')).catch(() => [])
  const found = entries.some((entry) => entry.endsWith('.indexeddb.leveldb')) ? 'leveldb' : entries.length > 0 ? 'sqlite' : 'memory'
  if (found !== wanted) throw new Error(`The databases are in ${found}, not in ${wanted}`)
  return found
}
