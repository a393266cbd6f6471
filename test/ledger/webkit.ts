/**
 * WebKitGTK's MiniBrowser, driven by its pages: under WebDriver it keeps its databases in memory only. Processes are killed by
 * id. Linux only, as WebKitGTK is.
 */
import { readdir, readFile } from 'node:fs/promises'
import { startMiniBrowser, webkit as engine, type MiniBrowser } from '../engines/webkit.js'
import { endProcess, processGroups } from '../support/browser-processes.js'
import type { LedgerBrowser, LedgerEngine, LedgerPage } from './browser.js'
import { openRemote, type Remote } from './remote.js'

export const webkit: LedgerEngine = {
  name: 'webkit',
  // A service worker cannot be stopped from outside.
  kills: [
    ['process tree', 40],
    ['renderer', 35],
    ['dedicated worker', 25],
  ],
  async start(profile, url) {
    const remote = await openRemote()
    try {
      // Its pages are opened by a script that no user asked for it.
      return await launched(
        await startMiniBrowser(profile, ['--javascript-can-open-windows-automatically=true', remote.hub]),
        remote,
        url,
      )
    } catch (error) {
      remote.close()
      throw error
    }
  },
  async assertStorage(profile, url) {
    const found = await engine.storageOnDisk(profile, new URL(url).origin)
    if (found !== engine.storage) throw new Error(`The databases should lie in the profile, and lie in ${found}`)
  },
}

async function launched(browser: MiniBrowser, remote: Remote, url: string): Promise<LedgerBrowser> {
  const gone = browser.gone.then(() => remote.close())
  try {
    await remote.ready()
    const hubs = await webProcesses(browser.pid)
    return {
      version: browser.version,
      gone,
      openPage: () => openPage(remote, url),
      killTree: async () => browser.kill,
      async killRenderer(_pages, chosen) {
        const victims = (await webProcesses(browser.pid)).filter((pid) => !hubs.includes(pid))
        const victim = victims[chosen % victims.length]
        if (victim === undefined) throw new Error('WebKit has no web process')
        return { how: 'SIGKILL of a web process', kill: () => endProcess(victim) }
      },
      renderers: async () => (await webProcesses(browser.pid)).filter((pid) => !hubs.includes(pid)),
      stopServiceWorker: () => Promise.reject(new Error('WebKitGTK offers no way to stop a service worker')),
      async close() {
        await browser.stop()
        await gone
      },
    }
  } catch (error) {
    await browser.stop()
    throw error
  }
}

async function openPage(remote: Remote, url: string): Promise<LedgerPage> {
  const window = await remote.open(url)
  return {
    run: (realm, body, arg) => window.send({ what: 'run', realm, source: body.toString(), arg }) as Promise<any>,
    terminate: async (realm) => void (await window.send({ what: 'terminate', realm })),
    crashed: window.gone,
    // The window of a web process that was killed stays, and does nothing.
    close: async () => void (await window.send({ what: 'close' }).catch(() => {})),
  }
}

/** Those that run a page or a worker: WebKit keeps a spare one that has none of these threads. */
async function webProcesses(group: number): Promise<number[]> {
  const found: number[] = []
  for (const pid of await processGroups.members(group)) {
    const names = (await readdir(`/proc/${pid}/task`).catch((): string[] => [])).map(
      (thread) => `/proc/${pid}/task/${thread}/comm`,
    )
    const [name = '', ...threads] = await Promise.all(
      [`/proc/${pid}/comm`, ...names].map((file) => readFile(file, 'utf8').catch(() => '')),
    )
    if (name.startsWith('WebKitWebProces') && threads.some((thread) => /(Scrolling|Worker)$/.test(thread.trim())))
      found.push(pid)
  }
  return found
}
