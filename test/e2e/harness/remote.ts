/**
 * The harness for a driver that has no way into the browser but HTTP: it sends orders as server-sent events of the address
 * in the hash, and takes the answers as posts. See `test/ledger/remote.ts`.
 */
import { harness, type Realm } from './main.js'

/** What the driver wants done. */
export type Order = { readonly id: number } & (
  | { readonly what: 'run'; readonly realm: Realm; readonly source: string; readonly arg?: unknown }
  | { readonly what: 'terminate'; readonly realm: Realm }
  | { readonly what: 'close' }
)

export interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

const { orders, answers } = JSON.parse(decodeURIComponent(location.hash.slice(1))) as {
  readonly orders: string
  readonly answers: string
}
const events = new EventSource(orders)
// A page that came back would be taken for a new one.
events.onerror = () => events.close()
events.onmessage = async ({ data }) => {
  const order = JSON.parse(data as string) as Order
  const answer = await carryOut(order).then(
    (result): Answer => ({ id: order.id, result }),
    (error: unknown): Answer => ({ id: order.id, error: told(error) }),
  )
  // Whoever hears nothing has a limit of its own.
  await fetch(answers, { method: 'POST', mode: 'no-cors', body: JSON.stringify(answer) }).catch(() => {})
}

async function carryOut(order: Order): Promise<unknown> {
  if (order.what === 'run') return harness.run(order.realm, order.source, order.arg)
  if (order.what === 'terminate') return harness.terminate(order.realm)
  window.close()
}

/** Not every engine repeats the message in the stack. */
function told(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}\n${error.stack ?? ''}` : String(error)
}
