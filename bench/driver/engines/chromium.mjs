// Chromium over Playwright, with either of its storage engines.
import { chromium } from '@playwright/test'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { chromiumArgs, findChromium } from '../../../scripts/find-browser.mjs'

/** @param {'leveldb' | 'sqlite'} storage */
export const chromiumOn = (storage) => ({
  async start(profile) {
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: findChromium().path,
      // The bench closes it, so that what comes after is done as well.
      handleSIGINT: false,
      args: [
        ...chromiumArgs(),
        `--enable-features=${storage === 'sqlite' ? 'IdbSqliteBackingStore' : 'IdbSqliteOnDiskRollout:stage/UseLevelDbOnly'}`,
        '--js-flags=--expose-gc',
        '--enable-precise-memory-info',
      ],
    })
    const blank = context.pages()[0]
    return {
      version: `Chromium ${context.browser()?.version()}`,
      firstPage: async () => blank ?? context.newPage(),
      newPage: () => context.newPage(),
      /** A DevTools session: for profiles, a slower processor, and keys. */
      devtools: (page) => context.newCDPSession(page),
      close: () => context.close(),
    }
  },
  storage,
  async storageOnDisk(profile) {
    const entries = await readdir(join(profile, 'Default', 'IndexedDB')).catch(() => [])
    return entries.some((entry) => entry.endsWith('.indexeddb.leveldb'))
      ? 'leveldb'
      : entries.length > 0
        ? 'sqlite'
        : 'none'
  },
})
