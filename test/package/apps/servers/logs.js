// A server of logs in memory, each with a name in the path: what every runtime serves.
import { memoryLogStore, serverLog, syncHandler } from 'tidemark/server'

const logs = new Map()

export function logOf(name) {
  const log = logs.get(name) ?? serverLog(memoryLogStore({ log: `log-${name}` }))
  logs.set(name, log)
  return log
}

/** `find`: the log of a name, or a promise of it. */
export const handlerOf = (find) =>
  syncHandler({
    async open(request) {
      const user = request.headers.get('X-User')
      if (user === null) return Response.json({ code: 'unauthorized', message: 'Who are you?' }, { status: 401 })
      return { log: await find(new URL(request.url).pathname.split('/')[2]), author: decodeURIComponent(user) }
    },
    accept: ({ events }) =>
      events.some(({ type }) => type === 'Refused') ? { code: 'by-rule', message: 'It is refused.' } : undefined,
  })

export const handler = handlerOf(logOf)
