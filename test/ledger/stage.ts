/** One profile with its browser, its pages, and the account of what was told. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Realm } from '../e2e/harness/main.js'
import { Account } from './account.js'
import type { LedgerBrowser, LedgerEngine, LedgerPage } from './browser.js'
import { limited } from './limit.js'
import { openReceiver, type Receiver } from './receiver.js'

/** What the databases of the ledger's store are called: not asked of the package, so that a changed name would be noticed. */
export const databases = { log: 'tidemark:ledger', model: 'tidemark:ledger:ledger@1' } as const

const closeLimit = 10_000

export class Stage {
  readonly account = new Account()
  readonly engine: LedgerEngine
  readonly url: string
  readonly profile: string
  readonly receiver: Receiver
  browser: LedgerBrowser
  pages: LedgerPage[] = []
  readonly #dead = new Set<LedgerPage>()
  #sharedWorkers = 1

  private constructor(
    engine: LedgerEngine,
    url: string,
    profile: string,
    browser: LedgerBrowser,
    receiver: (account: Account) => Receiver,
  ) {
    this.engine = engine
    this.url = url
    this.profile = profile
    this.browser = browser
    this.receiver = receiver(this.account)
  }

  /** Starts the engine on a new profile. `url` is a page of the harness. */
  static async open(engine: LedgerEngine, url: string): Promise<Stage> {
    const profile = await mkdtemp(join(tmpdir(), `tidemark-ledger-${engine.name}-`))
    // The account is made with the stage, and the receiver needs a moment to listen.
    let account: Account | undefined
    const receiver = await openReceiver((message) => {
      // A message that an earlier profile sent in its last moment belongs to nobody.
      if (message.profile === profile) account?.add(message)
    })
    const browser = await engine.start(profile, url).catch(async (error: unknown) => {
      receiver.close()
      await removeProfile(profile)
      throw error
    })
    return new Stage(engine, url, profile, browser, (made) => {
      account = made
      return receiver
    })
  }

  /** The name that a planned realm has now: a shared worker that was killed is never asked again. */
  realmOf(realm: Realm): Realm {
    return realm === 'shared' ? `shared:${this.#sharedWorkers}` : realm
  }

  sharedWorkerDied(): void {
    this.#sharedWorkers += 1
  }

  isDead(page: LedgerPage): boolean {
    return this.#dead.has(page)
  }

  async openPage(): Promise<LedgerPage> {
    const page = await this.browser.openPage()
    void page.crashed.then(() => this.#dead.add(page))
    this.pages.push(page)
    return page
  }

  /** Opens pages until there are so many. */
  async ensurePages(count: number): Promise<void> {
    while (this.pages.length < count) await this.openPage()
  }

  /** Takes away the pages whose renderer has ended, and those that `unwell` names. */
  async dropPages(unwell: ReadonlySet<LedgerPage> = new Set()): Promise<void> {
    const gone = this.pages.filter((page) => this.#dead.has(page) || unwell.has(page))
    this.pages = this.pages.filter((page) => !gone.includes(page))
    await Promise.all(gone.map((page) => limited(page.close(), closeLimit)))
  }

  /** Starts the browser anew on the same profile, after its end. */
  async restart(): Promise<void> {
    this.pages = []
    this.browser = await this.engine.start(this.profile, this.url)
  }

  /** Ends the browser as a user does, or kills it if it does not heed, and removes the profile. */
  async close(): Promise<void> {
    const kill = await limited(this.browser.killTree(), closeLimit)
    if ((await limited(this.browser.close(), closeLimit)).state !== 'done' && kill.state === 'done') {
      kill.value()
      await limited(this.browser.gone, closeLimit)
    }
    this.receiver.close()
    await removeProfile(this.profile)
  }
}

/** The browser may still write for a moment after it was told to end. */
function removeProfile(profile: string): Promise<void> {
  return rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}
