/** A push as it came, checked: what is no push is refused as a whole, what is wrong with one commit is its flaw. */
import { eventType, isEventId, streamName } from '../events/names.js'
import { compileFilter, type CompiledFilter } from '../log/filter.js'
import { say } from '../messages.js'
import { isObject } from '../platform/objects.js'
import {
  leastLimits,
  maxDepth,
  maxEntries,
  type WireCommit,
  type WireEvent,
  type WireFilter,
} from '../wire/protocol.js'
import { RequestRefusedError } from './request-refused.js'

/** Why one commit is refused. */
export interface Refusal {
  /** For programs. */
  readonly code: string
  /** For people. */
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
}

export interface CheckedCommit {
  /** Of the first event, which names the commit. */
  readonly id: string
  readonly ids: readonly string[]
  readonly events: readonly CheckedEvent[]
  readonly expect: readonly (readonly [stream: string, id: string | null])[]
  readonly condition: CheckedCondition | undefined
  /** The ids that must be in the log, whatever for. */
  readonly needs: readonly string[]
  /** Found without looking at the log. */
  readonly flaw: Refusal | undefined
  /** As it came. */
  readonly given: WireCommit
}

export interface CheckedCondition {
  readonly filter: CompiledFilter
  readonly after: string | null
  readonly except: ReadonlySet<string>
  /** How much work it is to look at one event: patterns take longer. */
  readonly cost: number
}

export interface CheckedPush {
  readonly commits: readonly CheckedCommit[]
  readonly at: number | undefined
  readonly cancel: readonly (readonly string[])[]
}

/** @throws RequestRefusedError for what is no push */
export function checkPush(body: unknown): CheckedPush {
  const push = objectOf(body, 'push', ['commits', 'at', 'cancel'])
  const { at, cancel = [] } = push
  if (at !== undefined && !isCount(at)) throw invalid('at', say`must be a position.`)
  const lists = listOf(cancel, 'cancel')
  if (lists.length > maxEntries)
    throw new RequestRefusedError(413, 'too-large', say`A push has more than ${maxEntries} commits to cancel.`)
  return {
    // What is left is sent again.
    commits: listOf(push.commits, 'commits')
      .map((commit, index) => checkCommit(commit, `commits[${index}]`))
      .slice(0, maxEntries),
    at: at as number | undefined,
    cancel: lists.map((ids, index) => {
      const checked = idsOf(ids, `cancel[${index}]`)
      if (checked.length === 0 || checked.length > maxEntries)
        throw invalid(`cancel[${index}]`, say`must have 1 to ${maxEntries} ids.`)
      return checked
    }),
  }
}

function checkCommit(given: unknown, path: string): CheckedCommit {
  const commit = objectOf(given, path, ['events', 'expect', 'condition', 'requires', 'healed'])
  const list = listOf(commit.events, `${path}.events`)
  if (list.length === 0) throw invalid(`${path}.events`, say`must not be empty.`)
  const flaws: Refusal[] = []
  const events = list.map((event, index) => checkEvent(event, `${path}.events[${index}]`, flaws))
  const ids = events.map(({ id }) => id)
  const requires = commit.requires === undefined ? [] : idsOf(commit.requires, `${path}.requires`)
  const expect = commit.expect === undefined ? [] : expectOf(commit.expect, `${path}.expect`)
  const condition =
    commit.condition === undefined ? undefined : conditionOf(commit.condition, `${path}.condition`, flaws)
  if (commit.healed !== undefined && commit.healed !== true) throw invalid(`${path}.healed`, say`must be true.`)
  if (new Set(ids).size < ids.length)
    flaws.push({ code: 'id-taken', message: say`The commit has two events with the same id.` })
  if (events.length > leastLimits.commitEvents)
    flaws.push(tooLarge(say`A commit may have ${leastLimits.commitEvents} events.`))
  if (Math.max(requires.length, expect.length) > maxEntries)
    flaws.push(tooLarge(say`A commit may expect and require ${maxEntries} events.`))
  // What is nested too deep has no text.
  if (flaws.length === 0 && isLonger(() => JSON.stringify(given), events, leastLimits.commitBytes))
    flaws.push(tooLarge(say`A commit may have ${leastLimits.commitBytes} bytes.`))
  return {
    id: ids[0] as string,
    ids,
    events,
    expect,
    condition,
    needs: [
      ...requires,
      ...expect.flatMap(([, id]) => (id === null ? [] : [id])),
      ...(condition === undefined ? [] : [...(condition.after === null ? [] : [condition.after]), ...condition.except]),
    ],
    flaw: flaws[0],
    given: given as WireCommit,
  }
}

const tooLarge = (message: string): Refusal => ({ code: 'too-large', message })

function checkEvent(given: unknown, path: string, flaws: Refusal[]): CheckedEvent {
  const event = objectOf(given, path, ['stream', 'type', 'schema', 'id', 'time', 'data', 'meta'])
  const { id, schema = 1, time, data, meta } = event as Partial<WireEvent>
  // By the rules of the device, which reads no other names.
  const stream = attempt(() => streamName(event.stream), `${path}.stream`)
  if (stream !== event.stream) throw invalid(`${path}.stream`, say`must not begin or end with white space.`)
  const type = attempt(() => eventType(event.type), `${path}.type`)
  if (!isEventId(id)) throw invalid(`${path}.id`, say`must be a text of 1 to 255 characters.`)
  if (!isCount(schema) || schema === 0) throw invalid(`${path}.schema`, say`must be a whole number from 1.`)
  if (!Number.isSafeInteger(time)) throw invalid(`${path}.time`, say`must be whole ms since 1970.`)
  if (data === undefined) throw invalid(`${path}.data`, say`is missing.`)
  const named = { stream, type, schema, id, time: time as number }
  const problem = problemOf([data, meta], 0)
  if (problem === 'number') throw invalid(path, say`has a number that is too large for JSON.`)
  if (problem === 'depth') {
    flaws.push(tooLarge(say`The data of an event may be ${maxDepth} deep.`))
    // Not looked at any further: it is refused.
    return { ...named, data: 'null', meta: undefined }
  }
  const texts = { data: JSON.stringify(data), meta: JSON.stringify(meta) as string | undefined }
  if (texts.data.length + (texts.meta?.length ?? 0) > leastLimits.eventBytes)
    flaws.push(tooLarge(say`An event may have ${leastLimits.eventBytes} characters.`))
  return { ...named, ...texts }
}

function expectOf(value: unknown, path: string): [string, string | null][] {
  return Object.entries(objectOf(value, path)).map(([stream, id]) => {
    if (id !== null && !isEventId(id)) throw invalid(path, say`must have the id of an event, or null, for each stream.`)
    return [stream, id]
  })
}

function conditionOf(value: unknown, path: string, flaws: Refusal[]): CheckedCondition {
  const { failIfEventsMatch, after, except = [] } = objectOf(value, path, ['failIfEventsMatch', 'after', 'except'])
  if (after !== null && !isEventId(after)) throw invalid(`${path}.after`, say`must be the id of an event, or null.`)
  const ids = idsOf(except, `${path}.except`)
  const filter = attempt(() => compileFilter(failIfEventsMatch as object), `${path}.failIfEventsMatch`)
  const { types = [], streamPattern = '' } = failIfEventsMatch as WireFilter
  if (Math.max(ids.length, types.length) > maxEntries)
    flaws.push(tooLarge(say`A condition may name ${maxEntries} events and types.`))
  return { filter, after, except: new Set(ids), cost: 1 + streamPattern.length }
}

function idsOf(value: unknown, path: string): string[] {
  const ids = listOf(value, path)
  if (!ids.every(isEventId)) throw invalid(path, say`must be a list of ids.`)
  return ids
}

function listOf(value: unknown, path: string): unknown[] {
  if (!Array.isArray(value)) throw invalid(path, say`must be a list.`)
  return value as unknown[]
}

/** A plain object with no other properties than these: what is not known might have been meant to restrict something. */
function objectOf(value: unknown, path: string, names?: readonly string[]): Readonly<Record<string, unknown>> {
  if (!isObject(value) || Array.isArray(value)) throw invalid(path, say`must be an object.`)
  if (names !== undefined && Object.keys(value).some((name) => !names.includes(name)))
    throw invalid(path, say`has an unknown property.`)
  return value as Readonly<Record<string, unknown>>
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

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

function attempt<T>(work: () => T, path: string): T {
  try {
    return work()
  } catch {
    throw invalid(path, say`is not valid.`)
  }
}

const invalid = (path: string, problem: string) =>
  new RequestRefusedError(422, 'invalid-push', say`'${path}' ${problem}`)
