/**
 * Reading what `append` was given. Each property of lists, writes and events is read once, here: what is done with it
 * later cannot change it.
 */
import { InvalidArgumentError, InvalidEventError, type ExpectedVersion } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import { streamName } from '../events/names.js'
import { onlyKnown, wholeNumber } from '../platform/arguments.js'
import type { AppendOptions, StreamWrite } from './event-store.js'
import { compileFilter } from './filter.js'
import type { PreparedAppend } from './prepared-append.js'
import { isObject } from '../platform/objects.js'

/** An event as it was given. */
export interface GivenEvent {
  readonly path: string
  readonly stream: string
  readonly type: string
  readonly data: unknown
  readonly meta: unknown
  readonly id: string | undefined
  /** What its creator left, if its schema changes its own output. */
  readonly checked: unknown
}

/** What `append` was given. */
export interface GivenAppend {
  readonly given: readonly GivenEvent[]
  /** What is expected of each stream that is named. */
  readonly expected: ReadonlyMap<string, ExpectedVersion>
}

const writeNames = ['stream', 'events', 'expectedVersion']

/** The form with writes. */
export function readWrites<E extends EventShape>(writes: StreamWrite<E> | readonly StreamWrite<E>[]): GivenAppend {
  const many = Array.isArray(writes)
  const list = (many ? writes : [writes]) as readonly StreamWrite<E>[]
  if (list.length === 0) throw new InvalidArgumentError('writes', say`must name at least one stream.`)
  const given: GivenEvent[] = []
  const expected = new Map<string, ExpectedVersion>()
  /** Names of streams as they were given, and as they are stored. */
  const streams = new Map<string, string>()
  for (let at = 0; at < list.length; at += 1) {
    const write = list[at] as StreamWrite<E>
    const here = many ? `writes[${at}].` : ''
    const what = many ? `writes[${at}]` : 'writes'
    if (!isObject(write)) throw new InvalidArgumentError(what, say`must be { stream, events }.`)
    if (typeof (write as { type?: unknown }).type === 'string')
      throw new InvalidArgumentError(
        what,
        say`is an event, which needs the name of its stream: append('stream', event), or { stream, events: [event] }.`,
      )
    // A misspelt `expectedVersion` would be ignored.
    onlyKnown(write, writeNames, what)
    const name = write.stream
    let stream = streams.get(name)
    if (stream === undefined) streams.set(name, (stream = streamName(name)))
    const wanted = expectedVersion(write.expectedVersion, `${here}expectedVersion`)
    const before = expected.get(stream)
    if (before === undefined || before === 'any') expected.set(stream, wanted)
    else if (wanted !== 'any' && wanted !== before) {
      throw new InvalidArgumentError(
        `${here}expectedVersion`,
        say`contradicts another write to stream '${stream}': ${before} and ${wanted}.`,
      )
    }
    const { events } = write
    if (!Array.isArray(events)) throw new InvalidArgumentError(`${here}events`, say`must be a list of events.`)
    for (let index = 0; index < events.length; index += 1)
      given.push(partsOf(events[index], `${here}events[${index}]`, stream))
  }
  return { given, expected }
}

/** The form with one stream. The version that is expected of it is checked here, and not with the other options. */
export function readStreamAppend(name: string, events: unknown, version: unknown): GivenAppend {
  const stream = streamName(name)
  const given = Array.isArray(events)
    ? Array.from(events, (event, index) => partsOf(event, `events[${index}]`, stream))
    : [partsOf(events, 'event', stream)]
  return { given, expected: new Map([[stream, expectedVersion(version, 'expectedVersion')]]) }
}

/** @throws InvalidArgumentError, InvalidNameError for what is not a condition */
export function readCondition(condition: AppendOptions['condition']): PreparedAppend['condition'] {
  if (condition === undefined) return undefined
  onlyKnown(condition, ['failIfEventsMatch', 'after'], 'condition')
  const { failIfEventsMatch, after = 0 } = condition
  return {
    filter: compileFilter(failIfEventsMatch, 'condition.failIfEventsMatch'),
    after: wholeNumber(after, 'condition.after'),
  }
}

function expectedVersion(value: unknown, path: string): ExpectedVersion {
  if (value === undefined || value === 'any') return 'any'
  if (value === 'no-stream' || value === 'stream-exists') return value
  if (typeof value === 'string')
    throw new InvalidArgumentError(path, say`must be a version, 'any', 'no-stream' or 'stream-exists'.`)
  return wholeNumber(value, path)
}

/** What an event consists of; each property is read once. */
function partsOf(event: unknown, path: string, stream: string): GivenEvent {
  if (!isObject(event)) throw new InvalidEventError(path, say`must be { type, data }.`)
  try {
    const { type, data, meta, id, checked } = event as GivenEvent
    return { path, stream, type, data, meta, id, checked }
  } catch (cause) {
    throw new InvalidEventError(path, say`has a property that throws when it is read.`, { cause })
  }
}
