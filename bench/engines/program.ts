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

export function done(result: object): never {
  console.log(JSON.stringify(result))
  process.exit()
}

export function percentile(values: Iterable<number>, share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted.length === 0 ? NaN : (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number)
}

export const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms))
