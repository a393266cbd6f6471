// PouchDB, replicating with a server of PouchDB behind the routes of CouchDB; the server is in server.mjs.
import PouchDB from 'pouchdb-browser'
import { foldedBy, identified } from './recorder.mjs'

/** More than the default of 100: fewer requests for what is long. */
const batches = { batch_size: 1000 }

const document = (deposit) => {
  const { id, ...event } = identified(deposit)
  return { _id: id, ...event }
}

async function insert(db, documents) {
  const refused = (await db.bulkDocs(documents)).find(({ error }) => error)
  if (refused) throw new Error(`PouchDB refused events: ${JSON.stringify(refused)}`)
}

export const pouchdbSync = {
  name: 'PouchDB, CouchDB replication',
  room: 'couch',
  async openDevice(server, name, customer, shown) {
    const db = new PouchDB(name, { auto_compaction: false })
    const remote = new PouchDB(server)
    // It is made by that.
    await remote.info()
    const { add } = foldedBy()
    const changes = db.changes({ live: true, since: 'now', include_docs: true }).on('change', ({ doc }) => {
      const row = add(doc)
      if (row.customer === customer) shown(row)
    })
    const sync = db.sync(remote, { live: true, retry: true, ...batches })
    await new Promise((resolve) => sync.once('paused', resolve))
    return {
      append: (deposit) => insert(db, [document(deposit)]),
      async close() {
        changes.cancel()
        await new Promise((resolve) => {
          sync.once('complete', resolve)
          sync.cancel()
        })
        await db.destroy()
      },
    }
  },
  async fetch(server, name) {
    const db = new PouchDB(name, { auto_compaction: false })
    const { ok } = await PouchDB.replicate(new PouchDB(server), db, batches)
    if (!ok) throw new Error('PouchDB did not replicate')
    const { add, rows } = foldedBy()
    for (const { doc } of (await db.allDocs({ include_docs: true })).rows) add(doc)
    return { rows: rows(), destroy: () => db.destroy() }
  },
  async offline(server, name, deposits) {
    const db = new PouchDB(name, { auto_compaction: false })
    await insert(db, deposits.map(document))
    const remote = new PouchDB(server)
    await remote.info()
    return {
      async send() {
        const { ok } = await PouchDB.replicate(db, remote, batches)
        if (!ok) throw new Error('PouchDB did not replicate')
      },
      destroy: () => db.destroy(),
    }
  },
}
