import {
  memoryLogStore,
  serverLog,
  syncHandler,
  type PushAnswer,
  type SyncHandlerOptions,
  type WireCommit,
  type WireEvent,
} from 'tidemark/server'

export const event = (id: string, more: Partial<WireEvent> = {}): WireEvent => ({
  stream: 's',
  type: 'A',
  id,
  time: 1,
  data: id,
  ...more,
})

export const commit = (id: string, more: Partial<WireCommit> = {}): WireCommit => ({ events: [event(id)], ...more })

/** A log in memory behind a handler; the author is what `Authorization` says. */
export function served(options: Partial<SyncHandlerOptions<{ role: string }>> = {}) {
  const store = memoryLogStore()
  const log = serverLog(store)
  const handler = syncHandler({
    open: (request) => ({
      log,
      author: request.headers.get('Authorization') ?? 'anna',
      claims: { role: 'tester' },
    }),
    ...options,
  })
  const send = (path: string, init: RequestInit & { duplex?: 'half' } = {}) =>
    handler(
      new Request(`http://localhost/log/${path}`, { ...init, headers: { 'Tidemark-Sync': '1', ...init.headers } }),
    )
  const identity = async () => {
    const { log: id, epoch } = await store.identity()
    return `${id}/${epoch}`
  }
  const post = async (body: BodyInit, headers: Record<string, string> = {}) =>
    await send('push', {
      method: 'POST',
      body,
      duplex: 'half',
      headers: { 'Content-Type': 'application/json', 'Tidemark-Log': await identity(), ...headers },
    })
  const push = async (...commits: WireCommit[]) => {
    const response = await post(JSON.stringify({ commits }))
    return { status: response.status, response, body: (await response.json()) as PushAnswer }
  }
  const ids = async () => (await store.read(0, Infinity)).flatMap(({ events }) => events.map(({ id }) => id))
  return { store, log, handler, send, post, push, identity, ids }
}
