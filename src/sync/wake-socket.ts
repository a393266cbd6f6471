/** The hints of the server over a WebSocket, which a server may keep open while it sleeps. */
import type { Clock } from '../platform/clock.js'
import { feature } from '../platform/features.js'

/** How often the device says that it is there, ms: nothing on the way ends a connection that is used. */
const betweenPings = 25_000
/** A server that was silent for this long is given up, ms. */
const longestSilence = 60_000

/**
 * Opens a WebSocket and reads it until it ends, however it does.
 *
 * @param told `onText` is called with each message that is no reply to a ping
 * @returns how long after it was opened something came by it, ms. Undefined if it never was open: there may be none
 *   here, or something on the way allows none
 */
export function followWakeSocket(
  address: string,
  clock: Clock,
  told: { readonly onOpen: () => void; readonly onText: (text: string) => void },
  signal: AbortSignal,
): Promise<number | undefined> {
  const socket = connect(address)
  if (socket === undefined) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    let opened = 0
    let heardFor: number | undefined
    let silence = () => {}
    let pings = () => {}
    const end = () => {
      silence()
      pings()
      signal.removeEventListener('abort', end)
      for (const name of names) socket.removeEventListener(name, listeners[name])
      // One that is not open yet, too.
      socket.close()
      resolve(heardFor)
    }
    const heard = () => {
      silence()
      silence = clock.schedule(longestSilence, end)
    }
    const ping = () => {
      socket.send('ping')
      pings = clock.schedule(betweenPings, ping)
    }
    const listeners = {
      open: () => {
        opened = clock.monotonic()
        heardFor = 0
        heard()
        pings = clock.schedule(betweenPings, ping)
        told.onOpen()
      },
      message: ({ data }: Event & { readonly data?: unknown }) => {
        heardFor = clock.monotonic() - opened
        heard()
        if (typeof data === 'string' && data !== 'pong') told.onText(data)
      },
      error: end,
      close: end,
    }
    const names = ['open', 'message', 'error', 'close'] as const
    for (const name of names) socket.addEventListener(name, listeners[name])
    heard()
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
  })
}

function connect(address: string): WebSocket | undefined {
  const base = feature((here) => here.location.href)
  return feature(({ WebSocket }) => {
    const url = new URL(address, base)
    url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:'
    return new WebSocket(url.href)
  })
}
