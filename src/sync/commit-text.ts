/** A commit as it is pushed, from what is stored as text: data is not parsed again. And how large that is. */
import type { EventText } from '../log/record/record-text.js'
import type { OutboxRow } from './sync-state.js'

const quoted = (text: string): string => JSON.stringify(text)
export const list = (texts: readonly string[]): string => `[${texts.join(',')}]`
// Not by `JSON.stringify` of a list: libraries give lists a `toJSON` (H2).
export const strings = (texts: readonly string[]): string => list(texts.map(quoted))

export function eventText({ stream, type, schema, id, time, data, meta }: EventText): string {
  const version = schema === 1 ? '' : `"schema":${schema},`
  return `{"stream":${quoted(stream)},"type":${quoted(type)},${version}"id":${quoted(id)},"time":${time},"data":${data}${
    meta === undefined ? '' : `,"meta":${meta}`
  }}`
}

function filterText({
  types,
  streamPrefix,
  streamPattern,
}: NonNullable<OutboxRow['condition']>['failIfEventsMatch']): string {
  const parts: string[] = []
  if (types !== undefined) parts.push(`"types":${strings(types)}`)
  if (streamPrefix !== undefined) parts.push(`"streamPrefix":${quoted(streamPrefix)}`)
  if (streamPattern !== undefined) parts.push(`"streamPattern":${quoted(streamPattern)}`)
  return `{${parts.join(',')}}`
}

function expectedText([stream, id, version]: OutboxRow['expect'][number]): string {
  const last = id === null ? 'null' : quoted(id)
  return `${quoted(stream)}:${id === null || version === undefined ? last : `[${last},${version}]`}`
}

/** A commit as it is pushed. */
export function commitText({ events, expect, condition, requires, healed }: OutboxRow): string {
  const parts = [`"events":${list(events.map(eventText))}`]
  if (expect.length > 0) parts.push(`"expect":{${expect.map(expectedText).join(',')}}`)
  if (condition !== undefined) {
    const { failIfEventsMatch, after, except } = condition
    const but = except.length === 0 ? '' : `,"except":${strings(except)}`
    parts.push(
      `"condition":{"failIfEventsMatch":${filterText(failIfEventsMatch)},"after":${after === null ? 'null' : quoted(after)}${but}}`,
    )
  }
  if (requires !== undefined && requires.length > 0) parts.push(`"requires":${strings(requires)}`)
  if (healed === true) parts.push('"healed":true')
  return `{${parts.join(',')}}`
}

/** How many bytes a text of JSON has in UTF-8. */
export function utf8(text: string): number {
  // Engines encode ten times as fast as this counts, but take a while to begin.
  if (text.length > 500) return new TextEncoder().encode(text).length
  let bytes = text.length
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    // Halves of a character are two bytes each.
    if (code > 0x7f) bytes += code > 0x7ff && (code < 0xd800 || code > 0xdfff) ? 2 : 1
  }
  return bytes
}

/** What belongs to a push in addition to its commits, and more. */
export const aroundPush = 40

/** The size of a commit on the wire: at least what it is, also alone in a push. */
export const wireSize = (row: OutboxRow): number => utf8(commitText(row)) + aroundPush
