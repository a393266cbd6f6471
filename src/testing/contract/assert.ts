/** The few assertions that the contract suites need, so that they run under any test runner, or none. */
import { describe } from '../../errors.js'

/** Fails unless the condition holds. */
export function ok(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`Expected ${what}`)
}

/** With what test runners show as a difference. */
const failure = (message: string, actual: unknown, expected: unknown, options?: ErrorOptions): Error =>
  Object.assign(new Error(message, options), { actual, expected })

/** Fails unless both have the same structure and values. Prototypes do not count. */
export function equal(actual: unknown, expected: unknown, what: string): void {
  if (!same(actual, expected))
    throw failure(`Expected ${what} to be ${show(expected)}, not ${show(actual)}`, actual, expected)
}

/**
 * Fails unless the promise rejects with an error of one of the codes (or names, for platform errors); returns the
 * error.
 */
export async function rejects(
  work: () => unknown,
  codes: string | readonly string[],
  what: string,
): Promise<Record<string, unknown>> {
  const wanted = typeof codes === 'string' ? [codes] : codes
  const expected = wanted.join(' or ')
  let answer: unknown
  try {
    answer = await work()
  } catch (error) {
    const { code, name } = error as { code?: unknown; name?: unknown }
    if (wanted.includes(code as string) || wanted.includes(name as string)) return error as Record<string, unknown>
    const message = `Expected ${what} to be refused with ${expected}, not ${String(error)}`
    throw failure(message, code ?? name ?? error, expected, { cause: error })
  }
  throw failure(
    `Expected ${what} to be refused with ${expected}, but it resolved with ${show(answer)}`,
    answer,
    expected,
  )
}

/** Everything that an iterable yields. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (
    typeof a !== 'object' ||
    typeof b !== 'object' ||
    a === null ||
    b === null ||
    Array.isArray(a) !== Array.isArray(b)
  )
    return false
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every(
      (key) => Object.hasOwn(b, key) && same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
    )
  )
}

function show(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined
  return text === undefined ? describe(value) : text.length > 400 ? `${text.slice(0, 400)}…` : text
}
