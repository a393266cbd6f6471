/** Events of the outbox as the log would hold them. */
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
