/** Why a round ends early, and how long it is waited for. */
import { notice, say } from '../../messages.js'
import { pauseBefore } from '../../platform/backoff.js'
import type { RequestFailure, StorageFailure } from '../sync-effects.js'
import type { SyncReason, SyncReport } from '../sync-status.js'

export interface Trouble {
  readonly status: Extract<SyncReport['status'], 'offline' | 'waiting' | 'paused' | 'stopped'>
  readonly reason?: SyncReason | undefined
  readonly message?: string | undefined
  /** How long to wait, in ms, if the server or a rule says it. Otherwise the pause grows from one try to the next. */
  readonly ms?: number | undefined
  /** It concerns only commits that wait anyway: newer ones need not wait with them. */
  readonly isAside?: true
}

/** Without space, and where a newer build has to continue, it is tried again after this long, in ms. */
const fullPause = 60_000

/** The server responds, and that leads nowhere. */
export const leadsNowhere = (): Trouble => ({
  status: 'waiting',
  message: notice('no-result', say`The server responds, but says nothing of what it was asked for.`),
})

export const outOfSpace: Trouble = { status: 'waiting', reason: 'storage-full', ms: fullPause }

/** The pause before the next try, in ms: full jitter, so that devices that were cut off together come back one by one. */
export const backoff = (failures: number, random: number): number =>
  Math.round(random * pauseBefore(failures, { delay: 1_000, maxDelay: 60_000 }))

export const storageTrouble = ({ isFull, isNewer, message }: StorageFailure): Trouble =>
  isFull
    ? { ...outOfSpace, message }
    : isNewer === true
      ? { status: 'waiting', reason: 'newer-format', ms: fullPause, message }
      : { status: 'waiting', reason: 'storage-failed', message }

const stops: Readonly<Record<string, SyncReason>> = {
  forbidden: 'forbidden',
  'other-log': 'other-log',
  'other-author': 'other-author',
  'scope-changed': 'scope-changed',
  'before-first': 'before-first',
  'newer-protocol': 'newer-protocol',
  inconsistent: 'inconsistent',
}

const stopsByStatus: Readonly<Record<number, SyncReason>> = {
  403: 'forbidden',
  410: 'before-first',
  426: 'newer-protocol',
}

/** What a request without a result means, where nothing can be done about it. */
export function requestTrouble(failure: RequestFailure): Trouble {
  if (failure.kind === 'full') return outOfSpace
  if (failure.kind === 'offline' || failure.kind === 'busy') {
    const { kind, message } = failure
    const ms = failure.kind === 'busy' ? failure.after : undefined
    const reason = 'isForeign' in failure ? 'foreign-response' : undefined
    return { status: kind === 'busy' ? 'waiting' : kind, reason, message, ms }
  }
  const { status, code, message } = failure
  if (status === 401) return { status: 'paused', reason: 'unauthorized', message }
  const reason = (Object.hasOwn(stops, code) ? stops[code] : undefined) ?? stopsByStatus[status] ?? 'bad-request'
  return { status: 'stopped', reason, message }
}
