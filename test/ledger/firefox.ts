/** Firefox as installed, driven over WebDriver BiDi, which has no words for killing: that is done by process id, on Linux. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { launch, type Browser, type Page } from 'puppeteer-core'
import { findFirefox } from '../../scripts/find-browser.mjs'
import { firefox as engine } from '../engines/firefox.js'
import { endProcess, processGroups } from '../support/browser-processes.js'
import type { LedgerBrowser, LedgerEngine, LedgerPage } from './browser.js'
import { limited } from './limit.js'

const restoreLimit = 5_000
const newPageLimit = 10_000
const mostTries = 4

export const firefox: LedgerEngine = {
  name: 'firefox',
  // A service worker cannot be stopped from outside.
  kills: [
    ['process tree', 50],
    ['renderer', 25],
    ['dedicated worker', 25],
  ],
  async start(profile, url) {
    const executablePath = findFirefox()
    if (executablePath === undefined) throw new Error('No Firefox found. Install it (Debian: firefox-esr).')
    // Its crash reporter would hold on to processes that were killed on purpose.
    const env = { ...process.env, MOZ_CRASHREPORTER_DISABLE: '1' }
    const options = { browser: 'firefox', executablePath, headless: true, userDataDir: profile, env } as const
    const start = () => launch({ ...options, handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false })
    // On a busy machine the end of the browser before is still at the preferences of the profile.
    const browser = await start().catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      await sleep(restoreLimit)
      return start()
    })
    return launched(browser, url)
  },
  async assertStorage(profile, url) {
    const found = await engine.storageOnDisk(profile, new URL(url).origin)
    if (found !== engine.storage) throw new Error(`The databases should lie in the profile, and lie in ${found}`)
  },
}

async function launched(browser: Browser, url: string): Promise<LedgerBrowser> {
  const child = browser.process()
  const pid = child?.pid
  if (child === null || pid === undefined) throw new Error('Firefox names no process')
  const kill = await processGroups.killer(pid)
  // Unlike Chromium it does not notice that its driver has gone.
  process.once('exit', kill)
  // Puppeteer puts the profile's preferences back after the end, which must be over before the profile is used again.
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve())).then(async () => {
    process.off('exit', kill)
    await limited(browser.close(), restoreLimit)
  })
  const crashes: (() => void)[] = []
  return {
    version: `Firefox ${(await browser.version()).split('/')[1]}`,
    gone,
    async openPage() {
      const page = await newPage(browser)
      await page.goto(url)
      // By time: a tab that is not shown paints nothing, and would never be looked at.
      await page.waitForFunction(() => document.documentElement.dataset['harness'] === 'ready', { polling: 50 })
      const opened: LedgerPage = {
        run: (realm, body, arg) =>
          page.evaluate(
            (realm, source, arg) => window.harness.run(realm, source, arg) as Promise<any>,
            realm,
            body.toString(),
            arg as any,
          ) as Promise<any>,
        terminate: (realm) => page.evaluate((realm) => window.harness.terminate(realm), realm),
        crashed: new Promise((resolve) => crashes.push(resolve)),
        close: () => page.close(),
      }
      return opened
    },
    killTree: async () => kill,
    async killRenderer() {
      const victims = await contentProcesses(pid)
      if (victims.length === 0) throw new Error('Firefox has no content process')
      return {
        how: 'SIGKILL',
        // Pages of one site share a process, and which of them it is is not said; so all of them go.
        kill: () => {
          for (const victim of victims) endProcess(victim)
          for (const crashed of crashes.splice(0)) crashed()
        },
      }
    },
    renderers: () => contentProcesses(pid),
    stopServiceWorker: () => Promise.reject(new Error('Firefox offers no way to stop a service worker')),
    async close() {
      await browser.close()
    },
  }
}

/** Firefox may never answer where its content processes were killed a moment ago; the next try then gets one of its own. */
async function newPage(browser: Browser): Promise<Page> {
  for (let tries = 1; ; tries += 1) {
    const page = await limited(browser.newPage(), newPageLimit)
    if (page.state === 'done') return page.value
    if (page.state === 'failed') throw page.error
    if (tries === mostTries) throw new Error('Firefox opened no page.')
  }
}

/** The processes of the browser's group that run pages: children of its fork server. */
async function contentProcesses(group: number): Promise<number[]> {
  const members = await processGroups.members(group)
  const commands = await Promise.all(members.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  // The last argument is the kind of the process; the fork server leaves blanks between arguments.
  return members.filter((_pid, index) => /[\0 ]tab[\0 ]*$/.test(commands[index] as string))
}
