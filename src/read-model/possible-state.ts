/** Which states a build of this format can have stored. Any other state was edited, and is not used. */
import { describe, LogInconsistentError } from '../errors.js'
import { say } from '../messages.js'
import { other, stampOf, type StateRow } from './state.js'
import { isObject } from '../platform/objects.js'

/**
 * A whole number that can still be raised by one. At 2 ** 53 two epochs would look the same, and a late runner could
 * commit.
 */
export const isWhole = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < Number.MAX_SAFE_INTEGER

type Check = (value: unknown) => boolean
const isText: Check = (value) => typeof value === 'string'
const isTrue: Check = (value) => value === true
const orAbsent =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value)
const positions: Check = (value) => Array.isArray(value) && value.every((each) => isWhole(each) && each > 0)
const parts =
  (checks: { readonly [name: string]: Check }): Check =>
  (value) =>
    isObject(value) && Object.entries(checks).every(([name, check]) => check((value as Record<string, unknown>)[name]))
const faultParts = parts({
  position: isWhole,
  message: isText,
  time: (value) => typeof value === 'number',
  eventId: orAbsent(isText),
  eventType: orAbsent(isText),
})

/** What each entry of the state may be. */
const checks: { readonly [K in keyof StateRow]-?: Check } = {
  key: (value) => value === 'state',
  position: isWhole,
  epoch: isWhole,
  letters: isWhole,
  owner: isText,
  log: isText,
  fingerprint: isText,
  handles: orAbsent(isText),
  paused: (value) => typeof value === 'boolean',
  shown: (value) => value === 0 || value === 1,
  holds: orAbsent(isTrue),
  skipped: orAbsent(positions),
  carried: orAbsent(positions),
  rebuild: orAbsent(parts({ position: isWhole, letters: isWhole, holds: orAbsent(isTrue), log: orAbsent(isText) })),
  fault: orAbsent(faultParts),
  rebuildFault: orAbsent(faultParts),
  unclean: orAbsent(parts({ position: isWhole, ends: isWhole })),
  trying: orAbsent(parts({ position: isWhole, runs: isWhole })),
  code: orAbsent(parts({ text: isText, ranAt: (value) => typeof value === 'number' })),
  stamp: orAbsent(parts({ id: isText, revision: isWhole, of: isText })),
  // Rows are counted where this says nothing that can be used.
  counts: () => true,
}

/** What is wrong with a stored state, entry by entry: it was edited. */
export function impossibleIn(row: unknown): string[] {
  if (!isObject(row)) return [say`The state is ${describe(row)}, which it cannot be.`]
  const wrong = Object.entries(checks)
    .filter(([name, check]) => !check((row as Record<string, unknown>)[name]))
    .map(
      ([name]) =>
        say`The state says '${name}' is ${describe((row as Record<string, unknown>)[name])}, which it cannot be.`,
    )
  const { skipped = [], position, shown, counts } = row as StateRow
  // A later event would be left out silently.
  if (wrong.length === 0 && skipped.some((each) => each > position))
    wrong.push(say`'skipped' in the state names events beyond its position, ${position}.`)
  // A rebuild that makes the other slot the active one changes more than that.
  if (wrong.length === 0 && counts?.of === stampOf({ ...(row as StateRow), shown: other(shown) })) {
    wrong.push(say`The state says 'shown' is ${shown}, but its row counts are of the other slot.`)
  }
  return wrong
}

/**
 * @throws LogInconsistentError for a state that no build of this format stored: nothing that follows from it would be
 * true
 */
export function assertPossible(key: string, row: StateRow): StateRow {
  const [problem] = impossibleIn(row)
  if (problem === undefined) return row
  const { position } = (row ?? {}) as { readonly position?: unknown }
  throw new LogInconsistentError(
    isWhole(position) ? position : 0,
    say`The read model '${key}' was damaged. ${problem} Call deleteReadModel(), or raise 'version': it is folded again.`,
  )
}
