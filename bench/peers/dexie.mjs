// Dexie: events and rows in one transaction, as its documentation would have it.
import Dexie from 'dexie'
import { credited } from '../cases/workload.ts'
import { customersOf, recorder } from './recorder.mjs'

export const dexie = {
  name: 'Dexie',
  async open(name) {
    const db = new Dexie(name, { chromeTransactionDurability: 'relaxed' })
    // The unique index refuses two events of the same version.
    db.version(1).stores({ events: 'position, &[stream+version]', customers: 'customer' })
    await db.open()
    const record = recorder()
    return {
      append: (deposits) =>
        db.transaction('rw', db.events, db.customers, async () => {
          const events = deposits.map(record)
          await db.events.bulkAdd(events)
          const found = await db.customers.bulkGet(customersOf(events))
          const rows = new Map(found.filter((row) => row !== undefined).map((row) => [row.customer, row]))
          for (const { data, position } of events)
            rows.set(data.customer, credited(rows.get(data.customer), data, position))
          await db.customers.bulkPut([...rows.values()])
        }),
      settled: async () => {},
      rows: () => db.customers.toArray(),
      count: () => db.events.count(),
      close: async () => db.close(),
      destroy: () => db.delete(),
    }
  },
}
