/**
 * How a store is synced, as a pure machine: it yields effects and is resumed with their replies. It does no I/O, reads no
 * clock and never sleeps, so every fault can be played by stepping it. What a reply changes is said by the rules.
 */
import { ask, type SyncEffect, type Woken } from '../sync-effects.js'
import type { SyncReport } from '../sync-status.js'
import { Round } from './round.js'
import { again, Session, type Ended, type MachineOptions } from './session.js'
import { backoff, leadsNowhere, type Trouble } from './trouble.js'

export type { MachineOptions } from './session.js'

/** Lost hints are made up for by a round after this long, in ms. */
const idlePause = 60_000

/** A pause that only a call ends, in ms: the longest that timers know. */
const untilAsked = 2 ** 31 - 1

/** A server that is another one each time it is asked is left alone for a while. */
const mostRestarts = 10

/** Syncs a store, for ever; one round, where it is bounded, which ends with the report of that round. */
export function* syncMachine(options: MachineOptions): Generator<SyncEffect, SyncReport | undefined, never> {
  const session = new Session()
  const round = new Round(session, options)
  let woken: Woken = 'asked'
  /** The pause that something ended. */
  let rested = 0
  for (;;) {
    const trouble: Trouble | undefined = yield* rounds(session, round, woken)
    if (trouble === undefined) session.failures = 0
    if (trouble?.reason !== 'storage-failed') session.unstored = 0
    const isContended = round.pause > 0
    if (session.isLoaded) yield* session.report(trouble?.status ?? (isContended ? 'working' : 'idle'), trouble)
    if (options.isBounded === true)
      return session.isLoaded ? { ...trouble, status: trouble?.status ?? 'idle', snapshot: session.at } : undefined
    if (isContended && (trouble === undefined || trouble.isAside === true)) {
      woken = yield* ask({ kind: 'wait', ms: round.pause, why: 'contended', isSame: round.pause === rested })
      rested = woken === 'own-append' || woken === 'server' ? round.pause : 0
    } else woken = yield* rest(session, options, trouble)
  }
}

function* rounds(session: Session, round: Round, woken: Woken): Generator<SyncEffect, Trouble | undefined, never> {
  for (let restarts = 0; restarts < mostRestarts; restarts += 1) {
    // What was stored by another context raised a nudge of its own.
    const isKnown = restarts === 0 && (woken === 'own-append' || woken === 'server')
    const ended: Ended = (yield* session.load(isKnown)) ?? (yield* round.steps(restarts === 0 ? woken : 'asked'))
    if (ended !== again) return ended
  }
  return leadsNowhere()
}

function* rest(
  session: Session,
  { random }: MachineOptions,
  trouble: Trouble | undefined,
): Generator<SyncEffect, Woken, never> {
  if (trouble === undefined) return yield* ask({ kind: 'wait', ms: idlePause, why: 'idle' })
  if (trouble.status === 'paused' || trouble.status === 'stopped')
    return yield* ask({ kind: 'wait', ms: untilAsked, why: 'paused' })
  if (trouble.isAside === true) return yield* ask({ kind: 'wait', ms: idlePause, why: 'idle' })
  const count = trouble.reason === 'storage-failed' ? 'unstored' : 'failures'
  const ms = trouble.ms ?? backoff(session[count], random())
  session[count] += 1
  return yield* ask({ kind: 'wait', ms, why: trouble.status === 'offline' ? 'offline' : 'busy' })
}
