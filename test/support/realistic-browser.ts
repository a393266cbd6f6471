/**
 * Chromium as users have it. Playwright's own start adds switches against bfcache, throttling and partitioning, and
 * emulates focus in every page, which no launch option undoes; attaching with `noDefaults` leaves all that alone.
 */
import { chromium, type BrowserContext } from '@playwright/test'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { processGroups } from './browser-processes.js'

const START_TIMEOUT = 20_000
const CLOSE_TIMEOUT = 5_000

export interface RealisticOptions {
  readonly executablePath: string
  readonly profile: string
  readonly args: readonly string[]
  readonly headless: boolean
}

export async function launchRealistic({
  executablePath,
  profile,
  args,
  headless,
}: RealisticOptions): Promise<BrowserContext> {
  const portFile = join(profile, 'DevToolsActivePort')
  // Left behind by an earlier browser on this profile.
  await rm(portFile, { force: true })

  const child = spawn(
    executablePath,
    [
      ...args,
      ...(headless ? ['--headless'] : []),
      `--user-data-dir=${profile}`,
      '--remote-debugging-port=0',
      '--no-default-browser-check',
      '--password-store=basic',
      '--use-mock-keychain',
      // Studies switch features on and off by chance; the storage engine must not be one of them.
      '--disable-field-trial-config',
      'about:blank',
    ],
    // A group of its own, so that the whole browser can be killed.
    { stdio: 'ignore', detached: process.platform !== 'win32' },
  )
  const exited = once(child, 'exit')
  // A failed spawn shows in `exitCode` and `pid` below.
  exited.catch(() => {})

  try {
    const browser = await chromium.connectOverCDP(await endpoint(child, portFile), { noDefaults: true })
    const [context] = browser.contexts()
    if (!context) throw new Error('The browser has no context')
    const session = await browser.newBrowserCDPSession()
    // `close()` of a browser that was attached to would only detach.
    context.close = async () => {
      session.send('Browser.close').catch(() => {})
      const closed = await Promise.race([exited.then(() => true), sleep(CLOSE_TIMEOUT, false, { ref: false })])
      if (!closed) await kill(child)
      await browser.close()
    }
    return context
  } catch (error) {
    await kill(child)
    throw error
  }
}

async function endpoint(child: ChildProcess, portFile: string): Promise<string> {
  const deadline = performance.now() + START_TIMEOUT
  while (performance.now() < deadline) {
    if (child.exitCode !== null || child.pid === undefined)
      throw new Error(`Chromium ended at once (exit ${child.exitCode})`)
    const [port, path] = (await readFile(portFile, 'utf8').catch(() => '')).split('\n')
    if (port && path) return `ws://127.0.0.1:${port}${path}`
    await sleep(25)
  }
  throw new Error(`Chromium did not start within ${START_TIMEOUT} ms`)
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  ;(await processGroups.killer(child.pid))()
  await exited
}
