/** A synced store takes nothing that a server may find too large later. */
import { InvalidEventError } from '../errors.js'
import { weightOf } from '../log/record/record-text.js'
import type { PreparedAppend } from '../log/prepared-append.js'
import { say } from '../messages.js'
import { leastLimits, maxDepth } from '../wire/protocol.js'
import { eventText, utf8, wireSize } from './commit-text.js'
import type { OutboxRow } from './sync-state.js'

/** Kept for what a commit requires: 1,000 ids. More is added when it is given back to a restored server. */
const reserve = 128 * 1024

/** @throws InvalidEventError for an append that is too large to be pushed */
export function assertFits({ events, pathOf }: Pick<PreparedAppend, 'events' | 'pathOf'>): void {
  const { commitEvents, eventBytes, commitBytes } = leastLimits
  if (events.length > commitEvents)
    throw new InvalidEventError(
      pathOf(commitEvents),
      say`is one event too many: a commit of a synced store has at most ${commitEvents}. Use several appends.`,
    )
  let bytes = 0
  for (const [index, event] of events.entries()) {
    if (weightOf(event) > eventBytes)
      throw new InvalidEventError(
        pathOf(index),
        say`is larger than ${eventBytes} characters of JSON, the most that a synced store takes. Store large content elsewhere and refer to it.`,
      )
    if (isDeep(event.data) || isDeep(event.meta))
      throw new InvalidEventError(pathOf(index), say`is nested more than ${maxDepth} deep.`)
    bytes += utf8(eventText(event))
    if (bytes > commitBytes - reserve)
      throw new InvalidEventError(
        pathOf(index),
        say`makes the commit larger than ${commitBytes - reserve} bytes, the most that a synced store takes. Use several appends.`,
      )
  }
}

/**
 * The same for all of a commit: the names of what it expects, and of its condition, may be larger than its events.
 *
 * @throws InvalidEventError
 */
export function assertRowFits(row: OutboxRow): OutboxRow {
  const { commitBytes } = leastLimits
  if (wireSize(row) > commitBytes)
    throw new InvalidEventError(
      'writes',
      say`with all streams, events and types that are expected are larger than ${commitBytes} bytes, the most that a server has to take.`,
    )
  return row
}

function isDeep(text = ''): boolean {
  if (text.length <= 2 * maxDepth) return false
  let depth = 0
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at]
    if (sign === '"') at = endOfString(text, at)
    else if (sign === '{' || sign === '[') {
      depth += 1
      if (depth > maxDepth) return true
    } else if (sign === '}' || sign === ']') depth -= 1
  }
  return false
}

/** Where a string ends: most of a large text is in strings, which engines search many times as fast. */
function endOfString(text: string, begin: number): number {
  for (let end = text.indexOf('"', begin + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text[end - 1 - escapes] === '\\') escapes += 1
    if (escapes % 2 === 0) return end
  }
  return text.length
}
