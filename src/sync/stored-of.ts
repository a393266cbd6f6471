/** Events of the outbox as the log would hold them, and back. */
import { toJsonText } from '../events/json.js'
import type { EventText, StoredEvent } from '../log/record/record-text.js'

export const storedOf = (
  { type, stream, id, time, schema, data, meta }: EventText,
  version: number,
  position: number,
): StoredEvent => ({
  type,
  data: JSON.parse(data) as unknown,
  ...(meta !== undefined && { meta: JSON.parse(meta) as unknown }),
  stream,
  version,
  position,
  id,
  time,
  ...(schema !== 1 && { schema }),
})

/** @throws InvalidEventError for data that is no JSON */
export const textOf = ({
  type,
  stream,
  id,
  time,
  schema = 1,
  data,
  meta,
}: Omit<StoredEvent, 'version' | 'position'>): EventText => ({
  type,
  stream,
  id,
  idGiven: true,
  time,
  schema,
  data: toJsonText(data, 'data'),
  meta: meta === undefined ? undefined : toJsonText(meta, 'meta'),
})
