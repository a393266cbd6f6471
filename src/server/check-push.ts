/** A push as it came, checked: what is no push is refused as a whole, what is wrong with one commit is its flaw. */
import { eventType, isEventId, streamName } from '../events/names.js'
import { compileFilter, type CompiledFilter } from '../log/filter.js'
import { say } from '../messages.js'
import { isObject } from '../platform/objects.js'
import {
  leastLimits,
  maxCancelIds,
  maxDepth,
  maxEntries,
  maxNamed,
  type WireCommit,
  type WireFilter,
} from '../wire/protocol.js'
import { RequestRefusedError } from './request-refused.js'
import { entries, invalid, isWholeFrom, list, made, object, optional, orNull, valid, type Shape } from './shapes.js'

/** Why one commit is refused. */
export interface Refusal {
  /** For programs: 1 to 255 characters. */
  readonly code: string
  /** For people. What is behind 1,000 characters is cut off. */
  readonly message: string
}

/** An event, with its data and meta as JSON without white space. */
export interface CheckedEvent {
  readonly stream: string
  readonly type: string
  readonly schema: number
  readonly id: string
  readonly time: number
  readonly data: string
  readonly meta: string | undefined
  /** Why its commit is refused, if it is the event that is too large. */
  readonly flaw: Refusal | undefined
}

interface ExpectedLast {
  readonly id: string | null
  readonly version: number | undefined
}

export interface CheckedCommit {
  /** Of the first event, which names the commit. */
  readonly id: string
  readonly ids: readonly string[]
  readonly events: readonly CheckedEvent[]
  /** By stream: the last event, and its version if that was said. */
  readonly expect: readonly (readonly [stream: string, last: ExpectedLast])[]
  readonly condition: CheckedCondition | undefined
  /** The ids that must be in the log, whatever for. */
  readonly needs: readonly string[]
  /** Found without looking at the log, of which such a commit needs nothing but whether it has the ids. */
  readonly flaw: Refusal | undefined
  /** As it came. */
  readonly given: WireCommit
}

export interface CheckedCondition {
  readonly filter: CompiledFilter
  readonly after: string | null
  readonly except: ReadonlySet<string>
  /** How many events or types it names, of the kind that it names most. */
  readonly named: number
  /** How much work it is to look at one event: patterns take longer. */
  readonly cost: number
}

export interface CheckedPush {
  readonly commits: readonly CheckedCommit[]
  readonly at: number | undefined
  readonly cancel: readonly (readonly string[])[]
}

const eventId = valid<string>(isEventId, say`must be a text of 1 to 255 characters.`)

const wholeFrom = (least: number) =>
  valid<number>((value) => isWholeFrom(value, least), say`must be a whole number from ${least}.`)

const eventParts = object({
  // By the rules of the device, which reads no other names.
  stream: made((value: string) => {
    if (streamName(value) !== value) throw value
    return value
  }),
  type: made(eventType),
  schema: optional(wholeFrom(1), 1),
  id: eventId,
  time: wholeFrom(Number.MIN_SAFE_INTEGER),
  data: valid((value) => value !== undefined, say`is missing.`),
  meta: (value) => value,
})

const event: Shape<CheckedEvent> = (value, path) => {
  const { data, meta, ...named } = eventParts(value, path)
  const problem = problemOf([data, meta], 0)
  if (problem === 'number') throw invalid(path, say`has a number that is too large for JSON.`)
  // Not looked at any further: it is refused.
  if (problem === 'depth')
    return {
      ...named,
      data: 'null',
      meta: undefined,
      flaw: tooLarge(say`The data of an event may be ${maxDepth} deep.`),
    }
  const texts = { data: JSON.stringify(data), meta: JSON.stringify(meta) as string | undefined }
  const isLong = texts.data.length + (texts.meta?.length ?? 0) > leastLimits.eventBytes
  return {
    ...named,
    ...texts,
    flaw: isLong ? tooLarge(say`An event may have ${leastLimits.eventBytes} characters.`) : undefined,
  }
}

const conditionParts = object({
  failIfEventsMatch: made((wanted: WireFilter) => ({
    filter: compileFilter(wanted),
    types: wanted.types?.length ?? 0,
    cost: 1 + (wanted.streamPattern?.length ?? 0),
  })),
  after: orNull(eventId),
  except: optional(list(eventId), []),
})

const condition: Shape<CheckedCondition> = (value, path) => {
  const { failIfEventsMatch, after, except } = conditionParts(value, path)
  const { types, ...filtered } = failIfEventsMatch
  return { ...filtered, after, except: new Set(except), named: Math.max(types, except.length) }
}

const expectedLast: Shape<ExpectedLast> = (value, path) => {
  if (!Array.isArray(value) || value.length !== 2) return { id: orNull(eventId)(value, path), version: undefined }
  return { id: eventId(value[0], path), version: wholeFrom(1)(value[1], path) }
}

const commitParts = object({
  events: list(event),
  expect: optional(entries(expectedLast), []),
  condition: optional(condition, undefined),
  requires: optional(list(eventId), []),
  healed: valid((value) => value === undefined || value === true, say`must be true.`),
})

const commit: Shape<CheckedCommit> = (value, path) => {
  const { events, expect, condition, requires } = commitParts(value, path)
  const ids = events.map(({ id }) => id)
  const [id] = ids
  if (id === undefined) throw invalid(`${path}.events`, say`must not be empty.`)
  const { after = null, except = [], named = 0 } = condition ?? {}
  const given = value as WireCommit
  const flaw =
    events.find(({ flaw }) => flaw)?.flaw ?? flawOf(given, events, Math.max(requires.length, expect.length, named))
  if (flaw !== undefined) return { id, ids, events, expect: [], condition: undefined, needs: [], flaw, given }
  const needs = [...requires, ...expect.map(([, { id: last }]) => last), after, ...except].filter(
    (needed) => needed !== null,
  )
  return { id, ids, events, expect, condition, needs, flaw, given }
}

/** @param named how many events or types the commit names, of the kind that it names most of */
function flawOf(given: unknown, events: readonly CheckedEvent[], named: number): Refusal | undefined {
  if (events.length > leastLimits.commitEvents)
    return tooLarge(say`A commit may have ${leastLimits.commitEvents} events.`)
  if (named > maxEntries) return tooLarge(say`A commit may name ${maxEntries} events or types of each kind.`)
  // What is nested too deep has no text.
  if (isLonger(() => JSON.stringify(given), events, leastLimits.commitBytes))
    return tooLarge(say`A commit may have ${leastLimits.commitBytes} bytes.`)
  return new Set(events.map(({ id }) => id)).size < events.length
    ? { code: 'id-taken', message: say`The commit has two events with the same id.` }
    : undefined
}

const push = object({
  commits: list(commit),
  at: optional(wholeFrom(0), undefined),
  cancel: optional(list(list(eventId)), []),
})

/** @throws RequestRefusedError for what is no push */
export function checkPush(body: unknown): CheckedPush {
  const { commits, at, cancel } = push(body, 'push')
  if (cancel.some(({ length }) => length === 0 || length > maxEntries))
    throw invalid('push.cancel', say`must have lists of 1 to ${maxEntries} ids.`)
  if (cancel.length > maxEntries || cancel.reduce((sum, { length }) => sum + length, 0) > maxCancelIds)
    throw new RequestRefusedError(
      413,
      'too-large',
      say`A push may cancel ${maxEntries} commits with ${maxCancelIds} ids together.`,
    )
  // What is left is sent again.
  return { commits: commits.slice(0, lookedAt(commits)), at, cancel }
}

/** How many commits of a push are looked at: the first one, and those with which it does not name too much. */
function lookedAt(commits: readonly CheckedCommit[]): number {
  let named = 0
  const end = commits.findIndex(({ expect, needs }, index) => {
    named += expect.length + needs.length
    return index === maxEntries || (index > 0 && named > maxNamed)
  })
  return end < 0 ? commits.length : end
}

const tooLarge = (message: string): Refusal => ({ code: 'too-large', message })

/** Looks for what `JSON.stringify` would not keep: numbers that are infinite, and values that are nested too deep. */
function problemOf(value: unknown, depth: number): 'depth' | 'number' | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : 'number'
  if (!isObject(value)) return undefined
  if (depth > maxDepth) return 'depth'
  for (const key of Object.keys(value)) {
    const problem = problemOf(value[key as never], depth + 1)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** Whether a commit has more bytes of JSON than these; its text is only made if it might be. */
function isLonger(text: () => string, events: readonly CheckedEvent[], bytes: number): boolean {
  const data = events.reduce((sum, event) => sum + event.data.length + (event.meta?.length ?? 0), 0)
  // A character has at most three bytes. What else belongs to an event is bounded.
  if (data * 3 + events.length * 8192 < bytes / 4) return false
  return new TextEncoder().encode(text()).length > bytes
}
