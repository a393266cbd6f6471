/** What the sync machine asks of its shell, and what it is resumed with. The machine does no I/O and reads no clock. */
import type { CommitAnswer, LogInfo } from '../wire/protocol.js'
import type { SyncReport } from './sync-status.js'
import type { Cursor, OutboxRow, OwnRow, PulledEvents, SyncRule, SyncSnapshot } from './sync-state.js'
import type { Changed, ConfirmedEvents } from './sync-storage.js'

/** Why a request has no result. */
export type RequestFailure =
  /** No answer of a tidemark server: the network, a timeout, a captive portal, a redirect. */
  | {
      readonly kind: 'offline'
      readonly message?: string
      /** The response began, and ended before anything of it could be kept. */
      readonly isCut?: true
      /** Something else than a tidemark server responded. */
      readonly isForeign?: true
      /** What was sent did not arrive in time, perhaps as the link is slow. */
      readonly isSlow?: true
    }
  /** 408 (`isSlow`), 429, 5xx. `after`: in ms, what `Retry-After` said. */
  | { readonly kind: 'busy'; readonly message?: string; readonly after?: number; readonly isSlow?: true }
  /** Nothing was asked, as this device has no space for more events: pulls stop, pushes need not. */
  | { readonly kind: 'full' }
  /**
   * Everything else that has a status: `code` as the table of docs/protocol.md has it, `'unauthorized'` for a 401 (also
   * with headers that were asked for once more), `'inconsistent'` for a 200 whose body makes no sense, `'bad-request'`
   * where the server names none.
   */
  | {
      readonly kind: 'refused'
      readonly status: number
      readonly code: string
      readonly message: string
      /** Where the response said it. */
      readonly by?: AnsweredBy
    }

/** What came with an answer, whatever it says. */
export interface AnsweredBy {
  readonly log: string
  readonly epoch: string
  readonly author: string
}

/** A part of a pull that ends with a cursor line. */
export interface PulledPage {
  readonly kind: 'page'
  readonly by: AnsweredBy
  readonly after: Cursor
  readonly events: PulledEvents
  readonly cursor: Cursor
  readonly head: number
  /** It came with a hint: where it does not follow the log, the server is asked. */
  readonly isHint?: true
}

export type InfoReply = { readonly kind: 'info'; readonly info: LogInfo } | RequestFailure
export type PullReply = PulledPage | RequestFailure
export type PushReply =
  | {
      readonly kind: 'pushed'
      readonly by: AnsweredBy
      readonly head: number
      readonly answers: readonly CommitAnswer[]
      readonly chain?: string
    }
  | RequestFailure

/** What an app's command makes of a commit that is decided again. */
export type DecisionReply =
  /** In its place: with new ids. */
  | { readonly kind: 'decided'; readonly row: OutboxRow }
  /** It wants no events now: confirmed with none. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  /** This build knows no command of that name. */
  | { readonly kind: 'unknown' }

export type SyncEffect =
  /** `isKnown`: what this context knows is enough, since a change that is made of an old state is not stored. */
  | { readonly kind: 'load'; readonly isKnown?: boolean }
  | { readonly kind: 'info' }
  | { readonly kind: 'pull'; readonly after: Cursor; readonly limit: number; readonly as: AnsweredBy }
  | {
      readonly kind: 'push'
      readonly commits: readonly OutboxRow[]
      readonly cancel: readonly (readonly string[])[]
      readonly at?: number
      readonly as: AnsweredBy
    }
  /** `SyncStorage.change`: stored only if the turn is still that of `from`. */
  | { readonly kind: 'store'; readonly rule: SyncRule; readonly from: SyncSnapshot }
  /** `SyncStorage.loadOwn`. */
  | { readonly kind: 'own'; readonly after: number }
  /** `SyncStorage.confirmed`. */
  | { readonly kind: 'confirmed'; readonly after: number; readonly limit: number }
  /**
   * `from`: with the commits before it; the list of them grows from one decision to the next. `isMore`: others were decided
   * that are not stored yet.
   */
  | { readonly kind: 'decide'; readonly row: OutboxRow; readonly from: SyncSnapshot; readonly isMore: boolean }
  /**
   * Until a reason to look again, `ms` at most. `'online'` and `'asked'` end every wait but a paused one, which only
   * `'asked'` ends; own appends and the server's hints end `'idle'` and `'contended'` alone. What came before the wait ends
   * it immediately. It is also the end of a round, for those who wait for one. `isSame`: the pause that something else
   * ended continues, and `ms` counts from its beginning.
   */
  | {
      readonly kind: 'wait'
      readonly ms: number
      readonly why: 'idle' | 'offline' | 'busy' | 'paused' | 'contended'
      readonly isSame?: boolean
    }
  | { readonly kind: 'report'; readonly report: SyncReport }

/** Why a wait ended. `'rested'`: a `'contended'` one by its time. */
export type Woken = 'time' | 'rested' | 'own-append' | 'server' | 'online' | 'asked'

/** Whether a round for this reason leaves out what waits for others, which was tried a moment ago. */
export const isPartial = (woken: Woken): boolean => woken === 'own-append' || woken === 'server' || woken === 'rested'

/** The storage of this device failed: nothing was stored. */
export interface StorageFailure {
  readonly kind: 'storage-failed'
  /** There is no space left. */
  readonly isFull: boolean
  /** What is stored is fine: a newer build wrote it, and can read it. */
  readonly isNewer?: boolean
  readonly message: string
}

/** What the machine is resumed with after each effect. */
export interface SyncReplies {
  load: SyncSnapshot | StorageFailure
  info: InfoReply
  pull: PullReply
  push: PushReply
  store: Changed | StorageFailure
  own: (SyncSnapshot & { readonly own: readonly OwnRow[] }) | StorageFailure
  confirmed: ConfirmedEvents | StorageFailure
  /** A command that throws: `'refused'`. Where reading what it decides on failed, a failure. */
  decide: DecisionReply | StorageFailure
  wait: Woken
  report: undefined
}

/** The steps of the machine, which end with a result. */
export type SyncSteps<T> = Generator<SyncEffect, T, never>

/** Yields an effect, and returns its reply. */
export function* ask<K extends SyncEffect['kind']>(
  effect: SyncEffect & { readonly kind: K },
): SyncSteps<SyncReplies[K]> {
  return (yield effect) as SyncReplies[K]
}
