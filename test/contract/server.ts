/** Servers for the contract: logs in memory, each with a name in the path. */
import { memoryLogStore, serverLog, syncHandler, type MemoryLogStore } from 'tidemark/server'
import type { ServerSubject } from 'tidemark/testing'
import { refusalOf } from '../support/refusing.js'

/** The server of a test, and how it is reached. */
export function memoryServer() {
  const stores = new Map<string, MemoryLogStore>()
  const storeOf = (name: string) => {
    const store = stores.get(name) ?? memoryLogStore({ log: `log-${name}` })
    stores.set(name, store)
    return store
  }
  const handler = syncHandler({
    origins: ['https://shop.example'],
    open(request) {
      const user = request.headers.get('X-User')
      if (user === null) return Response.json({ code: 'unauthorized', message: 'Who are you?' }, { status: 401 })
      const [, , name = ''] = new URL(request.url).pathname.split('/')
      return { log: serverLog(storeOf(name)), author: decodeURIComponent(user) }
    },
    accept: async ({ events }) => {
      // As a server that asks a database.
      await new Promise((resolve) => setTimeout(resolve, 0))
      return refusalOf(events)
    },
  })
  const subject = (base: string, fetch: typeof globalThis.fetch): ServerSubject => ({
    url: `${base}/logs/one`,
    otherUrl: `${base}/logs/two`,
    headers: (author) => ({ 'X-User': encodeURIComponent(author) }),
    unknown: {},
    refusedType: 'Refused',
    // A page cannot say where it is from.
    ...('document' in globalThis ? {} : { origin: 'https://shop.example' }),
    fetch,
    restart: () => {
      storeOf('one').renewEpoch()
      return Promise.resolve()
    },
    backup: () => {
      const backup = storeOf('one').snapshot()
      return Promise.resolve(() => {
        storeOf('one').restore(backup)
        return Promise.resolve()
      })
    },
    dispose: () => Promise.resolve(),
  })
  return { handler, subject }
}
