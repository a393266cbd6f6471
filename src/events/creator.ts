/** The functions of a catalogue that create events. */
import { InvalidEventError } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { systemTime } from '../platform/clock.js'
import { isRefusedPromise } from '../platform/promises.js'
import type { KnownType } from './definition.js'
import { createId } from './identifier.js'
import { toJsonText } from './json.js'
import { assertEventId } from './names.js'
import { keeps, markOf, runSchema, textBefore } from './schema.js'

export type AnyCreator = (data: unknown, options?: { id?: unknown; meta?: unknown }) => object

export function creatorOf(
  type: string,
  { validate, version }: Pick<KnownType, 'validate' | 'version'> = { validate: undefined, version: 1 },
): AnyCreator {
  return (data, options = {}) => {
    onlyKnown(options, ['id', 'meta'])
    const { id, meta } = options
    if (id !== undefined) assertEventId(id, 'id')
    const given = validate === undefined ? undefined : textBefore(data)
    const value = validate === undefined ? data : runSchema(validate, data, 'data')
    if (isRefusedPromise(value)) {
      throw new InvalidEventError(
        'data',
        say`cannot be validated synchronously, because the schema of '${type}' is asynchronous. Append { type: '${type}', data } instead.`,
      )
    }
    const text = toJsonText(value, 'data')
    if (meta !== undefined) toJsonText(meta, 'meta')
    const event = { type, data: value, id: id ?? createId(systemTime()), ...(meta === undefined ? {} : { meta }) }
    // `append` checks the event again, unless the schema would change or refuse its own output: such an event carries a
    // mark.
    return validate === undefined || keeps(validate, data, given, value, 'data') === true
      ? event
      : { ...event, checked: markOf(type, version, text) }
  }
}
