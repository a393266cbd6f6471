/**
 * The server does not know the history that this device is at: it was restored from a backup, or another engine writes
 * the same events differently. The two logs are compared event by event, to the end of what they have in common.
 */
import { healed, LostTail, rechained, type Healing } from '../rules/healed.js'
import { isSameRecord } from '../rules/same-event.js'
import type { StoredEvent } from '../../log/record/record-text.js'
import { ask, type PulledPage, type StorageFailure, type SyncSteps } from '../sync-effects.js'
import type { Cursor } from '../sync-state.js'
import type { ConfirmedEvents } from '../sync-storage.js'
import { chainStart } from '../../wire/protocol.js'
import { again, isStorageFailure, type Ended, type MachineOptions, type Session } from './session.js'
import { storageTrouble, type Trouble } from './trouble.js'

const pageSize = 1000

/** Where the logs part. `page`: the last one of the server that was compared. */
interface Common {
  readonly cursor: Cursor
  readonly page: PulledPage
}

export function* heal(session: Session, { newIdentity }: MachineOptions): SyncSteps<Ended> {
  yield* session.report('healing')
  const from = session.at
  const begin = yield* lastKnown(session)
  if (typeof begin === 'symbol' || 'status' in begin) return begin
  const common = yield* compare(session, begin)
  if (typeof common === 'symbol' || 'status' in common) return common
  const { cursor, page } = common
  const { by, head } = page
  if (cursor.at === from.state.cursor.at)
    return yield* session.storeOnce((snapshot) => rechained(snapshot, by, cursor, head))
  const lastId = yield* idAt(cursor.at)
  if (isStorageFailure(lastId)) return storageTrouble(lastId)
  const own = yield* ask({ kind: 'own', after: cursor.at })
  if (isStorageFailure(own)) return storageTrouble(own)
  const tail = new LostTail(own.own)
  const last = from.state.cursor.at
  for (let at = cursor.at; at < last;) {
    const read = yield* readConfirmed(at, Math.min(last, at + pageSize))
    if ('status' in read) return read
    // Another context took it back.
    if (read.events.length === 0) return again
    tail.add(read)
    at += read.events.length
  }
  const healing: Healing = {
    by,
    cursor,
    lastId: lastId.id,
    head,
    identity: newIdentity(),
    lost: tail.commits(from.state),
  }
  // What was compared is what is stored, or nothing is changed.
  return yield* session.storeOnce((snapshot) => healed(snapshot, healing))
}

/** The newest place that the server knows, with what follows there: at the latest, the beginning. */
function* lastKnown(session: Session): SyncSteps<PulledPage | Trouble | typeof again> {
  const { marks, cursor } = session.at.state
  const places = marks.filter(({ at }) => at > 0 && at < cursor.at).reverse()
  for (const after of [...places, { at: 0, chain: chainStart }]) {
    const reply = yield* pullAt(session, after, pageSize)
    if (reply !== 'diverged') return reply
  }
  return { status: 'stopped', reason: 'diverged' }
}

function* pullAt(
  session: Session,
  after: Cursor,
  limit: number,
): SyncSteps<PulledPage | Trouble | typeof again | 'diverged'> {
  const reply = yield* ask({ kind: 'pull', after, limit, as: session.as })
  if (reply.kind === 'refused' && reply.code === 'diverged') return 'diverged'
  const ended = yield* reply.kind === 'page' ? session.meet(reply.by) : session.refused(reply)
  return ended ?? (reply as PulledPage)
}

function* compare(session: Session, first: PulledPage): SyncSteps<Common | Trouble | typeof again> {
  let page = first
  for (;;) {
    const { after, cursor, head } = page
    const last = session.at.state.cursor.at
    const here = yield* readConfirmed(after.at, Math.min(last, cursor.at + 1))
    if ('status' in here) return here
    const common = commonEnd(here, page, last)
    if (common < cursor.at) return yield* chainAt(session, page, common, here)
    if (cursor.at >= head || cursor.at >= last) return { cursor, page }
    const next = yield* pullAt(session, cursor, pageSize)
    if (next === 'diverged') return again
    if (typeof next === 'symbol' || 'status' in next) return next
    if (next.cursor.at === cursor.at) return { cursor, page: next }
    page = next
  }
}

/**
 * The page again, only to where the logs part: a cursor line tells the server's chain there. The server may have gone back
 * once more meanwhile, and may not know it: the chain counts only if the page is what was compared.
 */
function* chainAt(
  session: Session,
  page: PulledPage,
  common: number,
  here: ConfirmedEvents,
): SyncSteps<Common | Trouble | typeof again> {
  const { after } = page
  if (common === after.at) return { cursor: after, page }
  const reply = yield* pullAt(session, after, common - after.at)
  if (reply === 'diverged') return again
  if (typeof reply === 'symbol' || 'status' in reply) return reply
  if (commonEnd(here, reply, session.at.state.cursor.at) !== common) return again
  // It sent more than it was asked for: its chain there cannot be known.
  if (reply.cursor.at !== common) return { status: 'stopped', reason: 'diverged' }
  return { cursor: reply.cursor, page: reply }
}

/** The position of the last event that both have, and at which a commit ends for both. */
function commonEnd({ events, starts }: ConfirmedEvents, { events: theirs, after }: PulledPage, last: number): number {
  let end = after.at
  for (const [index, other] of theirs.events.entries()) {
    const one = events[index]
    const position = theirs.at + index
    if (one === undefined || !isSameRecord(one, other, position, theirs.versions[index] as number)) break
    const endsThere = index + 1 === theirs.events.length || theirs.starts.has(index + 1)
    const endsHere = position === last || starts.has(position + 1)
    if (endsThere && endsHere) end = position
  }
  return end
}

/** Confirmed events, to a position. */
function* readConfirmed(after: number, upTo: number): SyncSteps<ConfirmedEvents | Trouble> {
  const events: StoredEvent[] = []
  const starts = new Set<number>()
  while (after + events.length < upTo) {
    const limit = upTo - after - events.length
    const reply = yield* ask({ kind: 'confirmed', after: after + events.length, limit })
    if (isStorageFailure(reply)) return storageTrouble(reply)
    if (reply.events.length === 0) break
    for (const event of reply.events) events.push(event)
    for (const start of reply.starts) starts.add(start)
  }
  return { events, starts }
}

/** The id of the event at a position; `null` at the beginning. */
function* idAt(position: number): SyncSteps<{ readonly id: string | null } | StorageFailure> {
  if (position === 0) return { id: null }
  const reply = yield* ask({ kind: 'confirmed', after: position - 1, limit: 1 })
  return isStorageFailure(reply) ? reply : { id: reply.events[0]?.id ?? null }
}
