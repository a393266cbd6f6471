// Logs of a synced app in Durable Objects, one for each household. The Worker in front knows who asks; the object keeps the log.
import { checkCommit, defineEvents } from 'tidemark'
import { DurableObject } from 'cloudflare:workers'
import { durableLog, isTicketed } from 'tidemark/durable-object'

// Of a real app they come from its sessions, and the households from its database.
const households = new Map([
  ['anna', 'home'],
  ['bert', 'home'],
  ['carl', 'mill-lane'],
])

/** Who it is. A name is no secret: verify a session here. */
const userOf = (request) => /^Bearer (\w+)$/.exec(request.headers.get('Authorization') ?? '')?.[1]

// The events of the app, examples/shared/todo.ts. A device may push any other one: it would stop all devices.
const events = defineEvents({ TodoAdded: {}, TodoRenamed: {}, TodoDone: {}, TodoReopened: {}, TodoDeleted: {} })

const problem = (status, code, message) => Response.json({ code, message }, { status })

export class Log extends DurableObject {
  #log = durableLog(this.ctx, {
    // What the Worker below found out. Nothing but it reaches this object.
    session: (request) => ({ author: request.headers.get('X-User') }),
    // What every device must keep to, also one that somebody else wrote. A refusal is final: the device shows it to its user.
    async accept(commit) {
      const unknown = await checkCommit(events, commit)
      if (unknown) return unknown
      const titles = commit.events.map(({ data }) => data?.title ?? '')
      const isLoud = titles.some((title) => title !== title.toLowerCase() && title === title.toUpperCase())
      return isLoud ? { code: 'too-loud', message: 'This list takes no shouting.' } : undefined
    },
    origins: ['http://localhost:5173'],
    // Another one after a restore, so that devices give back what was lost.
    generation: this.env.GENERATION,
  })

  fetch(request) {
    return this.#log.fetch(request)
  }

  webSocketMessage(socket, message) {
    this.#log.webSocketMessage(socket, message)
  }

  webSocketClose(socket) {
    this.#log.webSocketClose(socket)
  }

  alarm() {
    return this.#log.alarm()
  }
}

export default {
  // The address of a log is /logs/<household>.
  async fetch(request, env) {
    const [, kind, household] = new URL(request.url).pathname.split('/')
    if (kind !== 'logs' || !household) return problem(404, 'not-found', 'There are only logs here.')
    const log = env.LOG.get(env.LOG.idFromName(household))
    // A browser asks other origins before it sends; and a WebSocket has a ticket, which the log checks.
    if (request.method === 'OPTIONS' || isTicketed(request)) return await log.fetch(request)
    const user = userOf(request)
    if (user === undefined) return problem(401, 'unauthorized', 'Sign in first.')
    if (households.get(user) !== household) return problem(403, 'forbidden', 'It is the log of another household.')
    const known = new Request(request)
    known.headers.set('X-User', user)
    return await log.fetch(known)
  },
}
