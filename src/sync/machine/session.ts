/** What all parts of the machine do: requests, and changes of what is stored. */
import type { AnsweredBy, RequestFailure, StorageFailure, SyncSteps } from '../sync-effects.js'
import { ask } from '../sync-effects.js'
import { isOwner, met } from '../rules/contact.js'
import type { SyncRule, SyncSnapshot } from '../sync-state.js'
import type { SyncPhase } from '../sync-status.js'
import { leadsNowhere, requestTrouble, storageTrouble, type Trouble } from './trouble.js'

export interface MachineOptions {
  /** For pauses, in [0, 1). */
  readonly random: () => number
  /** A new identity for the log on this device. */
  readonly newIdentity: () => string
  /** Whether commits with a conflict are decided again here; else they stay pending, for a tab that has the commands. @default true */
  readonly decides?: boolean
  /** One round, with no waits: for `syncOnce`. @default false */
  readonly isBounded?: boolean
  /** The most events of one pull. @default 5000 */
  readonly pageSize?: number
  /** The most bytes of one push. @default what every server takes */
  readonly pushBytes?: number
}

/** The round is begun again: something was not as it was known. */
export const again = Symbol()

/** How a step ended: `undefined` is well. */
export type Ended = Trouble | typeof again | undefined

export const isStorageFailure = (reply: object): reply is StorageFailure =>
  'kind' in reply && reply.kind === 'storage-failed'

export class Session {
  #at: SyncSnapshot | undefined
  /** Tries in a row without a response of the server. */
  failures = 0
  /** Rounds in a row that the storage ended: a server that responds does not make them fewer. */
  unstored = 0

  /** What is stored, as far as it is known here. */
  get at(): SyncSnapshot {
    return this.#at as SyncSnapshot
  }

  get isLoaded(): boolean {
    return this.#at !== undefined
  }

  /** Who requests are made as. */
  get as(): AnsweredBy {
    return this.at.state.remote as AnsweredBy
  }

  *load(isKnown = false): SyncSteps<Trouble | undefined> {
    const reply = yield* ask({ kind: 'load', isKnown })
    if (isStorageFailure(reply)) return storageTrouble(reply)
    this.#at = reply
    return undefined
  }

  /** Stores what a rule says. `again`: something else was stored meanwhile, which is loaded. */
  *storeOnce(rule: SyncRule): SyncSteps<Ended> {
    const reply = yield* ask({ kind: 'store', from: this.at, rule })
    if (isStorageFailure(reply)) return storageTrouble(reply)
    if (reply.kind === 'inconsistent') return { status: 'stopped', reason: 'inconsistent' }
    if (reply.kind === 'moved') return (yield* this.load()) ?? again
    this.#at = reply.snapshot
    return undefined
  }

  /** The same, for a rule that sees for itself whether it still holds. */
  *store(rule: SyncRule): SyncSteps<Trouble | undefined> {
    for (;;) {
      const ended = yield* this.storeOnce(rule)
      if (ended !== again) return ended
    }
  }

  /** Who responded: something else than before is stored before anything of the response is used. */
  *meet(by: AnsweredBy, head?: number): SyncSteps<Ended> {
    this.failures = 0
    const { remote } = this.at.state
    if (remote !== undefined && remote.log !== by.log) return { status: 'stopped', reason: 'other-log' }
    if (!isOwner(this.at.state, by)) return { status: 'stopped', reason: 'other-author' }
    if (remote?.epoch === by.epoch) return undefined
    return (yield* this.store((snapshot) => met(snapshot, by, head))) ?? again
  }

  *refused(failure: RequestFailure): SyncSteps<Ended> {
    if (failure.kind !== 'offline' && failure.kind !== 'busy') this.failures = 0
    if (failure.kind === 'refused' && failure.code === 'other-epoch') {
      // Without its name, the server is asked for it.
      return failure.by === undefined ? yield* this.greet() : ((yield* this.meet(failure.by)) ?? again)
    }
    return requestTrouble(failure)
  }

  /** The first request, and where nothing else tells who responds. */
  *greet(): SyncSteps<Ended> {
    const reply = yield* ask({ kind: 'info' })
    if (reply.kind !== 'info')
      return reply.kind === 'refused' && reply.code === 'other-epoch' ? leadsNowhere() : yield* this.refused(reply)
    const { log, epoch, author, head } = reply.info
    return yield* this.meet({ log, epoch, author }, head)
  }

  report(status: Exclude<SyncPhase, 'following'>, trouble: Partial<Trouble> = {}): SyncSteps<undefined> {
    const { reason, message } = trouble
    return ask({ kind: 'report', report: { status, reason, message, snapshot: this.at } })
  }
}
