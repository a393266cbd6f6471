/** How a page asks a worker of any kind: one message with a port of its own for the one answer. */
import * as core from 'tidemark'
import * as sync from 'tidemark/sync'

/** The package, with the entry for stores that are synced. */
export const tidemark = { ...core, sync }

export type Tidemark = typeof tidemark

export interface RpcRequest {
  readonly method: string
  readonly args: readonly unknown[]
}

export type RpcResponse = { readonly result: unknown } | { readonly error: Readonly<Record<string, unknown>> }

/** Kept between calls of `run` in one realm: stores, projections, whatever a test opens. */
const state: Record<string, any> = {}

const methods: Record<string, (...args: any[]) => unknown> = {
  ping: () => 'pong',
  exports: () => Object.keys(core),
  run,
}

/** Runs the source of a function `(tidemark, arg, state) => …` in this realm. */
export async function run(source: string, arg: unknown): Promise<unknown> {
  return (0, eval)(`(${source})`)(tidemark, arg, state)
}

/** Answers requests that arrive as messages of `target`. */
export function serve(target: EventTarget): void {
  target.addEventListener('message', (event) => {
    const { data, ports } = event as MessageEvent<RpcRequest>
    const [port] = ports
    if (!port) return
    const answered = answer(data).then((response) => port.postMessage(response))
    // A service worker must stay alive until it has answered.
    if ('waitUntil' in event && typeof event.waitUntil === 'function') event.waitUntil(answered)
  })
}

export function ask(
  target: { postMessage(message: unknown, transfer: Transferable[]): void },
  method: string,
  args: readonly unknown[],
): Promise<unknown> {
  const { port1, port2 } = new MessageChannel()
  return new Promise((resolve, reject) => {
    port1.onmessage = ({ data }: MessageEvent<RpcResponse>) => {
      port1.close()
      if ('error' in data) reject(Object.assign(new Error(String(data.error['message'])), data.error))
      else resolve(data.result)
    }
    target.postMessage({ method, args } satisfies RpcRequest, [port2])
  })
}

async function answer({ method, args }: RpcRequest): Promise<RpcResponse> {
  try {
    const known = methods[method]
    if (!known) throw new Error(`No method '${method}'`)
    return structuredClone({ result: await known(...args) })
  } catch (error) {
    return { error: describe(error) }
  }
}

/** Structured clone drops the own fields of an error (`code`, `outcome`), and throws at some causes. */
function describe(error: unknown): Readonly<Record<string, unknown>> {
  if (!(error instanceof Error)) return { name: 'NotAnError', message: String(error) }
  const fields = Object.entries(error).filter(([, value]) => typeof value !== 'object' && typeof value !== 'function')
  return { ...Object.fromEntries(fields), name: error.name, message: error.message, stack: error.stack }
}
