// RxDB on its Dexie storage. It has no transaction over several collections, so rows and checkpoint are not atomic here.
import { createRxDatabase } from 'rxdb'
import { getRxStorageDexie } from 'rxdb/plugins/storage-dexie'
import { credited } from '../cases/workload.ts'
import { customersOf, recorder } from './recorder.mjs'

const text = (maxLength) => ({ type: 'string', maxLength })
const number = { type: 'number' }
const schemas = {
  events: {
    version: 0,
    type: 'object',
    primaryKey: 'key',
    // The key is the position in order of strings: the log has its order without a second index.
    properties: {
      key: text(12),
      position: number,
      stream: text(100),
      version: number,
      type: text(100),
      id: text(36),
      time: number,
      data: { type: 'object' },
    },
    required: ['key', 'stream', 'version', 'type', 'data'],
  },
  customers: {
    version: 0,
    type: 'object',
    primaryKey: 'customer',
    properties: { customer: text(100), deposits: number, total: number, last: number },
    required: ['customer', 'deposits', 'total', 'last'],
  },
  checkpoints: {
    version: 0,
    type: 'object',
    primaryKey: 'name',
    properties: { name: text(100), position: number },
    required: ['name', 'position'],
  },
}

export const rxdb = {
  name: 'RxDB',
  async open(name) {
    const db = await createRxDatabase({ name, storage: getRxStorageDexie(), multiInstance: false, eventReduce: true })
    await db.addCollections(Object.fromEntries(Object.entries(schemas).map(([key, schema]) => [key, { schema }])))
    const record = recorder()
    let waiting = []
    let projecting = Promise.resolve()

    const project = async () => {
      const events = waiting
      waiting = []
      if (events.length === 0) return
      const found = await db.customers.findByIds(customersOf(events)).exec()
      const rows = new Map([...found].map(([customer, document]) => [customer, document.toJSON()]))
      for (const { data, position } of events)
        rows.set(data.customer, credited(rows.get(data.customer), data, position))
      const { error } = await db.customers.bulkUpsert([...rows.values()])
      if (error.length > 0) throw new Error(`RxDB refused rows: ${JSON.stringify(error[0])}`)
      await db.checkpoints.upsert({ name: 'customers', position: events.at(-1).position })
    }

    return {
      async append(deposits) {
        const events = deposits.map(record)
        const { error } = await db.events.bulkInsert(
          events.map((event) => ({ key: String(event.position).padStart(12, '0'), ...event })),
        )
        if (error.length > 0) throw new Error(`RxDB refused events: ${JSON.stringify(error[0])}`)
        waiting.push(...events)
        // What came while it was at work is projected together.
        projecting = projecting.then(project)
      },
      settled: () => projecting,
      rows: async () => (await db.customers.find().exec()).map((document) => document.toJSON()),
      count: () => db.events.count().exec(),
      close: () => db.close(),
      destroy: () => db.remove(),
    }
  },
}
