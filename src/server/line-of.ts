/** An event as it is pulled. */
import type { EventText } from '../log/record/record-text.js'

/** One line, without the line feed: JSON has line feeds in no string, and here nowhere else. */
export function lineOf(
  { stream, type, schema, id, time, data, meta }: Omit<EventText, 'idGiven'>,
  position: number,
  commit: number,
  version: number,
): string {
  const named = { position, commit, stream, version, type, schema: schema === 1 ? undefined : schema, id, time }
  return `${JSON.stringify(named).slice(0, -1)},"data":${data}${meta === undefined ? '' : `,"meta":${meta}`}}`
}
