/** Whether rows of a synced store are what this build writes: any script of the origin can edit them. Pure. */
import { isObject } from '../platform/objects.js'
import type { OutboxRow, OwnRow, SyncState } from './sync-state.js'

/** Numbers above it are close to those at which adding 1 changes nothing, so that waiting for a change would never end. */
const most = 2 ** 50

/**
 * What this build writes, and the newest that it understands, of the rows of the outbox and of `sync`, `own` and `attic`.
 * A build that writes another one gives each row of the outbox its format. If it writes one of the others, it gives the
 * state its format in the same transaction: every change of an older build compares the turn, and finds that out.
 */
const format = 1

/** Whether a newer build wrote a row: it may mean what this one does not know. */
export const isNewer = (row: { readonly format?: unknown } | undefined): boolean => (row?.format as number) > format

const isText = (value: unknown): value is string => typeof value === 'string'
export const isWhole = (value: unknown, least = 0): value is number =>
  Number.isSafeInteger(value) && (value as number) >= least && (value as number) < most

const listOf = <T>(value: readonly T[] | undefined, is: (each: T) => boolean): boolean =>
  Array.isArray(value) && value.every((each: T) => is(each))
const arePlaces = (value: unknown): boolean => isObject(value) && Object.values(value).every((each) => isWhole(each))
/** Without a value, or with one that fits. */
const may = <T>(value: T | undefined, is: (each: T) => boolean): boolean => value === undefined || is(value)

function isJson(value: unknown): boolean {
  try {
    return isText(value) && JSON.parse(value) !== undefined
  } catch {
    return false
  }
}

const isCursor = (value: Partial<SyncState['cursor']> | null | undefined): boolean =>
  isWhole(value?.at) && isText(value?.chain)

export const isSoundState = (state: Partial<SyncState>): state is SyncState => {
  const { turn, largestN, sentTo, head, cursor, identity, marks, left, nothing, remote, isFresh, age } = state
  return (
    [turn, largestN, sentTo, head].every((each) => isWhole(each)) &&
    isCursor(cursor) &&
    isText(identity) &&
    typeof isFresh === 'boolean' &&
    listOf(marks, isCursor) &&
    listOf(left, (each) => isText(each?.identity) && isWhole(each.upTo)) &&
    may(nothing, (names) => listOf(names, isText)) &&
    may(
      age,
      (each) => isWhole(each?.lived) && listOf(each?.marks, (mark) => isWhole(mark?.lived) && isWhole(mark.at)),
    ) &&
    may(remote, (each) => [each?.log, each?.epoch, each?.author].every(isText))
  )
}

const isEvent = (event: Partial<OutboxRow['events'][number]> | null): boolean =>
  isObject(event) &&
  [event.type, event.stream, event.id].every(isText) &&
  Number.isFinite(event.time) &&
  isWhole(event.schema, 1) &&
  isJson(event.data) &&
  may(event.meta, isJson)

const isRefusal = (value: OutboxRow['refused'] | null): boolean => isText(value?.code) && isText(value.message)

const isCondition = (value: OutboxRow['condition'] | null): boolean =>
  isObject(value?.failIfEventsMatch) &&
  (value.after === null || isText(value.after)) &&
  isWhole(value.at) &&
  listOf(value.except, isText)

export const isSoundRow = (row: Partial<OutboxRow>): row is OutboxRow =>
  isWhole(row.n, -most) &&
  isText(row.name) &&
  Number.isFinite(row.time) &&
  listOf(row.events, isEvent) &&
  row.events?.length !== 0 &&
  listOf(
    row.expect,
    (each) =>
      Array.isArray(each) &&
      isText(each[0]) &&
      (each[1] === null || isText(each[1])) &&
      may(each[2], (version) => isWhole(version)),
  ) &&
  [row.requires, row.had, row.renew, row.renewData].every((each) => may(each, (ids) => listOf(ids, isText))) &&
  may(row.condition, isCondition) &&
  may(row.command, (each) => isText(each?.name) && isJson(each.args)) &&
  may(row.accepted, isWhole) &&
  may(row.behind, isText) &&
  may(row.was, arePlaces) &&
  may(row.refused, isRefusal) &&
  may(row.undecided, (each) => isText(each?.code))

/** Own rows in order, up to the end of the log. */
export function areSoundOwn(rows: readonly Partial<OwnRow>[], end: number): rows is readonly OwnRow[] {
  let reached = 0
  return rows.every(({ at, n, name, needs, was }) => {
    const isSound =
      isWhole(at, reached + 1) &&
      isWhole(n, 1) &&
      at + n - 1 <= end &&
      may(name, isText) &&
      may(needs, (ids) => listOf(ids, isText)) &&
      may(was, arePlaces)
    reached = (at as number) + (n as number) - 1
    return isSound
  })
}
