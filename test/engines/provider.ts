/** Runs vitest's browser mode on any engine: all that it takes is somebody who opens a page. */
import { defineBrowserProvider } from '@vitest/browser'
import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BrowserProvider, BrowserProviderOption } from 'vitest/node'
import { scratch } from '../../scripts/scratch.mjs'
import type { Engine, RunningEngine } from './engine.js'

/** A vitest browser provider for the engine, on a new profile on disk that is removed at the end. */
export function onEngine(engine: Engine): BrowserProviderOption {
  return defineBrowserProvider({ name: 'engine', providerFactory: () => new EngineProvider(engine) })
}

/** What browser commands see of the run, beside vitest's own. */
export interface EngineRun {
  readonly engine: Engine
  readonly profile: string
  readonly version: string
}

class EngineProvider implements BrowserProvider {
  readonly name = 'engine'
  // Pages of one origin and profile share its databases and locks, so one file at a time.
  readonly supportsParallelism = false
  readonly #engine: Engine
  readonly #runs = new Map<string, EngineRun & { readonly running: RunningEngine }>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  async openPage(sessionId: string, url: string): Promise<void> {
    const profile = await mkdtemp(join(scratch(), `tidemark-${this.#engine.name}-`))
    try {
      const running = await this.#engine.start(url, profile)
      // Vitest may be told to end without closing its provider. After the start, so that the browser's own handler comes first.
      process.once('exit', () => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }))
      this.#runs.set(sessionId, { engine: this.#engine, profile, version: running.version, running })
    } catch (error) {
      await removeProfile(profile)
      throw error
    }
  }

  getCommandsContext(sessionId: string): EngineRun & Record<string, unknown> {
    const run = this.#runs.get(sessionId)
    if (run === undefined) throw new Error(`No page of ${this.#engine.name} has the session ${sessionId}`)
    const { engine, profile, version } = run
    return { engine, profile, version }
  }

  async close(): Promise<void> {
    const runs = [...this.#runs.values()]
    this.#runs.clear()
    for (const { profile, running } of runs) {
      await running.stop()
      await removeProfile(profile)
    }
  }
}

/** Browsers may still write for a moment after they were told to end. */
function removeProfile(profile: string): Promise<void> {
  return rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}
