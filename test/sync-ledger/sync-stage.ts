/** A browser on a profile with its pages, the server, and where messages arrive. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LedgerBrowser, LedgerEngine, LedgerPage } from '../ledger/browser.js'
import { limited } from '../ledger/limit.js'
import { openReceiver, type Receiver } from '../ledger/receiver.js'
import type { Sabotage } from './sabotaged-log.js'
import type { LedgerServer } from './ledger-server.js'
import { startLedgerServer } from './server-process.js'
import type { SyncMessage } from './sync-account.js'

const closeLimit = 10_000

export class SyncStage {
  readonly engine: LedgerEngine
  readonly url: string
  readonly profile: string
  readonly receiver: Receiver
  readonly server: LedgerServer
  readonly sabotage: Sabotage | undefined
  browser: LedgerBrowser
  /** Takes the messages of the round. */
  take: (message: SyncMessage) => void = () => {}
  readonly #pages = new Set<LedgerPage>()
  readonly #dead = new Set<LedgerPage>()

  private constructor(
    parts: Pick<SyncStage, 'engine' | 'url' | 'profile' | 'receiver' | 'server' | 'sabotage' | 'browser'>,
  ) {
    this.engine = parts.engine
    this.url = parts.url
    this.profile = parts.profile
    this.receiver = parts.receiver
    this.server = parts.server
    this.sabotage = parts.sabotage
    this.browser = parts.browser
  }

  /** Starts the engine on a new profile. `url` is a page of the harness. */
  static async open(engine: LedgerEngine, url: string, sabotage?: Sabotage): Promise<SyncStage> {
    const profile = await mkdtemp(join(tmpdir(), `tidemark-sync-ledger-${engine.name}-`))
    let stage: SyncStage | undefined
    const receiver = await openReceiver<SyncMessage>((message) => stage?.take(message))
    const server = await startLedgerServer(sabotage && { sabotage })
    const browser = await engine.start(profile, url).catch(async (error: unknown) => {
      receiver.close()
      await server.dispose()
      await removeProfile(profile)
      throw error
    })
    stage = new SyncStage({ engine, url, profile, receiver, server, sabotage, browser })
    return stage
  }

  isDead(page: LedgerPage): boolean {
    return this.#dead.has(page)
  }

  async openPage(): Promise<LedgerPage> {
    const page = await this.browser.openPage()
    this.#pages.add(page)
    void page.crashed.then(() => this.#dead.add(page))
    return page
  }

  /** Ends a page as a user does, whatever it is doing. */
  async closePage(page: LedgerPage): Promise<void> {
    this.#dead.add(page)
    this.#pages.delete(page)
    await limited(page.close(), closeLimit)
  }

  async closePages(): Promise<void> {
    await Promise.all([...this.#pages].map((page) => this.closePage(page)))
  }

  /** Starts the browser again on the same profile, after its end. */
  async restart(): Promise<void> {
    for (const page of this.#pages) this.#dead.add(page)
    this.#pages.clear()
    this.browser = await this.engine.start(this.profile, this.url)
  }

  /** Ends the browser as a user does, or kills it if it does not heed, and removes what it left. */
  async close(): Promise<void> {
    const kill = await limited(this.browser.killTree(), closeLimit)
    if ((await limited(this.browser.close(), closeLimit)).state !== 'done' && kill.state === 'done') {
      kill.value()
      await limited(this.browser.gone, closeLimit)
    }
    this.receiver.close()
    await this.server.dispose()
    await removeProfile(this.profile)
  }
}

/** The browser may still write for a moment after it was told to end. */
function removeProfile(profile: string): Promise<void> {
  return rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}
