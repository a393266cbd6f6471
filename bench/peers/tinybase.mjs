// TinyBase: everything in memory, saved to IndexedDB as a whole after each commit.
import { createStore } from 'tinybase'
import { createIndexedDbPersister } from 'tinybase/persisters/persister-indexed-db'
import { credited } from '../cases/workload.ts'
import { deleteDatabase } from '../raw/database.ts'
import { recorder } from './recorder.mjs'

export const tinybase = {
  name: 'TinyBase',
  async open(name) {
    const store = createStore()
    const persister = createIndexedDbPersister(store, name)
    await persister.load()
    const record = recorder()
    return {
      async append(deposits) {
        store.transaction(() => {
          for (const event of deposits.map(record)) {
            const { position, data, ...rest } = event
            // A cell holds text, a number or a boolean.
            store.setRow('events', String(position), { ...rest, data: JSON.stringify(data) })
            const row = store.hasRow('customers', data.customer) ? store.getRow('customers', data.customer) : undefined
            store.setRow('customers', data.customer, credited(row, data, position))
          }
        })
        await persister.save()
      },
      settled: async () => {},
      rows: async () => Object.values(store.getTable('customers')),
      count: async () => store.getRowCount('events'),
      close: () => persister.destroy(),
      async destroy() {
        await persister.destroy()
        await deleteDatabase(name)
      },
    }
  },
}
