/** What a log is, in an array: the rules of appending and reading (docs/rules.md) without storage, caches or time. The model test holds the real log against it. */
import type { EventFilter, ExpectedVersion } from 'tidemark'

export interface ReferenceEvent {
  readonly position: number
  readonly stream: string
  readonly version: number
  readonly type: string
  /** Stands for the data, and is different in every event that was ever appended. */
  readonly serial: number
  /** `undefined` as long as only the store knows it. */
  readonly id: string | undefined
}

export type ReferenceLog = readonly ReferenceEvent[]

export interface ReferenceWrite {
  readonly stream: string
  readonly expectedVersion: ExpectedVersion
  readonly events: readonly { readonly type: string; readonly serial: number; readonly id: string | undefined }[]
}

export interface ReferenceAppend {
  readonly writes: readonly ReferenceWrite[]
  readonly condition?: { readonly filter: EventFilter; readonly after: number } | undefined
}

/** What the caller must be told: a value, or an error with these properties. */
export type Answer =
  | { readonly value: unknown }
  | { readonly error: { readonly code: string; readonly [property: string]: unknown } }

export const versionOf = (log: ReferenceLog, stream: string): number =>
  log.filter((event) => event.stream === stream).length

export function matching(log: ReferenceLog, filter: EventFilter): ReferenceEvent[] {
  return log.filter(
    ({ type, stream }) =>
      (filter.types === undefined || filter.types.includes(type)) &&
      (filter.streamPrefix === undefined || stream.startsWith(filter.streamPrefix)) &&
      // The model only ever asks for patterns of this one form.
      (filter.streamPattern === undefined || stream.endsWith(filter.streamPattern.slice(1))),
  )
}

/** The log after an append, and what the caller hears. The order of the checks is part of the rules. */
export function append(
  log: ReferenceLog,
  { writes, condition }: ReferenceAppend,
): { readonly log: ReferenceLog; readonly answer: Answer } {
  const refuse = (code: string, more: object = {}) => ({
    log,
    answer: { error: { code, outcome: 'not-written', ...more } },
  })
  const expected = new Map<string, ExpectedVersion>()
  const ids = new Set<string>()
  for (const { stream, expectedVersion, events } of writes) {
    const before = expected.get(stream) ?? 'any'
    if (before !== 'any' && expectedVersion !== 'any' && before !== expectedVersion) return refuse('invalid-argument')
    if (before === 'any') expected.set(stream, expectedVersion)
    for (const { id } of events) {
      if (id !== undefined && ids.has(id)) return refuse('invalid-event')
      if (id !== undefined) ids.add(id)
    }
  }
  const events = writes.flatMap((write) => write.events.map((event) => ({ ...event, stream: write.stream })))
  const known = events.map(({ id }) => (id === undefined ? undefined : log.find((event) => event.id === id)))
  const found = known.filter((event) => event !== undefined)
  if (found.length > 0 && found.length < events.length) return refuse('invalid-event')
  // The same ids in another stream, or with another type or other data, are no repeat.
  const isAnother = (event: ReferenceEvent | undefined, asked: (typeof events)[number]) =>
    event !== undefined && (event.stream !== asked.stream || event.type !== asked.type || event.serial !== asked.serial)
  if (events.some((asked, at) => isAnother(known[at], asked))) return refuse('invalid-event')
  const versions = (versionIn: (stream: string) => number) =>
    Object.fromEntries([...expected.keys()].map((stream) => [stream, versionIn(stream)]))
  if (found.length > 0) {
    const positions = found.map(({ position }) => position)
    const first = versions(
      (stream) =>
        Math.max(0, ...found.filter((event) => event.stream === stream).map(({ version }) => version)) ||
        versionOf(log, stream),
    )
    return {
      log,
      answer: {
        value: {
          position: Math.max(...positions),
          firstPosition: Math.min(...positions),
          versions: first,
          duplicate: true,
        },
      },
    }
  }
  for (const [stream, wanted] of expected) {
    const actual = versionOf(log, stream)
    const met =
      wanted === 'any' ||
      (wanted === 'no-stream' ? actual === 0 : wanted === 'stream-exists' ? actual > 0 : wanted === actual)
    if (!met) return refuse('version-conflict', { stream, expected: wanted, actual })
  }
  if (condition !== undefined) {
    const forbidden = matching(log, condition.filter).find(({ position }) => position > condition.after)
    if (forbidden !== undefined) return refuse('condition-failed', { position: forbidden.position })
  }
  const at = new Map([...expected.keys()].map((stream) => [stream, versionOf(log, stream)]))
  const added = events.map((event, index) => {
    const version = (at.get(event.stream) ?? 0) + 1
    at.set(event.stream, version)
    return { ...event, position: log.length + 1 + index, version }
  })
  const value = {
    position: log.length + added.length,
    firstPosition: log.length + (added.length > 0 ? 1 : 0),
    versions: Object.fromEntries(at),
    duplicate: false,
  }
  return { log: [...log, ...added], answer: { value } }
}

/** One page of a log that is far smaller than what one call looks at. */
export function readPage(log: ReferenceLog, filter: EventFilter, after: number, limit: number): Answer {
  const events =
    limit === 0
      ? []
      : matching(log, filter)
          .filter(({ position }) => position > after)
          .slice(0, limit)
  const last = events.at(-1)
  const scannedTo =
    limit === 0 ? after : events.length === limit && last !== undefined ? last.position : Math.max(after, log.length)
  return { value: { events, scannedTo, head: log.length } }
}
