// RxDB's replication over HTTP, with server-sent events, as its documentation has it; the endpoint is in server.mjs.
import { createRxDatabase } from 'rxdb'
import { replicateRxCollection } from 'rxdb/plugins/replication'
import { getRxStorageDexie } from 'rxdb/plugins/storage-dexie'
import { Subject } from 'rxjs'
import { foldedBy, identified } from './recorder.mjs'

const text = (maxLength) => ({ type: 'string', maxLength })
const number = { type: 'number' }
const schema = {
  version: 0,
  type: 'object',
  primaryKey: 'id',
  properties: {
    id: text(36),
    position: number,
    stream: text(100),
    type: text(100),
    time: number,
    data: { type: 'object' },
  },
  required: ['id', 'stream', 'type', 'data'],
}

/** More than the default of 100: fewer requests for what is long. */
const batchSize = 1000

async function open(name) {
  const db = await createRxDatabase({ name, storage: getRxStorageDexie(), multiInstance: false, eventReduce: true })
  await db.addCollections({ events: { schema } })
  return db
}

const json = async (url, init) => {
  const response = await fetch(url, init)
  if (!response.ok) throw new Error(`${url}: ${response.status}`)
  return response.json()
}

const pulling = (server) => ({
  handler: (checkpoint, limit) => json(`${server}/pull?after=${checkpoint?.at ?? 0}&limit=${limit}`),
  batchSize,
})

const pushing = (server) => ({
  handler: (rows) => json(`${server}/push`, { method: 'POST', body: JSON.stringify(rows) }),
  batchSize,
})

const replicate = (db, server, more) =>
  replicateRxCollection({
    collection: db.events,
    replicationIdentifier: server,
    waitForLeadership: false,
    retryTime: 1000,
    ...more,
  })

async function insert(db, events) {
  const { error } = await db.events.bulkInsert(events)
  if (error.length > 0) throw new Error(`RxDB refused events: ${JSON.stringify(error[0])}`)
}

async function replicated(state) {
  const failed = new Promise((_, reject) => state.error$.subscribe(reject))
  await Promise.race([state.awaitInitialReplication(), failed])
}

export const rxdbSync = {
  name: 'RxDB, HTTP replication',
  room: 'rxdb',
  async openDevice(server, name, customer, shown) {
    const db = await open(name)
    const { add } = foldedBy()
    db.events.insert$.subscribe(({ documentData }) => {
      const row = add(documentData)
      if (row.customer === customer) shown(row)
    })
    const stream = new Subject()
    const source = new EventSource(`${server}/stream`)
    const opened = new Promise((resolve) => source.addEventListener('open', resolve))
    source.addEventListener('message', ({ data }) => stream.next(JSON.parse(data)))
    source.addEventListener('error', () => stream.next('RESYNC'))
    await opened
    const state = replicate(db, server, {
      live: true,
      pull: { ...pulling(server), stream$: stream.asObservable() },
      push: pushing(server),
    })
    await replicated(state)
    return {
      append: (deposit) => insert(db, [identified(deposit)]),
      async close() {
        source.close()
        await state.cancel()
        await db.remove()
      },
    }
  },
  async fetch(server, name) {
    const db = await open(name)
    const state = replicate(db, server, { live: false, pull: pulling(server) })
    await replicated(state)
    const { add, rows } = foldedBy()
    for (const document of await db.events.find().exec()) add(document.toJSON())
    return { rows: rows(), destroy: () => state.cancel().then(() => db.remove()) }
  },
  async offline(server, name, deposits) {
    const db = await open(name)
    await insert(db, deposits.map(identified))
    let state
    return {
      async send() {
        state = replicate(db, server, { live: false, push: pushing(server) })
        await replicated(state)
      },
      destroy: () => state.cancel().then(() => db.remove()),
    }
  },
}
