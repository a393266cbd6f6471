/** Chromium with a persistent profile, once for each of its storage engines. */
import { whyMissing } from '../../scripts/engines.mjs'
import { chromiumArgs, findChromium } from '../../scripts/find-browser.mjs'
import { chromiumStorageFlag, chromiumStorageOnDisk, type ChromiumStorage } from '../support/chromium-storage.js'
import type { Engine } from './engine.js'

export function chromiumOn(storage: ChromiumStorage): Engine {
  return {
    name: `chromium-${storage}`,
    browser: 'chromium',
    storage,
    async start(url, profile) {
      const executablePath = findChromium()?.path
      if (executablePath === undefined) throw new Error(whyMissing(`chromium-${storage}`))
      // Loaded when needed: every run of vitest reads this file.
      const { chromium } = await import('@playwright/test')
      const args = [...chromiumArgs(), chromiumStorageFlag(storage)]
      const context = await chromium.launchPersistentContext(profile, { executablePath, args })
      const page = context.pages()[0] ?? (await context.newPage())
      await page.goto(url)
      return {
        version: `Chromium ${context.browser()?.version() ?? 'of unknown version'}`,
        stop: () => context.close(),
      }
    },
    storageOnDisk: chromiumStorageOnDisk,
  }
}
