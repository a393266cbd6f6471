/** A browser on a profile with its pages, the server, and where messages arrive. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LedgerBrowser, LedgerEngine, LedgerPage } from '../ledger/browser.js'
import { limited } from '../ledger/limit.js'
import { openReceiver, type Receiver } from '../ledger/receiver.js'
import type { LedgerServer, ServerKind, ServerOptions } from './ledger-server.js'
import { startLedgerServer } from './start-server.js'
import type { SyncMessage } from './sync-account.js'

const closeLimit = 10_000
/** Rounds of a page: what leaks in it ends with it. */
const roundsOfPage = 20

export class SyncStage {
  readonly engine: LedgerEngine
  readonly url: string
  readonly profile: string
  readonly receiver: Receiver
  readonly server: LedgerServer
  browser: LedgerBrowser
  /** Takes the messages of the round. */
  take: (message: SyncMessage) => void = () => {}
  /** Something of an earlier round may still run in it. */
  isWorn = false
  /** Of the round, and how many rounds they have had. */
  readonly #pages = new Map<LedgerPage, number>()
  /** Open, with nothing in them. */
  readonly #spare = new Map<LedgerPage, number>()
  readonly #dead = new WeakSet<LedgerPage>()

  private constructor(parts: Pick<SyncStage, 'engine' | 'url' | 'profile' | 'receiver' | 'server' | 'browser'>) {
    this.engine = parts.engine
    this.url = parts.url
    this.profile = parts.profile
    this.receiver = parts.receiver
    this.server = parts.server
    this.browser = parts.browser
  }

  /** Starts the engine on a new profile. `url` is a page of the harness. */
  static async open(
    engine: LedgerEngine,
    url: string,
    { server: kind = 'file', sabotage }: ServerOptions & { readonly server?: ServerKind } = {},
  ): Promise<SyncStage> {
    const profile = await mkdtemp(join(tmpdir(), `tidemark-sync-ledger-${engine.name}-`))
    let stage: SyncStage | undefined
    const receiver = await openReceiver<SyncMessage[]>((messages) => {
      for (const message of messages) stage?.take(message)
    })
    const server = await startLedgerServer(kind, { sabotage })
    const browser = await engine.start(profile, url).catch(async (error: unknown) => {
      receiver.close()
      await server.dispose()
      await removeProfile(profile)
      throw error
    })
    stage = new SyncStage({ engine, url, profile, receiver, server, browser })
    return stage
  }

  isDead(page: LedgerPage): boolean {
    return this.#dead.has(page)
  }

  /** A page with nothing in it: one that a round gave back, or a new one. */
  async openPage(): Promise<LedgerPage> {
    const [spare] = this.#spare
    if (spare !== undefined) {
      const [page, rounds] = spare
      this.#spare.delete(page)
      this.#pages.set(page, rounds)
      return page
    }
    const page = await this.browser.openPage()
    this.#pages.set(page, 0)
    void page.crashed.then(() => {
      this.#dead.add(page)
      this.#spare.delete(page)
    })
    return page
  }

  /** Takes back a page in which nothing runs any more. */
  async giveBack(page: LedgerPage): Promise<void> {
    const rounds = (this.#pages.get(page) ?? roundsOfPage) + 1
    if (rounds >= roundsOfPage || this.isDead(page)) return void (await this.closePage(page))
    this.#pages.delete(page)
    this.#spare.set(page, rounds)
  }

  /** Ends a page as a user does, whatever it is doing. Resolves with whether it is known to have ended. */
  async closePage(page: LedgerPage): Promise<boolean> {
    this.#dead.add(page)
    this.#pages.delete(page)
    const hasEnded = (await limited(page.close(), closeLimit)).state !== 'late'
    if (!hasEnded) this.isWorn = true
    return hasEnded
  }

  /** Those of the round. */
  async closePages(): Promise<void> {
    await Promise.all([...this.#pages.keys()].map((page) => this.closePage(page)))
  }

  /** Starts the browser again on the same profile, after its end. */
  async restart(): Promise<void> {
    for (const page of [...this.#pages.keys(), ...this.#spare.keys()]) this.#dead.add(page)
    this.#pages.clear()
    this.#spare.clear()
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
