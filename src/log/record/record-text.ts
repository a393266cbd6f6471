/**
 * How a record holds its events as text: a few follow each other, more of them are in columns (docs/decisions/0008).
 */
import { isObject } from '../../platform/objects.js'

/** An event as a record holds it. */
export interface StoredEvent {
  type: string
  data: unknown
  meta?: unknown
  stream: string
  version: number
  position: number
  id: string
  time: number
  /** The version of the event type's schema, where it is not 1. */
  schema?: number
}

/** An event that is text already, but for its version, which only the transaction knows. */
export interface EventText {
  readonly type: string
  readonly stream: string
  readonly id: string
  /** The caller knows this id and may append it again. Ids that this package made have no characters to escape. */
  readonly idGiven: boolean
  readonly time: number
  readonly schema: number
  /** JSON. */
  readonly data: string
  readonly meta: string | undefined
}

/** How much of a record an event fills, in characters. What else belongs to it is little, and bounded. */
export const weightOf = ({ data, meta }: EventText): number => data.length + (meta?.length ?? 0)

/** The events one after the other, each with all that belongs to it, as a JSON array. */
export const rowsFormat = 1
/** Columns, as a JSON object: half the time to read, and less space. */
export const columnsFormat = 2

/** Fewer events than these are read as fast when they follow each other, and written faster. */
const fewestInColumns = 4

const idText = ({ id, idGiven }: EventText): string => (idGiven ? JSON.stringify(id) : `"${id}"`)
const list = (texts: readonly (string | number)[]): string => `[${texts.join(',')}]`

/** One event with its version, as JSON. */
export function rowText(event: EventText, version: number): string {
  const { type, stream, time, schema, data, meta } = event
  return `{"type":${JSON.stringify(type)},"data":${data}${meta === undefined ? '' : `,"meta":${meta}`},"stream":${JSON.stringify(stream)},"id":${idText(event)},"time":${time}${
    schema === 1 ? '' : `,"schema":${schema}`
  },"version":${version}}`
}

/** The events of a record, with the version of each. Records of today's columns name their format, others need not. */
export function eventsText(
  events: readonly EventText[],
  versions: readonly number[],
): { events: string; format?: number } {
  if (events.length < fewestInColumns)
    return { events: list(events.map((event, index) => rowText(event, versions[index] as number))) }
  const types = dictionary(events.map(({ type }) => type))
  const streams = dictionary(events.map(({ stream }) => stream))
  const schema = oneOrList(events.map(({ schema }) => schema))
  const metas: string[] = []
  for (const [index, { meta }] of events.entries()) if (meta !== undefined) metas.push(`"${index}":${meta}`)
  return {
    // Put together by hand: `JSON.stringify` would ask arrays for a `toJSON` that a library may have given them (H2).
    events: `{"types":${types.words},"type":${types.places},"streams":${streams.words},"stream":${streams.places},"version":${list(versions)},"id":${list(
      events.map(idText),
    )},"time":${oneOrList(events.map(({ time }) => time))}${schema === '1' ? '' : `,"schema":${schema}`},"data":${list(
      events.map(({ data }) => data),
    )}${metas.length === 0 ? '' : `,"meta":{${metas.join(',')}}`}}`,
    format: columnsFormat,
  }
}

/** Each word once, and the index of each of the given ones among them, as JSON. */
function dictionary(words: readonly string[]): { words: string; places: string } {
  const known = new Map<string, number>()
  const places = words.map((word) => {
    const place = known.get(word) ?? known.size
    if (place === known.size) known.set(word, place)
    return place
  })
  return { words: list([...known.keys()].map((word) => JSON.stringify(word))), places: list(places) }
}

/** What all have in common is said once. */
function oneOrList(numbers: readonly number[]): string {
  return numbers.every((number) => number === numbers[0]) ? String(numbers[0]) : list(numbers)
}

interface Columns {
  readonly types: readonly string[]
  /** Which of `types` each event has. */
  readonly type: readonly number[]
  readonly streams: readonly string[]
  /** Which of `streams` each event is in. */
  readonly stream: readonly number[]
  readonly version: readonly number[]
  readonly id: readonly string[]
  /** Of each event, or of all. */
  readonly time: readonly number[] | number
  /** Of each event, or of all; 1 where it is missing. */
  readonly schema?: readonly number[] | number
  readonly data: readonly unknown[]
  /** By the index of the event, where it has any. */
  readonly meta?: Readonly<Record<number, unknown>>
}

/**
 * The events of a record that begins at a position; nothing if the text is JSON, but holds something else. Single
 * events may be anything.
 *
 * @throws SyntaxError if it is no JSON
 */
export function eventsOf(text: string, at: number, format: number = rowsFormat): StoredEvent[] | undefined {
  const parsed: unknown = JSON.parse(text)
  if (format === columnsFormat) return fromColumns(parsed, at)
  if (!Array.isArray(parsed)) return undefined
  for (let index = 0; index < parsed.length; index += 1)
    if (isObject(parsed[index])) (parsed[index] as StoredEvent).position = at + index
  return parsed as StoredEvent[]
}

function fromColumns(parsed: unknown, at: number): StoredEvent[] | undefined {
  const { types, type, streams, stream, version, id, time, schema = 1, data, meta } = (parsed ?? {}) as Columns
  if (![types, streams].every(Array.isArray) || !Array.isArray(data)) return undefined
  const { length } = data
  const fits = (column: unknown) => Array.isArray(column) && column.length === length
  if (
    ![type, stream, version, id].every(fits) ||
    ![time, schema].every((column) => typeof column === 'number' || fits(column))
  )
    return undefined
  const events: StoredEvent[] = []
  for (let index = 0; index < length; index += 1) {
    const name = types[type[index] as number]
    const where = streams[stream[index] as number]
    if (name === undefined || where === undefined) return undefined
    const when = typeof time === 'number' ? time : (time[index] as number)
    // Written out twice: an object that is made with all of its properties is smaller, and its kin look the same to the
    // engine.
    const event: StoredEvent =
      meta === undefined || !Object.hasOwn(meta, index)
        ? {
            type: name,
            data: data[index],
            stream: where,
            id: id[index] as string,
            time: when,
            version: version[index] as number,
            position: at + index,
          }
        : {
            type: name,
            data: data[index],
            meta: meta[index],
            stream: where,
            id: id[index] as string,
            time: when,
            version: version[index] as number,
            position: at + index,
          }
    const kept = typeof schema === 'number' ? schema : (schema[index] as number)
    if (kept !== 1) event.schema = kept
    events.push(event)
  }
  return events
}
