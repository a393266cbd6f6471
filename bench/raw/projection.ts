/** Projections by hand: the naive way, and the fastest that keeps rows and checkpoint together. */
import { credited, type Customer } from '../cases/workload.js'
import { committed, openDatabase, requested, writing } from './database.js'
import { readLog, readLogWaiting, type StoredEvent } from './log.js'

const stores = ['customers', 'checkpoint']

export const openRows = (name: string): Promise<IDBDatabase> =>
  openDatabase(name, (database) => {
    database.createObjectStore('customers', { keyPath: 'customer' })
    database.createObjectStore('checkpoint')
  })

export function allRows(database: IDBDatabase): Promise<Customer[]> {
  return requested(database.transaction('customers').objectStore('customers').getAll())
}

/** P1: a transaction per event, which reads the row, writes it, and writes the checkpoint. */
export async function projectOneByOne(
  log: IDBDatabase,
  rows: IDBDatabase,
  pageRecords: number,
  count: number,
): Promise<void> {
  const read: { position: number; event: StoredEvent }[] = []
  await readLog(log, pageRecords, (position, event) => void read.push({ position, event }), count)
  for (const { position, event } of read) {
    const transaction = writing(rows, stores)
    const customers = transaction.objectStore('customers')
    const row = (await requested(customers.get(event.data.customer))) as Customer | undefined
    customers.put(credited(row, event.data, position))
    transaction.objectStore('checkpoint').put(position, 'position')
    transaction.commit()
    await committed(transaction)
  }
}

/** P4 with one commit: folds the whole log in memory, then writes each row once, and the checkpoint with them. */
export async function projectInOneCommit(log: IDBDatabase, rows: IDBDatabase, pageRecords: number): Promise<void> {
  const folded = new Map<string, Customer>()
  let head = 0
  await readLog(log, pageRecords, (position, { data }) => {
    folded.set(data.customer, credited(folded.get(data.customer), data, position))
    head = position
  })
  await commitRows(rows, folded, head)
}

/** The same with a handler that awaits its row, as those of tidemark do: here the row is in a map. */
export async function projectByHandler(log: IDBDatabase, rows: IDBDatabase, pageRecords: number): Promise<void> {
  const folded = new Map<string, Customer>()
  const customers = {
    get: async (customer: string) => folded.get(customer),
    put: (row: Customer) => void folded.set(row.customer, row),
  }
  const handler = async (position: number, { data }: StoredEvent) => {
    customers.put(credited(await customers.get(data.customer), data, position))
  }
  let head = 0
  await readLogWaiting(log, pageRecords, (position, event) => handler((head = position), event))
  await commitRows(rows, folded, head)
}

async function commitRows(rows: IDBDatabase, folded: ReadonlyMap<string, Customer>, head: number): Promise<void> {
  const transaction = writing(rows, stores)
  const customers = transaction.objectStore('customers')
  for (const row of folded.values()) customers.put(row)
  transaction.objectStore('checkpoint').put(head, 'position')
  transaction.commit()
  await committed(transaction)
}
