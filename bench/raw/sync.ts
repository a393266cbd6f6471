/** Devices that share a log, by hand: fetch, server-sent events and IndexedDB. Nothing is checked, retried, or shared with other tabs. */
import { credited, type Customer, type Deposit, type NewDeposit } from '../cases/workload.js'
import { committed, deleteDatabase, openDatabase, requested, writing } from './database.js'

interface Line extends NewDeposit {
  readonly position: number
  readonly data: Deposit
}

const stores = ['log', 'rows', 'outbox']

const open = (name: string): Promise<IDBDatabase> =>
  openDatabase(name, (database) => {
    database.createObjectStore('log')
    database.createObjectStore('rows', { keyPath: 'customer' })
    database.createObjectStore('outbox', { autoIncrement: true })
  })

const identified = (event: NewDeposit) => ({ ...event, id: crypto.randomUUID(), time: Date.now() })

async function post(url: string, commits: readonly unknown[]): Promise<void> {
  const response = await fetch(`${url}/push`, { method: 'POST', body: JSON.stringify(commits) })
  await response.json()
}

/** Appends where it is, and shows what others appended. */
export async function deviceByHand(name: string, url: string, shown: (row: Customer) => void) {
  const database = await open(name)
  const source = new EventSource(`${url}/events`)
  const opened = new Promise((resolve) => source.addEventListener('open', resolve))
  source.addEventListener('message', async ({ data }) => {
    const transaction = writing(database, ['log', 'rows'])
    const rows = transaction.objectStore('rows')
    for (const line of JSON.parse(data as string) as Line[]) {
      transaction.objectStore('log').put(line, line.position)
      const before = (await requested(rows.get(line.data.customer))) as Customer | undefined
      const row = credited(before, line.data, line.position)
      rows.put(row)
      transaction.commit()
      await committed(transaction)
      shown(row)
    }
  })
  await opened
  return {
    async append(event: NewDeposit): Promise<void> {
      const made = identified(event)
      const transaction = writing(database, 'outbox')
      transaction.objectStore('outbox').add(made)
      transaction.commit()
      await committed(transaction)
      void post(url, [[made]])
    },
    async close(): Promise<void> {
      source.close()
      database.close()
      await deleteDatabase(name)
    },
  }
}

/** Events of a record. */
const perRecord = 512

/** Fetches lines, stores them in records, and writes each row once, at the end. */
export async function pullByHand(name: string, url: string): Promise<Customer[]> {
  const database = await open(name)
  const folded = new Map<string, Customer>()
  let record: Line[] = []
  let stored: Promise<unknown> = Promise.resolve()
  const flush = () => {
    const transaction = writing(database, 'log')
    transaction.objectStore('log').put(JSON.stringify(record), record[0]?.position)
    transaction.commit()
    record = []
    // The next ones are fetched meanwhile.
    stored = Promise.all([stored, committed(transaction)])
  }
  const response = await fetch(url)
  const reader = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>)
    .pipeThrough(new TextDecoderStream())
    .getReader()
  for (let rest = ''; ;) {
    const { done, value } = await reader.read()
    if (done) break
    const lines = (rest + value).split('\n')
    rest = lines.pop() as string
    for (const text of lines) {
      const line = JSON.parse(text) as Line
      folded.set(line.data.customer, credited(folded.get(line.data.customer), line.data, line.position))
      if (record.push(line) === perRecord) flush()
    }
  }
  if (record.length > 0) flush()
  await stored
  const transaction = writing(database, 'rows')
  for (const row of folded.values()) transaction.objectStore('rows').put(row)
  transaction.commit()
  await committed(transaction)
  const rows = (await requested(database.transaction('rows').objectStore('rows').getAll())) as Customer[]
  database.close()
  return rows
}

/** An outbox of commits; `push` sends what is in it, a number of commits at a time, and moves each part to the log. */
export async function outboxByHand(name: string, url: string, commits: readonly (readonly NewDeposit[])[]) {
  const database = await open(name)
  const filling = writing(database, 'outbox')
  for (const commit of commits) filling.objectStore('outbox').add(commit.map(identified))
  await committed(filling)
  return {
    async push(perRequest: number): Promise<void> {
      const outbox = database.transaction('outbox').objectStore('outbox')
      const waiting = (await requested(outbox.getAll())) as unknown[]
      for (let from = 0; from < waiting.length; from += perRequest) {
        const part = waiting.slice(from, from + perRequest)
        await post(url, part)
        const transaction = writing(database, stores)
        transaction.objectStore('log').put(part, from)
        transaction.objectStore('outbox').delete(IDBKeyRange.bound(from + 1, from + part.length))
        transaction.commit()
        await committed(transaction)
      }
    },
    async close(): Promise<void> {
      const left = await requested(database.transaction('outbox').objectStore('outbox').count())
      database.close()
      await deleteDatabase(name)
      if (left > 0) throw new Error(`${left} commits were not sent`)
    },
  }
}
