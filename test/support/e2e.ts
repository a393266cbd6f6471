/** Playwright with real profiles on disk: a browser that is closed, killed or frozen keeps what it really kept. */
import { test as base, chromium, expect, type BrowserContext, type CDPSession, type Page } from '@playwright/test'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { scratch } from '../../scripts/scratch.mjs'
import { chromiumArgs, findChromium } from '../../scripts/find-browser.mjs'
import type { Realm } from '../e2e/harness/main.js'
import type { Tidemark } from '../e2e/harness/rpc.js'
import { processGroups } from './browser-processes.js'
import { chromiumStorageFlag, type ChromiumStorage } from './chromium-storage.js'
import { launchRealistic } from './realistic-browser.js'

export { expect } from '@playwright/test'
export { chromiumStorageOnDisk as engineOnDisk } from './chromium-storage.js'
export type { Realm, Tidemark }

/** What Chromium keeps IndexedDB in. */
export type Engine = ChromiumStorage

export interface E2eOptions {
  /** Set by the Playwright project. */
  engine: Engine
  /** Do not fail a test for errors that nobody caught. @default false */
  allowPageErrors: boolean
}

/**
 * Details of a test that runs in the project of LevelDB only: for what does not depend on where Chromium keeps IndexedDB,
 * such as the rig itself, the pages of demo and board, memory and listeners of a page, and whether the ledger reports what was
 * damaged on purpose.
 */
export const onOneStorage = { tag: '@one-storage' } as const

export interface LaunchOptions {
  /** Chromium's SQLite store instead of LevelDB. @default what the Playwright project says */
  readonly sqlite?: boolean
  /**
   * A browser as users have it: with bfcache, timer throttling, partitioned storage, pages that are really hidden
   * and not focused. Init scripts, routes and `page.goBack` may behave differently: see `goBack`.
   * @default false
   */
  readonly realistic?: boolean
  /** Another folder than the `profile` of the test. The caller removes it. */
  readonly profile?: string
  /** More switches. `--enable-features` goes into `features`, because only the last one counts. */
  readonly args?: readonly string[]
  /** More Chromium features to enable. */
  readonly features?: readonly string[]
  /** @default true */
  readonly headless?: boolean
}

export interface E2eFixtures {
  /** A new folder for the browser's profile, removed after the test. */
  profile: string
  /** Starts Chromium on the profile. One at a time for each profile: close or kill it, then launch again. */
  launch: (options?: LaunchOptions) => Promise<BrowserContext>
  /**
   * Returns and forgets the errors and rejections that nobody caught, in every page and worker. A test fails if any are
   * left at its end (H5).
   */
  takeErrors: () => Promise<string[]>
}

export const test = base.extend<E2eFixtures & E2eOptions & { collectedErrors: CollectedErrors }>({
  engine: ['leveldb', { option: true }],
  allowPageErrors: [false, { option: true }],

  profile: async ({}, use) => {
    const profile = await mkdtemp(join(scratch(), 'tidemark-e2e-'))
    await use(profile)
    // Chromium may still write for a moment after it was told to end.
    await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  },

  collectedErrors: async ({}, use) => {
    await use({ id: crypto.randomUUID(), errors: [] })
  },

  takeErrors: [
    async ({ collectedErrors: { errors, id }, allowPageErrors, baseURL }, use) => {
      const takeErrors = async () => [...errors.splice(0), ...(await workerErrors(id, baseURL))]
      await use(takeErrors)
      const left = await takeErrors()
      if (!allowPageErrors) expect.soft(left, 'errors that nobody caught (H5)').toEqual([])
    },
    // Set up before the browser, so that it looks when the browser is closed.
    { auto: true },
  ],

  launch: async ({ profile, engine, collectedErrors, baseURL }, use) => {
    const contexts: BrowserContext[] = []
    await use(async (options = {}) => {
      const context = await launchChromium({ profile, ...options, sqlite: options.sqlite ?? engine === 'sqlite' })
      contexts.push(context)
      context.on('weberror', (webError) => {
        const error = webError.error()
        collectedErrors.errors.push(error.stack ?? error.message)
      })
      if (baseURL) await context.addCookies([{ name: 'harness', value: collectedErrors.id, url: baseURL }])
      return context
    })
    await Promise.all(contexts.map((context) => context.close().catch(() => {})))
  },
})

interface CollectedErrors {
  /** Tells the harness server whose errors a worker reports. */
  readonly id: string
  readonly errors: string[]
}

/** Opens a page of the harness, with `window.tidemark` ready. */
export async function openPage(context: BrowserContext, path = '/'): Promise<Page> {
  const page = await context.newPage()
  await page.goto(url(path))
  await harnessReady(page)
  return page
}

/** Waits until the harness of a page has loaded; at once for pages without it, such as `/blank.html`. */
export async function harnessReady(page: Page): Promise<void> {
  await page.waitForFunction(() => document.documentElement.dataset['harness'] !== 'loading')
}

/**
 * Runs a function in a page or one of its workers: `'dedicated'`, `'shared'`, `'service'`, or several of the first two
 * by name, `'dedicated:a'`. It is sent as source, so it sees only its arguments. `state` stays between calls.
 */
export function run<Result, Arg = undefined>(
  page: Page,
  realm: Realm,
  body: (tidemark: Tidemark, arg: Arg, state: Record<string, any>) => Result | Promise<Result>,
  arg?: Arg,
): Promise<Result> {
  return page.evaluate(([realm, source, arg]) => window.harness.run(realm, source, arg) as Promise<Result>, [
    realm,
    body.toString(),
    arg,
  ] as const)
}

const sessions = new WeakMap<Page, Promise<CDPSession>>()

/** A DevTools session of a page. */
export function cdp(page: Page): Promise<CDPSession> {
  const known = sessions.get(page)
  if (known) return known
  const session = page.context().newCDPSession(page)
  sessions.set(page, session)
  return session
}

/**
 * Freezes a hidden page or lets it go on. A frozen page answers nothing, `page.evaluate` included. Chromium freezes no
 * visible page and does not say so: launch with `{ realistic: true }` and have another page in front.
 */
export async function lifecycle(page: Page, state: 'frozen' | 'active'): Promise<void> {
  if (state === 'frozen' && (await page.evaluate(() => document.visibilityState)) !== 'hidden') {
    throw new Error('A visible page cannot be frozen: launch with { realistic: true } and open another page after it')
  }
  await (await cdp(page)).send('Page.setWebLifecycleState', { state })
}

/** Ends the page's renderer. The page stays closed to everything but `page.close()`. */
export async function crash(page: Page): Promise<void> {
  const session = await cdp(page)
  const crashed = page.waitForEvent('crash', { timeout: 10_000 })
  // Nobody is left to answer this.
  session.send('Page.crash').catch(() => {})
  await crashed
}

/** Opens a page that is really hidden. Needs `launch({ realistic: true })`: otherwise Playwright shows every page. */
export async function backgroundPage(context: BrowserContext, path = '/'): Promise<Page> {
  const browser = await browserSession(context)
  const opened = context.waitForEvent('page', { timeout: 10_000 })
  await browser.send('Target.createTarget', { url: url(path), background: true })
  const page = await opened
  await page.waitForURL(url(path))
  await harnessReady(page)
  if ((await page.evaluate(() => document.visibilityState)) !== 'hidden') {
    throw new Error('The background page is visible: launch with { realistic: true }')
  }
  return page
}

/** Goes back. A page from bfcache fires no `load`, for which `page.goBack()` would wait. */
export async function goBack(page: Page): Promise<void> {
  await page.goBack({ waitUntil: 'commit' })
}

/** The browser's processes, for signals: `process.kill(pid, 'SIGSTOP')`. */
export async function processes(context: BrowserContext): Promise<readonly { type: string; pid: number }[]> {
  const { processInfo } = await (await browserSession(context)).send('SystemInfo.getProcessInfo')
  return processInfo.map(({ type, id }) => ({ type, pid: id }))
}

/**
 * The process that a page runs in: the one that works when the page does. Alone in it only if the browser was started
 * so. On a loaded machine a renderer that just starts may work more than the page, so only a clear winner counts.
 */
export async function rendererOf(page: Page): Promise<number> {
  const browser = await browserSession(page.context())
  const cpuTimes = async () => {
    const { processInfo } = await browser.send('SystemInfo.getProcessInfo')
    return new Map(processInfo.filter(({ type }) => type === 'renderer').map(({ id, cpuTime }) => [id, cpuTime]))
  }
  const spin = () =>
    page.evaluate(() => {
      const end = performance.now() + 400
      while (performance.now() < end);
    })
  let winner: number | undefined
  for (let attempt = 0; attempt < 20; attempt++) {
    const before = await cpuTimes()
    await spin()
    const after = await cpuTimes()
    // Who was not there before is not the page's.
    const worked = [...before]
      .map(([pid, time]) => ({ pid, seconds: (after.get(pid) ?? 0) - time }))
      .sort((a, b) => b.seconds - a.seconds)
    const [most, next] = worked
    const clear = most !== undefined && most.seconds >= 0.05 && most.seconds >= 3 * (next?.seconds ?? 0)
    if (clear && most.pid === winner) return winner
    winner = clear ? most.pid : undefined
  }
  throw new Error('No renderer works clearly more than the others while the page does')
}

/** Returns a function that kills the whole browser at once (SIGKILL), and one that waits until it is gone. */
export async function killer(context: BrowserContext): Promise<{ kill(): void; gone: Promise<void> }> {
  const main = (await processes(context)).find(({ type }) => type === 'browser')
  if (!main) throw new Error('The browser does not name its main process')
  const browser = browserOf(context)
  const gone = new Promise<void>((resolve) => browser.once('disconnected', () => resolve()))
  const kill = await processGroups.killer(main.pid)
  return { kill, gone }
}

/** Stops the whole browser as a sleeping machine does, and lets it go on after `ms`. */
export async function sleepBrowser(context: BrowserContext, ms: number): Promise<void> {
  const main = (await processes(context)).find(({ type }) => type === 'browser')
  if (!main) throw new Error('The browser does not name its main process')
  await processGroups.signal(main.pid, 'SIGSTOP')
  try {
    await new Promise((resolve) => setTimeout(resolve, ms))
  } finally {
    await processGroups.signal(main.pid, 'SIGCONT')
  }
}

/** Kills the whole browser (SIGKILL) and waits until it is gone; then the profile may be launched again. */
export async function killBrowser(context: BrowserContext): Promise<void> {
  const { kill, gone } = await killer(context)
  kill()
  await gone
}

async function launchChromium(options: LaunchOptions & { readonly profile: string }): Promise<BrowserContext> {
  const executablePath = findChromium()?.path
  if (!executablePath) throw new Error('No Chromium found. Run: node scripts/provision-browser.mjs')
  const storage = chromiumStorageFlag(options.sqlite ? 'sqlite' : 'leveldb', options.features)
  const args = [...chromiumArgs(), storage, ...(options.args ?? [])]
  const headless = options.headless ?? true
  return options.realistic
    ? launchRealistic({ executablePath, profile: options.profile, args, headless })
    : chromium.launchPersistentContext(options.profile, { executablePath, args, headless })
}

async function workerErrors(id: string, baseURL: string | undefined): Promise<string[]> {
  if (!baseURL) return []
  const response = await fetch(`http://127.0.0.1:${new URL(baseURL).port}/__errors?id=${id}`)
  return (await response.json()) as string[]
}

function browserOf(context: BrowserContext) {
  const browser = context.browser()
  if (!browser) throw new Error('The context has no browser')
  return browser
}

function browserSession(context: BrowserContext): Promise<CDPSession> {
  return browserOf(context).newBrowserCDPSession()
}

/** Contexts over CDP have no `baseURL`. */
function url(path: string): string {
  const { baseURL } = test.info().project.use
  return new URL(path, baseURL).href
}
