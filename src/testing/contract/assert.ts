/** The few assertions that the contract suites need, so that they run under any test runner, or none. */
import { describe } from '../../errors.js'
import { sameStored } from '../../read-model/equal.js'
import { bytesOf, tagOf } from '../../read-model/kinds.js'

/** Fails unless the condition holds. */
export function ok(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`Expected ${what}`)
}

/** With what test runners show as a difference. */
const failure = (message: string, actual: unknown, expected: unknown, options?: ErrorOptions): Error =>
  Object.assign(new Error(message, options), { actual, expected })

/**
 * Fails unless both are the same once they are stored: also Dates, Maps, Sets and bytes. Of a Blob size and type are
 * compared; the class of an object does not count.
 */
export function equal(actual: unknown, expected: unknown, what: string): void {
  if (!sameStored(actual, expected))
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

/** What JSON has no text for, or the same one for all of a kind. */
function readable(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value !== 'object' || value === null) return value
  const bytes = bytesOf(value)
  const parts = value instanceof Map || value instanceof Set ? [...(value as Iterable<unknown>)] : bytes && [...bytes]
  if (parts !== undefined) return { [tagOf(value).slice(8, -1)]: parts }
  if (value instanceof Blob) return `${value.size} bytes of ${value.type === '' ? 'no type' : value.type}`
  return value instanceof RegExp ? String(value) : value
}

function show(value: unknown): string {
  const text = JSON.stringify(value, readable) as string | undefined
  return text === undefined ? describe(value) : text.length > 400 ? `${text.slice(0, 400)}…` : text
}
