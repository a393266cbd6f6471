/** What is pushed to engines of servers: events of some 240 bytes as they are pulled, those of a commit in one stream. */
import { createId } from '../../src/events/identifier.js'
import type { WireCommit } from 'tidemark/server'

/** When the first event was made. */
const began = 1_795_000_000_000

/** Of the last commit: a device makes no two in a millisecond, and never goes back. */
let time = began

/** The n-th commit, from 0. Ids are new in each call. */
export function commitOf(n: number, size: number): WireCommit {
  const stream = `cart-${n % 400}`
  time += 1
  const made = time
  return {
    events: Array.from({ length: size }, (_, index) => {
      const at = n * size + index
      return {
        stream,
        type: 'ItemAdded',
        id: createId(made),
        time: made,
        data: itemOf(at),
      }
    }),
  }
}

export function itemOf(n: number) {
  return {
    sku: `SKU-${n % 500}`,
    quantity: 1 + (n % 7),
    price: { amount: 1999 + n, currency: 'EUR' },
    note: `customer said ${n}`,
  }
}

/** All commits, divided into pushes. */
export function bodiesOf(events: number, size: number, perPush: number): { readonly commits: WireCommit[] }[] {
  const count = Math.ceil(events / size)
  return Array.from({ length: Math.ceil(count / perPush) }, (_, push) => ({
    commits: Array.from({ length: Math.min(perPush, count - push * perPush) }, (_unused, index) =>
      commitOf(push * perPush + index, size),
    ),
  }))
}

/** What a program pushes. `'raw'`: to what was written by hand, without the rules of a server. */
export interface PushWork {
  readonly kind: 'push' | 'raw'
  readonly log: string
  readonly events: number
  /** Of a commit. */
  readonly size: number
  readonly perPush: number
  readonly atATime: number
  /** How many events warm it up, in another log. */
  readonly warmUp: number
}

/** Sends all of them, at most `atATime` together. Returns how many there were. */
export async function sendAll<T>(
  bodies: readonly T[],
  atATime: number,
  send: (body: T) => Promise<unknown>,
): Promise<number> {
  let next = 0
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      for (let body = bodies[next++]; body !== undefined; body = bodies[next++]) await send(body)
    }),
  )
  return bodies.length
}

/** @throws Error if not every commit was accepted */
export function assertAccepted({ answers }: { readonly answers?: readonly object[] }, count: number): void {
  const other = answers?.find((answer) => !('accepted' in answer))
  if (answers?.length !== count || other !== undefined)
    throw new Error(`Not accepted: ${JSON.stringify(other ?? answers?.length)}`)
}
