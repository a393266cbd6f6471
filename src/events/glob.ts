/** Patterns over whole stream names. */
import { InvalidNameError } from '../errors.js'
import { say } from '../messages.js'

/** Limits the work of one match: pattern length times name length at worst. */
const longestPattern = 1000

/**
 * Compiles a pattern to a test for names: `*` is any run of characters (also across `/`), `?` is exactly one UTF-16
 * code unit, `[abc]`, `[a-z]` and `[!a-z]` are one of (or not of) a set. Everything else stands for itself.
 *
 * @throws InvalidNameError for an empty pattern, a `[` that is not closed, and a set that is empty or runs backwards
 */
export function compileGlob(pattern: string): (name: string) => boolean {
  const parts = parse(pattern)
  return (name) => matches(parts, name)
}

/** One unit of the name: the code unit itself, any (`?`), or one of a set. `'run'` is `*`. */
type Part = number | 'any' | 'run' | UnitSet

interface UnitSet {
  readonly negated: boolean
  readonly ranges: readonly (readonly [from: number, to: number])[]
}

// Not a RegExp: its backtracking is exponential for patterns such as `*a*a*a*b`. Here only the last `*` is ever
// tried again, because an earlier one that took more could not make a match that the last one cannot.
function matches(parts: readonly Part[], name: string): boolean {
  let at = 0
  let part = 0
  let runPart = -1
  let runAt = 0
  while (at < name.length) {
    const wanted = parts[part]
    if (wanted === 'run') {
      runPart = part
      runAt = at
      part += 1
    } else if (wanted !== undefined && fits(wanted, name.charCodeAt(at))) {
      at += 1
      part += 1
    } else if (runPart >= 0) {
      runAt += 1
      at = runAt
      part = runPart + 1
    } else {
      return false
    }
  }
  while (parts[part] === 'run') part += 1
  return part === parts.length
}

function fits(part: Exclude<Part, 'run'>, unit: number): boolean {
  if (typeof part === 'number') return part === unit
  if (part === 'any') return true
  return part.ranges.some(([from, to]) => from <= unit && unit <= to) !== part.negated
}

function parse(pattern: string): Part[] {
  const refuse = (problem: string) => new InvalidNameError(say`Stream pattern`, pattern, problem)
  if (typeof pattern !== 'string') throw refuse(say`must be a string.`)
  if (pattern === '') throw refuse(say`must not be empty. Use '*' for every stream.`)
  if (pattern.length > longestPattern) throw refuse(say`must have at most ${longestPattern} characters.`)
  const parts: Part[] = []
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern[at]
    if (character === '*') {
      if (parts.at(-1) !== 'run') parts.push('run')
    } else if (character === '?') {
      parts.push('any')
    } else if (character === '[') {
      const end = pattern.indexOf(']', at)
      if (end < 0) throw refuse(say`must close its '[' with a ']'.`)
      const negated = pattern[at + 1] === '!'
      const members = pattern.slice(at + (negated ? 2 : 1), end)
      if (members === '') throw refuse(say`must name a character between '[' and ']'.`)
      const ranges = rangesOf(members)
      if (ranges.some(([from, to]) => from > to))
        throw refuse(say`must not have a range that runs backwards, as in '[${members}]'.`)
      parts.push({ negated, ranges })
      at = end
    } else {
      parts.push(pattern.charCodeAt(at))
    }
  }
  return parts
}

/** A `-` at either end of the set means itself. */
function rangesOf(members: string): [number, number][] {
  const ranges: [number, number][] = []
  for (let at = 0; at < members.length; at += 1) {
    const from = members.charCodeAt(at)
    const isRange = members[at + 1] === '-' && at + 2 < members.length
    ranges.push([from, isRange ? members.charCodeAt(at + 2) : from])
    if (isRange) at += 2
  }
  return ranges
}
