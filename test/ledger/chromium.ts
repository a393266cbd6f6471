/** Chromium on either of its storage engines, driven over CDP. */
import { chromium, type BrowserContext, type Page } from '@playwright/test'
import { chromiumArgs, findChromium } from '../../scripts/find-browser.mjs'
import { endProcess } from '../support/browser-processes.js'
import { chromiumStorageFlag, chromiumStorageOnDisk, type ChromiumStorage } from '../support/chromium-storage.js'
import { killer, processes } from '../support/e2e.js'
import type { LedgerBrowser, LedgerEngine, LedgerPage } from './browser.js'

/** Whoever runs the ledger decides what a signal means: a round under way is played to its end. */
const unhandled = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false } as const

export function chromiumOn(storage: ChromiumStorage): LedgerEngine {
  return {
    name: `chromium-${storage}`,
    kills: [
      ['process tree', 35],
      ['renderer', 30],
      ['dedicated worker', 15],
      ['service worker', 20],
    ],
    async start(profile, url) {
      const executablePath = findChromium()?.path
      if (executablePath === undefined) throw new Error('No Chromium found. Run: node scripts/provision-browser.mjs')
      // A renderer for each tab, so that killing one leaves the others.
      const args = [
        ...chromiumArgs(),
        chromiumStorageFlag(storage),
        '--process-per-tab',
        '--disable-features=ProcessPerSiteUpToMainFrameThreshold',
      ]
      return launched(await chromium.launchPersistentContext(profile, { executablePath, args, ...unhandled }), url)
    },
    async assertStorage(profile, url) {
      const found = await chromiumStorageOnDisk(profile, new URL(url).origin)
      if (found !== storage) throw new Error(`The databases should lie in ${storage}, and lie in ${found}`)
    },
  }
}

async function launched(context: BrowserContext, url: string): Promise<LedgerBrowser> {
  const pages = new Map<LedgerPage, Page>()
  const { kill, gone } = await killer(context)
  const sessionOf = (page: LedgerPage) => context.newCDPSession(pages.get(page) as Page)
  return {
    version: `Chromium ${context.browser()?.version() ?? 'of unknown version'}`,
    gone,
    async openPage() {
      const page = await context.newPage()
      await page.goto(url)
      await page.waitForFunction(() => document.documentElement.dataset['harness'] === 'ready')
      const opened: LedgerPage = {
        run: (realm, body, arg) =>
          page.evaluate(([realm, source, arg]) => window.harness.run(realm, source, arg) as Promise<any>, [
            realm,
            body.toString(),
            arg,
          ] as const),
        terminate: (realm) => page.evaluate((realm) => window.harness.terminate(realm), realm),
        crashed: new Promise((resolve) => page.once('crash', () => resolve())),
        close: () => page.close(),
      }
      pages.set(opened, page)
      return opened
    },
    killTree: async () => kill,
    async killRenderer(among, chosen) {
      if (chosen % 2 === 0) {
        const session = await sessionOf(among[chosen % among.length] as LedgerPage)
        // Nobody is left to answer this.
        return { how: 'Page.crash', kill: () => void session.send('Page.crash').catch(() => {}) }
      }
      const renderers = (await processes(context)).filter(({ type }) => type === 'renderer')
      const victim = renderers[chosen % renderers.length]
      if (victim === undefined) throw new Error('The browser names no renderer')
      return { how: 'SIGKILL', kill: () => endProcess(victim.pid) }
    },
    renderers: async () => (await processes(context)).filter(({ type }) => type === 'renderer').map(({ pid }) => pid),
    async stopServiceWorker(page) {
      const session = await sessionOf(page)
      await session.send('ServiceWorker.enable')
      return {
        how: 'ServiceWorker.stopAllWorkers',
        kill: () => void session.send('ServiceWorker.stopAllWorkers').catch(() => {}),
      }
    },
    close: () => context.close(),
  }
}
