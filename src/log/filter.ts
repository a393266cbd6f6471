/** Event filters, checked once and then asked for every event. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { compileGlob } from '../events/glob.js'
import { streamPrefix } from '../events/names.js'
import { onlyKnown } from '../platform/arguments.js'
import type { EventFilter } from './event-store.js'
import { isObject } from '../platform/objects.js'

/** A filter that was checked. Changing the object that it came from changes nothing. */
export interface CompiledFilter {
  /** Whether the event is one of those. */
  matches(event: { readonly type: string; readonly stream: string }): boolean
}

const known: readonly (keyof EventFilter)[] = ['types', 'streamPrefix', 'streamPattern']

/**
 * Checks a filter and makes it fast.
 *
 * @param what what messages call it
 * @throws InvalidArgumentError for anything that is not a filter; InvalidNameError for a bad prefix or pattern
 */
export function compileFilter(filter: EventFilter, what = 'filter'): CompiledFilter {
  if (!isObject(filter) || Array.isArray(filter)) {
    throw new InvalidArgumentError(what, say`must be an object such as { types: […] }, or {} for every event.`)
  }
  onlyKnown(filter, known, what)
  const { types, streamPrefix: prefix, streamPattern: pattern } = filter
  if (prefix !== undefined && pattern !== undefined) {
    throw new InvalidArgumentError(
      what,
      say`must not have both 'streamPrefix' and 'streamPattern'. A pattern may start with the prefix.`,
    )
  }
  const isType = types === undefined ? undefined : typeTest(types, what)
  const isStream = pattern !== undefined ? compileGlob(pattern) : prefix !== undefined ? prefixTest(prefix) : undefined
  return {
    matches: ({ type, stream }) =>
      (isType === undefined || isType(type)) && (isStream === undefined || isStream(stream)),
  }
}

function typeTest(types: readonly string[], what: string): (type: string) => boolean {
  if (!Array.isArray(types) || Array.from(types).some((type) => typeof type !== 'string')) {
    throw new InvalidArgumentError(`${what}.types`, say`must be a list of event types.`)
  }
  const wanted = new Set(types)
  return (type) => wanted.has(type)
}

/** Code units, as `startsWith` compares them: no wildcards, no case folding. */
function prefixTest(value: string): ((stream: string) => boolean) | undefined {
  const prefix = streamPrefix(value)
  return prefix === '' ? undefined : (stream) => stream.startsWith(prefix)
}
