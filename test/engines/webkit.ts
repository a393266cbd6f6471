/**
 * WebKitGTK, by its MiniBrowser on a screen that nobody sees. No WebDriver: a driven session keeps IndexedDB in memory
 * only, and all that is needed is somebody who opens a page.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { whyMissing } from '../../scripts/engines.mjs'
import { findWebKit, findXvfb } from '../../scripts/find-browser.mjs'
import { startDisplay } from '../../scripts/virtual-display.mjs'
import { processGroups } from '../support/browser-processes.js'
import type { Engine, RunningEngine } from './engine.js'

const VERSION_TIMEOUT = 10_000

export const webkit: Engine = {
  name: 'webkit',
  browser: 'webkit',
  storage: 'webkit',
  async start(url, profile) {
    const [browser, xvfb] = [findWebKit(), findXvfb()]
    if (browser === undefined || xvfb === undefined) throw new Error(whyMissing('webkit'))
    const display = await startDisplay(xvfb)
    try {
      return await startBrowser(browser, url, environment(display.name, profile), () => display.stop())
    } catch (error) {
      display.stop()
      throw error
    }
  },
  async storageOnDisk(profile) {
    // Folders there are named by salted hashes of the origin.
    const files = await readdir(profile, { recursive: true }).catch((): string[] => [])
    return files.some((file) => file.endsWith('IndexedDB.sqlite3')) ? 'webkit' : 'none'
  },
}

async function startBrowser(path: string, url: string, env: NodeJS.ProcessEnv, stopped: () => void): Promise<RunningEngine> {
  const { stdout } = await promisify(execFile)(path, ['--version'], { env, timeout: VERSION_TIMEOUT })
  // In a process group of its own, so that its network and web processes end with it.
  const child = spawn(path, [url], { env, detached: true, stdio: 'ignore' })
  const exited = once(child, 'exit')
  await once(child, 'spawn')
  const kill = await processGroups.killer(child.pid as number)
  // Vitest may end without closing its provider.
  process.once('exit', kill)
  return {
    version: stdout.trim(),
    async stop() {
      process.off('exit', kill)
      kill()
      await exited
      stopped()
    },
  }
}

function environment(display: string, home: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    DISPLAY: display,
    GDK_BACKEND: 'x11',
    HOME: home,
    XDG_DATA_HOME: join(home, 'data'),
    XDG_CACHE_HOME: join(home, 'cache'),
    XDG_CONFIG_HOME: join(home, 'config'),
    // Its sandbox does not start as root.
    ...(process.getuid?.() === 0 ? { WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1' } : {}),
  }
}
