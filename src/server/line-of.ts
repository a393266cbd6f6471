/** An event as it is pulled. */
import type { EventText } from '../log/record/record-text.js'

/** One line, without the line feed: JSON has line feeds in no string, and here nowhere else. */
export function lineOf(
  { stream, type, schema, id, time, data, meta }: Omit<EventText, 'idGiven'>,
  position: number,
  commit: number,
  version: number,
): string {
  return (
    `{"position":${position},"commit":${commit},"stream":${JSON.stringify(stream)},"version":${version}` +
    `,"type":${JSON.stringify(type)}${schema === 1 ? '' : `,"schema":${schema}`},"id":${JSON.stringify(id)}` +
    `,"time":${time},"data":${data}${meta === undefined ? '' : `,"meta":${meta}`}}`
  )
}
