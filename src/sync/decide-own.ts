/** Whether an append may go into the outbox, and as which row: decided on confirmed and pending events. Pure. */
import { InvalidArgumentError, InvalidEventError, VersionConflictError } from '../errors.js'
import { isSameJson } from '../events/json.js'
import { decideAppend } from '../log/append-rules.js'
import type { DecidedOn } from '../log/decided-on.js'
import type { AppendResult, EventFilter } from '../log/event-store.js'
import type { PreparedAppend } from '../log/prepared-append.js'
import type { EventText } from '../log/record/record-text.js'
import { notice, say } from '../messages.js'
import { maxEntries } from '../wire/protocol.js'
import { largestNOf } from './change-rules.js'
import type { ConfirmedFacts } from './device-storage.js'
import { assertRowFits } from './limits.js'
import { SyncRefusedError } from './sync-refused.js'
import { underPending, type OutboxIndex } from './outbox-index.js'
import { isShown } from './overlay/in-rows.js'
import type { OutboxCondition, OutboxRow, SyncSnapshot } from './sync-state.js'

export interface OwnAppend {
  readonly snapshot: SyncSnapshot
  /** Of its outbox. */
  readonly index: OutboxIndex
  /** Of its turn. */
  readonly facts: Pick<ConfirmedFacts, 'head' | 'lastId' | 'ends' | 'known' | 'match'>
  /** Whether `data` is stored as it was given: a codec may make another text of the same data each time. */
  readonly isPlain: boolean
  /** What the command of the append read. */
  readonly last?: DecidedOn['last'] | undefined
  readonly command?: OutboxRow['command'] | undefined
  /** What the condition of the append was made of. */
  readonly filter?: EventFilter | undefined
  readonly time: number
}

export type OwnVerdict =
  /** To be stored. */
  | { readonly kind: 'row'; readonly row: OutboxRow; readonly result: AppendResult }
  /** The commit is in the outbox already. */
  | { readonly kind: 'known'; readonly row: OutboxRow; readonly result: AppendResult }
  /** It is in the log already, or has no events. */
  | { readonly kind: 'result'; readonly result: AppendResult }

/**
 * @throws SyncRefusedError for ids of a commit that was refused
 * @throws VersionConflictError, ConditionFailedError, InvalidEventError as a local store does
 * @throws InvalidArgumentError for a condition that would name too many events
 */
export function decideOwn(append: PreparedAppend, own: OwnAppend): OwnVerdict {
  const { index, facts, isPlain } = own
  const versionOf = (stream: string) => (facts.ends.get(stream)?.version ?? 0) + (index.streams.get(stream)?.count ?? 0)
  const waiting = inOutbox(append, own)
  if (waiting !== undefined) return { kind: 'known', row: waiting, result: knownResult(append, waiting, own) }
  const pendingMatch = firstPending(append, own)
  const decision = decideAppend(append, {
    head: facts.head,
    known: facts.known,
    versionOf,
    isPlain,
    firstMatch: () => facts.match ?? pendingMatch.failing,
  })
  if ('result' in decision) return { kind: 'result', result: decision.result }
  const lastId = (stream: string) => index.streams.get(stream)?.lastId ?? facts.ends.get(stream)?.id ?? null
  for (const [stream, id = null] of own.last ?? [])
    // The version alone may be another event's by now: a pending one was refused, and a foreign one came.
    if (lastId(stream) !== id)
      throw new VersionConflictError({
        stream,
        expected: append.expected.get(stream) ?? 'any',
        actual: versionOf(stream),
      })
  const row = rowOf(append, own, (stream) => [stream, lastId(stream), versionOf(stream)], pendingMatch.allowed)
  const versions = versionsAfter(append, versionOf)
  return { kind: 'row', row, result: { position: facts.head, firstPosition: facts.head, versions, duplicate: false } }
}

/** The commit of the outbox that has the given ids. */
function inOutbox(append: PreparedAppend, { index, isPlain }: OwnAppend): OutboxRow | undefined {
  let found: OutboxRow | undefined
  for (const [at, event] of append.events.entries()) {
    const row = event.idGiven ? index.ids.get(event.id) : undefined
    if (row === undefined) continue
    found ??= row
    const before = row.events.find(({ id }) => id === event.id)
    const differs = row !== found ? say`is in another commit` : before && difference(event, before, isPlain)
    if (differs !== undefined)
      throw new InvalidEventError(
        `${append.pathOf(at)}.id`,
        say`is '${event.id}', and a commit in the outbox has that id and ${differs}. Give each event an id of its own.`,
      )
  }
  if (found === undefined) return undefined
  const ids = new Set([...found.events.map(({ id }) => id), ...(found.had ?? [])])
  const other = append.events.findIndex(({ id }) => !ids.has(id))
  if (other >= 0)
    throw new InvalidEventError(
      `${append.pathOf(other)}.id`,
      say`is not in the commit of the outbox that other events of this append are in. Append the others alone.`,
    )
  if (found.refused !== undefined) throw new SyncRefusedError(found.name, found.refused)
  if (found.cancel === true)
    throw new SyncRefusedError(found.name, {
      code: 'discarded',
      message: notice('discarded', say`The app discarded it.`),
    })
  return found
}

function difference(event: EventText, before: EventText, isPlain: boolean): string | undefined {
  if (before.stream !== event.stream) return say`is in stream '${before.stream}', not '${event.stream}'`
  if (before.type !== event.type) return say`is of type '${before.type}', not '${event.type}'`
  if (!isPlain || before.schema !== event.schema || before.data === event.data) return undefined
  return isSameJson(JSON.parse(before.data), JSON.parse(event.data)) ? undefined : say`holds other data`
}

/** What the append returned when it was made. */
function knownResult(append: PreparedAppend, row: OutboxRow, { snapshot, facts }: OwnAppend): AppendResult {
  const counts = new Map<string, number>()
  for (const each of snapshot.outbox)
    if (each.n <= row.n && isShown(each))
      for (const { stream } of each.events) counts.set(stream, (counts.get(stream) ?? 0) + 1)
  const versions = versionsAfter(
    { ...append, events: [] },
    (stream) => (facts.ends.get(stream)?.version ?? 0) + (counts.get(stream) ?? 0),
  )
  return { position: facts.head, firstPosition: facts.head, versions, duplicate: true }
}

function versionsAfter(
  { expected, events }: Pick<PreparedAppend, 'expected' | 'events'>,
  versionOf: (stream: string) => number,
): Record<string, number> {
  // No prototype, so that a stream named `__proto__` is a key like any other (H48).
  const versions: Record<string, number> = Object.create(null)
  for (const stream of expected.keys()) versions[stream] = versionOf(stream)
  for (const { stream } of events) versions[stream] = (versions[stream] as number) + 1
  return versions
}

/** Pending events that the condition matches: of those that the caller has seen, by their provisional positions, and others. */
function firstPending(
  { condition }: PreparedAppend,
  { snapshot, facts }: OwnAppend,
): { readonly failing?: number; readonly allowed: readonly string[] } {
  const allowed: string[] = []
  if (condition === undefined) return { allowed }
  let position = facts.head
  for (const row of snapshot.outbox) {
    if (!isShown(row)) continue
    for (const event of row.events) {
      position += 1
      if (!condition.filter.matches(event)) continue
      if (position > condition.after) return { failing: position, allowed }
      allowed.push(event.id)
    }
  }
  return { allowed }
}

function rowOf(
  append: PreparedAppend,
  { snapshot, index, facts, command, filter, time }: OwnAppend,
  last: (stream: string) => readonly [stream: string, id: string | null, version: number],
  except: readonly string[],
): OutboxRow {
  const { events, expected } = append
  const expect: OutboxRow['expect'][number][] = []
  const requires: string[] = []
  const loose: string[] = []
  for (const [stream, wanted] of expected) {
    if (wanted === 'any') continue
    const each = last(stream)
    const [, id] = each
    if (wanted !== 'stream-exists') {
      expect.push(each)
      // If one of them is taken back, what was decided on it follows.
      loose.push(...underPending(index.streams.get(stream), facts.ends.get(stream)?.id))
    } else if (id !== null) requires.push(id)
  }
  const condition = filter && conditionOf(filter, facts, except)
  if (Math.max(expect.length, requires.length) > maxEntries)
    throw new InvalidArgumentError('writes', say`must expect versions of at most ${maxEntries} streams.`)
  requires.push(...newest(loose, maxEntries - requires.length))
  return assertRowFits({
    n: largestNOf(snapshot) + 1,
    name: (events[0] as EventText).id,
    time,
    events,
    expect,
    ...(condition !== undefined && { condition }),
    ...(requires.length > 0 && { requires }),
    ...(command !== undefined && { command }),
  })
}

/** The last ones of a list, `most` of them. */
export const newest = (ids: readonly string[], most: number): readonly string[] =>
  ids.slice(Math.max(0, ids.length - most))

function conditionOf(
  failIfEventsMatch: EventFilter,
  { head, lastId }: OwnAppend['facts'],
  except: readonly string[],
): OutboxCondition {
  if (Math.max(except.length, failIfEventsMatch.types?.length ?? 0) > maxEntries)
    throw new InvalidArgumentError('condition', say`matches, or names, more than ${maxEntries} events or types.`)
  return { failIfEventsMatch, after: lastId, at: head, except }
}
