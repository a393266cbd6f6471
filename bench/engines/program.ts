/** How a program of the bench and what measures it talk: lines of JSON. */
import { createInterface } from 'node:readline'

/** What was asked for. */
export const job = <T>(): T => JSON.parse(process.argv[2] ?? '') as T

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** Says that the clock may start, and waits until it does: what was used until then is noted meanwhile. */
export async function ready(): Promise<void> {
  console.log('{"ready":true}')
  await lines.next()
}

/**
 * Does the work once with another log, and returns it for the one that is measured when the clock may start.
 *
 * @param prepare whatever comes before the work with a log
 */
export async function warmedUp<T>(
  { log, events, warmUp }: { readonly log: string; readonly events: number; readonly warmUp: number },
  prepare: (log: string, events: number) => Promise<() => Promise<T>>,
): Promise<() => Promise<T>> {
  const warm = await prepare(`${log}-warm`, warmUp)
  await warm()
  const run = await prepare(log, events)
  await ready()
  return run
}

export function done(result: object): never {
  console.log(JSON.stringify(result))
  process.exit()
}

export function percentile(values: Iterable<number>, share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted.length === 0 ? NaN : (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number)
}

export const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms))
