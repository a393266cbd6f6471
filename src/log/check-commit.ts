/** Events that come from outside, such as those that a device pushes, compared with the definitions of the app. */
import { hasCode, messageOf } from '../errors.js'
import { say } from '../messages.js'
import { catalogueCore } from '../events/catalogue.js'
import type { EventCatalogue } from '../events/catalogue-types.js'
import { propertyPath } from '../events/json.js'
import { onlyKnown } from '../platform/arguments.js'
import { isEncoded } from './encode.js'

/** What {@link checkEvent} and {@link checkCommit} take of an event. */
export interface UncheckedEvent {
  readonly type: string
  /** @default 1 */
  readonly schema?: number | undefined
  readonly data: unknown
}

/** Options of {@link checkEvent} and {@link checkCommit}. */
export interface CheckOptions {
  /**
   * Whether the devices have a codec. Then `data` must be what a codec made, and is not looked into. Otherwise it must not
   * look like that: devices without a codec could not read it. @default false
   */
  readonly codec?: boolean
}

/** Why an event must not be in the log. It is what `accept` of a server may return. */
export interface EventProblem {
  /**
   * `'newer-event'` for a type or a version that the definitions do not have: a mistake, or a newer build of the app.
   * `'invalid-event'` for everything else.
   */
  readonly code: 'newer-event' | 'invalid-event'
  /** For people: which event, and what is wrong with it. Empty of explanations in the production build. */
  readonly message: string
}

/**
 * Returns why the app cannot read an event that comes from outside, or `undefined` if it can. It can if the type and the
 * version are defined, the data can be upcast and then fits its schema, and the data is encoded by a codec exactly if
 * `codec` says so. Types without a schema take any data. Without definitions (`defineEvents<E>()`) every type is taken, and
 * the version must be 1.
 *
 * A schema has to take what it returns: one that changes its own output, such as euros into cents, refuses what its
 * creators made. Check the data of such a type yourself.
 *
 * @throws InvalidArgumentError for a catalogue that is not of `defineEvents`, and for unknown options
 */
export async function checkEvent(
  events: EventCatalogue,
  event: UncheckedEvent,
  options: CheckOptions = {},
): Promise<EventProblem | undefined> {
  return await problemOf(events, event, 'event', options)
}

/**
 * {@link checkEvent} for all events of a commit: the problem of the first one that has one. Call it first in `accept` of a
 * server, so that no device puts an event into the log which all others stop at.
 *
 * @example
 * const accept = async (commit) => {
 *   const problem = await checkCommit(events, commit)
 *   if (problem) return problem
 * }
 *
 * @throws InvalidArgumentError as {@link checkEvent}
 */
export async function checkCommit(
  events: EventCatalogue,
  commit: { readonly events: readonly UncheckedEvent[] },
  options: CheckOptions = {},
): Promise<EventProblem | undefined> {
  for (const [index, event] of commit.events.entries()) {
    const problem = await problemOf(events, event, propertyPath('events', index), options)
    if (problem !== undefined) return problem
  }
  return undefined
}

async function problemOf(
  events: EventCatalogue,
  { type, schema = 1, data }: UncheckedEvent,
  path: string,
  options: CheckOptions,
): Promise<EventProblem | undefined> {
  onlyKnown(options, ['codec'])
  const core = catalogueCore(events)
  const problem = (code: EventProblem['code'], message: string): EventProblem => ({ code, message })
  if (core.types?.has(type) === false)
    return problem('newer-event', say`${path} has the type '${type}', which is not defined here.`)
  const version = core.schemaVersion(type)
  if (schema > version)
    return problem(
      'newer-event',
      say`${path} has version ${schema} of '${type}', and versions up to ${version} are defined here.`,
    )
  const { codec = false } = options
  if (isEncoded(data) !== codec)
    return problem(
      'invalid-event',
      codec ? say`${path} has data that no codec made.` : say`${path} has data that a codec made.`,
    )
  if (codec) return undefined
  try {
    await core.validate(type, core.restore(type, schema, data, 0), path)
    return undefined
  } catch (error) {
    if (!hasCode(error, 'invalid-event') && !hasCode(error, 'event-unreadable')) throw error
    return problem('invalid-event', say`${path} is not as '${type}' is defined: ${messageOf(error)}`)
  }
}
