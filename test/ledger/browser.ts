/** What the ledger needs of a browser engine. */
import type { Realm } from '../e2e/harness/main.js'
import type { Tidemark } from '../e2e/harness/rpc.js'
import type { KillWeights } from './plan.js'

export interface LedgerEngine {
  readonly name: string
  /** What can be killed in it, by the share of the rounds. */
  readonly kills: KillWeights
  /** Starts it on a profile, which may be an earlier one's. `url` is a page of the harness. */
  start(profile: string, url: string): Promise<LedgerBrowser>
  /** Throws unless the databases of an origin lie in the profile as the engine's name says. */
  assertStorage(profile: string, url: string): Promise<void>
}

export interface LedgerBrowser {
  readonly version: string
  openPage(): Promise<LedgerPage>
  /** Prepares the kill (SIGKILL) of all processes, so that it is one call without a wait. */
  killTree(): Promise<() => void>
  /** Resolves once it has ended. */
  readonly gone: Promise<void>
  /** Prepares the end of one renderer, of those that `pages` run in; says how. `chosen` picks where there is a choice. */
  killRenderer(
    pages: readonly LedgerPage[],
    chosen: number,
  ): Promise<{ readonly how: string; readonly kill: () => void }>
  /** The processes that pages run in. */
  renderers(): Promise<readonly number[]>
  /** Prepares the end of the service worker; says how. Only where {@link LedgerEngine.kills} names it. */
  stopServiceWorker(page: LedgerPage): Promise<{ readonly how: string; readonly kill: () => void }>
  close(): Promise<void>
}

export interface LedgerPage {
  /** As `run` of the harness. Never settles if what it runs in is killed, so the caller sets a limit. */
  run<Result, Arg>(
    realm: Realm,
    body: (tidemark: Tidemark, arg: Arg, state: Record<string, any>) => Result | Promise<Result>,
    arg: Arg,
  ): Promise<Result>
  /** Ends a dedicated worker at once. */
  terminate(realm: Realm): Promise<void>
  /** Resolves once its renderer has ended. */
  readonly crashed: Promise<void>
  close(): Promise<void>
}
