// PouchDB: events as documents, the rows as a persisted map/reduce view, which it brings up to date when it is asked.
import PouchDB from 'pouchdb-browser'
import { recorder } from './recorder.mjs'

// PouchDB runs these from their text, so they see nothing but their arguments.
const map = `function (event) { emit(event.data.customer, { deposits: 1, total: event.data.amount, last: event.position }) }`
const reduce = `function (keys, values) {
  return values.reduce(function (sum, row) {
    return { deposits: sum.deposits + row.deposits, total: sum.total + row.total, last: Math.max(sum.last, row.last) }
  }, { deposits: 0, total: 0, last: 0 })
}`

export const pouchdb = {
  name: 'PouchDB',
  async open(name) {
    const db = new PouchDB(name, { auto_compaction: false })
    await db.put({ _id: '_design/customers', views: { customers: { map, reduce } } }).catch((error) => {
      if (error.name !== 'conflict') throw error
    })
    const record = recorder()
    return {
      async append(deposits) {
        // The id refuses two events of the same version.
        const answers = await db.bulkDocs(
          deposits.map(record).map((event) => ({ _id: `${event.stream}:${event.version}`, ...event })),
        )
        const refused = answers.find(({ error }) => error)
        if (refused) throw new Error(`PouchDB refused events: ${JSON.stringify(refused)}`)
      },
      async settled() {
        await db.query('customers', { key: 'no-such-customer', reduce: false })
      },
      rows: async () =>
        (await db.query('customers', { group: true })).rows.map(({ key, value }) => ({ customer: key, ...value })),
      // Without the design document.
      count: async () => (await db.info()).doc_count - 1,
      close: () => db.close(),
      destroy: () => db.destroy(),
    }
  },
}
