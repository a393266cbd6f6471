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

/** On a machine that is busy with other engines it took more than ten seconds. */
const VERSION_TIMEOUT = 120_000

export const webkit: Engine = {
  name: 'webkit',
  browser: 'webkit',
  storage: 'webkit',
  async start(url, profile) {
    const { version, stop } = await startMiniBrowser(profile, [url])
    return { version, stop }
  },
  async storageOnDisk(profile) {
    // Folders there are named by salted hashes of the origin.
    const files = await readdir(profile, { recursive: true }).catch((): string[] => [])
    return files.some((file) => file.endsWith('IndexedDB.sqlite3')) ? 'webkit' : 'none'
  },
}

export interface MiniBrowser extends RunningEngine {
  /** Of the browser, and of the process group of all its processes. */
  readonly pid: number
  /** SIGKILL to all of them. */
  readonly kill: () => void
  /** Resolves once none of them is left, so that nobody writes to the profile any more. */
  readonly gone: Promise<void>
}

/** Starts it with a profile: further arguments are switches and pages. Throws if it is missing, with what to do. */
export async function startMiniBrowser(profile: string, args: readonly string[]): Promise<MiniBrowser> {
  const [path, xvfb] = [findWebKit(), findXvfb()]
  if (path === undefined || xvfb === undefined) throw new Error(whyMissing('webkit'))
  const display = await startDisplay(xvfb)
  try {
    return await startBrowser(path, args, environment(display.name, profile), () => display.stop())
  } catch (error) {
    display.stop()
    throw error
  }
}

async function startBrowser(
  path: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  stopped: () => void,
): Promise<MiniBrowser> {
  const { stdout } = await promisify(execFile)(path, ['--version'], { env, timeout: VERSION_TIMEOUT }).catch(
    (cause: { killed?: boolean }) => {
      throw new Error(
        `${path} --version ${cause.killed === true ? `took longer than ${VERSION_TIMEOUT} ms` : 'failed'}`,
        { cause },
      )
    },
  )
  // In a process group of its own, so that its network and web processes end with it.
  const child = spawn(path, args, { env, detached: true, stdio: 'ignore' })
  const exited = once(child, 'exit')
  await once(child, 'spawn')
  const pid = child.pid as number
  const kill = await processGroups.killer(pid)
  // Vitest may end without closing its provider.
  process.once('exit', kill)
  const gone = exited.then(async () => {
    process.off('exit', kill)
    await processGroups.ended(pid)
    stopped()
  })
  return {
    version: stdout.trim(),
    pid,
    kill,
    gone,
    async stop() {
      kill()
      await gone
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
