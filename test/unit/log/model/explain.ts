/** Whether what callers were told, and what is in the log afterwards, can be explained by doing one operation after the other. */
import { isDeepStrictEqual } from 'node:util'
import type { Operation } from './operations.js'
import type { Answer, ReferenceEvent, ReferenceLog } from './reference-log.js'

export type Outcome = { readonly value: unknown } | { readonly error: unknown }

export interface Told {
  readonly operation: Operation
  readonly outcome: Outcome
}

const storageCodes = ['storage-failed', 'storage-full', 'storage-busy']
/** Where the storage fails again and again as it does where a value is gone, that is what callers are told (H16). */
const lossCodes = ['storage-damaged', 'event-unreadable']

/** Whether an error says that the storage failed. Of an append it must also say whether that happened (H17). */
export function isStorageFailure(error: unknown, isAppend: boolean): boolean {
  const { code, outcome, message } = error as { code?: unknown; outcome?: unknown; message?: unknown }
  return (
    (storageCodes.includes(code as string) ||
      (lossCodes.includes(code as string) && /the browser lost/i.test(String(message)))) &&
    (outcome === 'not-written' || outcome === (isAppend ? 'unknown' : undefined))
  )
}

/**
 * Looks for an order of the operations in which the reference log answers as they were answered and ends as the log was
 * found. What a storage failure left open may have happened or not.
 *
 * @returns the log as found, or `undefined` if nothing explains it
 */
export function explain(
  before: ReferenceLog,
  told: readonly Told[],
  found: ReferenceLog,
  mayFail: boolean,
): ReferenceLog | undefined {
  if (told.length === 0) return agrees(before, found) ? found : undefined
  for (const [index, { operation, outcome }] of told.entries()) {
    const others = told.filter((_, other) => other !== index)
    const { log, answer } = operation.judge(before)
    for (const next of possibleLogs(before, log, answer, outcome, operation, mayFail)) {
      const explained = explain(next, others, found, mayFail)
      if (explained !== undefined) return explained
    }
  }
  return undefined
}

function possibleLogs(
  before: ReferenceLog,
  after: ReferenceLog,
  answer: Answer,
  outcome: Outcome,
  operation: Operation,
  mayFail: boolean,
): ReferenceLog[] {
  if ('value' in outcome) return 'value' in answer && agrees(answer.value, outcome.value) ? [after] : []
  const { error } = outcome
  if (
    'error' in answer &&
    Object.entries(answer.error).every(([key, value]) => Object.is((error as Record<string, unknown>)[key], value))
  )
    return [before]
  if (!mayFail || !isStorageFailure(error, operation.append !== undefined)) return []
  return (error as { outcome?: unknown }).outcome === 'unknown' ? [after, before] : [before]
}

/** The same, except that an id which only the store knows may be any. */
function agrees(expected: unknown, actual: unknown): boolean {
  return isDeepStrictEqual(withoutOpenIds(expected, actual), actual)
}

function withoutOpenIds(expected: unknown, actual: unknown): unknown {
  if (Array.isArray(expected) && Array.isArray(actual)) {
    return expected.map((event: ReferenceEvent, index) => ({
      ...event,
      id: event.id ?? (actual[index] as ReferenceEvent | undefined)?.id,
    }))
  }
  if (typeof expected === 'object' && expected !== null && 'events' in expected) {
    return { ...expected, events: withoutOpenIds(expected.events, (actual as { events: unknown }).events) }
  }
  return expected
}
