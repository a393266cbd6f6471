// The smallest real server of a synced app: a log per household, each in a file, behind tokens. `npm start`
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { checkCommit, defineEvents } from 'tidemark'
import { nodeListener, openFileLogStore } from 'tidemark/file'
import { serverLog, syncHandler } from 'tidemark/server'

const { PORT = '8787', HOST = '127.0.0.1', FOLDER = 'logs', ORIGIN = 'http://localhost:5173' } = process.env

// Of a real app they come from its sessions, and the households from its database.
const users = new Map([
  ['token-of-anna', { name: 'anna', household: 'green-street' }],
  ['token-of-bert', { name: 'bert', household: 'green-street' }],
  ['token-of-carl', { name: 'carl', household: 'mill-lane' }],
])

mkdirSync(FOLDER, { recursive: true })
const households = new Map()
for (const household of new Set([...users.values()].map((user) => user.household))) {
  const store = await openFileLogStore({ path: join(FOLDER, `${household}.log`) })
  households.set(household, { store, log: serverLog(store) })
}

// The events of the app, examples/shared/todo.ts. A device may push any other one: it would stop all devices.
const events = defineEvents({ TodoAdded: {}, TodoRenamed: {}, TodoDone: {}, TodoReopened: {}, TodoDeleted: {} })

const problem = (status, code, message) => Response.json({ code, message }, { status })

const handler = syncHandler({
  origins: [ORIGIN],
  // Who is it, and may they use this log? The address of a log is /logs/<household>.
  open(request) {
    const user = users.get(request.headers.get('Authorization')?.replace(/^Bearer /, '') ?? '')
    if (user === undefined) return problem(401, 'unauthorized', 'Sign in first.')
    const [, , household] = new URL(request.url).pathname.split('/')
    if (household !== user.household) return problem(403, 'forbidden', 'It is the log of another household.')
    return { log: households.get(household).log, author: user.name }
  },
  // What every device must keep to, also one that somebody else wrote. A refusal is final: the device shows it to its user.
  async accept(commit) {
    const unknown = await checkCommit(events, commit)
    if (unknown) return unknown
    for (const { type, data } of commit.events)
      if (/^Todo(Added|Renamed)$/.test(type) && !(typeof data?.title === 'string' && data.title.length <= 200))
        return { code: 'title-too-long', message: 'A title has at most 200 characters.' }
  },
})

const server = createServer(nodeListener(handler))
server.listen(Number(PORT), HOST, () =>
  console.log(`Logs are served at http://${HOST}:${server.address().port}/logs/<household>`),
)

// What devices have been told is on the disk already. Closing only lets the next process begin without a wait.
async function end() {
  server.close()
  server.closeAllConnections()
  for (const { store } of households.values()) await store.close()
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end)
// Such as a port that is taken.
server.once('error', ({ message }) => {
  console.error(`The server does not start: ${message}. Another port: PORT=8788 npm start`)
  process.exitCode = 1
  return end()
})
