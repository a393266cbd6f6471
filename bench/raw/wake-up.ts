/** What a wake-up across tabs takes without a library: the same four transactions of two tabs, with a message after two of them. */
import { credited, deposit, type Customer, type Deposit } from '../cases/workload.js'
import { committed, deleteDatabase, openDatabase, requested, writing } from './database.js'
import { recordPerCommit } from './layouts.js'
import { openRows } from './projection.js'

const logName = 'wake-up-raw'
const rowsName = 'wake-up-raw-rows'
const customer = 'customer-0'

interface Record {
  readonly at: number
  readonly events: string
}

/** Both databases, and a channel between the tabs that says what was committed. */
async function open() {
  const log = await openDatabase(logName, (database) => recordPerCommit.create(database))
  const rows = await openRows(rowsName)
  const channel = new BroadcastChannel(logName)
  const close = () => {
    channel.close()
    log.close()
    rows.close()
  }
  return { log, rows, channel, close }
}

type Tab = Awaited<ReturnType<typeof open>>

/** The checkpoint and the row, of one moment. */
function ask(transaction: IDBTransaction): Promise<[position: number | undefined, row: Customer | undefined]> {
  return Promise.all([
    requested(transaction.objectStore('checkpoint').get('position')),
    requested(transaction.objectStore('customers').get(customer)),
  ])
}

const stores = ['customers', 'checkpoint']

/** Projects what is new: reads it in one transaction, and stores the row in another one, unless another tab has. */
async function project({ log, rows, channel }: Tab, from: number, before: Customer | undefined) {
  const reading = log.transaction('log')
  const records = reading.objectStore('log')
  const added = requested<Record[]>(records.getAll(IDBKeyRange.lowerBound(from, true), 4096))
  const newest = requested(records.openKeyCursor(null, 'prev'))
  reading.commit()
  let row = before
  for (const { at, events } of await added)
    for (const { data } of JSON.parse(events) as { data: Deposit }[]) row = credited(row, data, at)
  const head = (await newest)?.key as number
  const transaction = writing(rows, stores)
  const stored = requested<number | undefined>(transaction.objectStore('checkpoint').get('position'))
  transaction.objectStore('customers').put(row)
  const last = requested(transaction.objectStore('checkpoint').put(head, 'position'))
  if (((await stored) ?? 0) !== from) throw new Error('Another tab projected')
  await last
  transaction.commit()
  await committed(transaction)
  channel.postMessage('committed')
  return { head, row }
}

/** What the other tab does: it projects whatever a message says there is. */
export const leaderByHand = {
  async start(): Promise<void> {
    const tab = await open()
    let last = Promise.resolve<{ head: number; row: Customer | undefined }>({ head: 0, row: undefined })
    tab.channel.onmessage = () => {
      last = last.then(({ head, row }) => project(tab, head, row))
    }
    leaderByHand.stop = async () => {
      await last
      tab.close()
    }
  },
  stop: async () => {},
}

/** What this tab does. */
export async function wakeUpByHand() {
  const tab = await open()
  const add = recordPerCommit.adder()
  let count = 0
  return {
    async append(): Promise<void> {
      const transaction = writing(tab.log, 'log')
      const { data, ...rest } = deposit(count)
      add(transaction.objectStore('log'), [{ ...rest, data: { ...data, customer } }])
      transaction.commit()
      await committed(transaction)
      count += 1
      tab.channel.postMessage('appended')
    },
    /** Resolves when this tab has read a row that counts every event. */
    seen: () =>
      new Promise<void>((resolve, reject) => {
        const look = async () => {
          const transaction = tab.rows.transaction(stores)
          const asked = ask(transaction)
          transaction.commit()
          if (((await asked)[1]?.deposits ?? 0) === count) resolve()
        }
        tab.channel.onmessage = () => look().catch(reject)
      }),
    async close(): Promise<void> {
      tab.close()
      await deleteDatabase(logName)
      await deleteDatabase(rowsName)
    },
  }
}
