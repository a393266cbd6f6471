/** The limit for a log with a read model: one transaction stores the events, the changed rows and the checkpoint. One tab, no retry. */
import type { System, SystemStore } from '../cases/system.js'
import { credited, type Customer } from '../cases/workload.js'
import { committed, deleteDatabase, openDatabase, requested, writing } from './database.js'
import { recordPerCommit } from './layouts.js'

export const byHand: System = {
  name: 'raw, log and rows in one transaction',
  async open(name): Promise<SystemStore> {
    const database = await openDatabase(name, (created) => {
      recordPerCommit.create(created)
      created.createObjectStore('customers', { keyPath: 'customer' })
      created.createObjectStore('checkpoint')
    })
    // Both begin with an empty log: a log that is there already is only read.
    const add = recordPerCommit.adder()
    const rows = new Map<string, Customer>()
    let head = 0
    return {
      async append(deposits) {
        const transaction = writing(database, ['log', 'customers', 'checkpoint'])
        add(transaction.objectStore('log'), deposits)
        const changed = new Set<string>()
        for (const { data } of deposits) {
          rows.set(data.customer, credited(rows.get(data.customer), data, (head += 1)))
          changed.add(data.customer)
        }
        const customers = transaction.objectStore('customers')
        for (const customer of changed) customers.put(rows.get(customer))
        transaction.objectStore('checkpoint').put(head, 'position')
        transaction.commit()
        await committed(transaction)
      },
      settled: async () => {},
      rows: () => requested(database.transaction('customers').objectStore('customers').getAll()),
      count: async () => (await recordPerCommit.tally(database)).events,
      close: async () => database.close(),
      async destroy() {
        database.close()
        await deleteDatabase(name)
      },
    }
  },
}
