/** The events of every case, the same for every contender: deposits to accounts, about 120 characters of JSON each. */
import { defineEvents } from 'tidemark'

export interface Deposit {
  /** Which row of the read model it goes to. */
  readonly customer: string
  readonly amount: number
  readonly currency: string
  readonly reference: string
  readonly settled: boolean
}

export type DepositEvent = { type: 'Deposited'; data: Deposit }
export const events = defineEvents<DepositEvent>()

/** What a contender is given; versions, ids, times and encoding are its own work, inside the clock. */
export interface NewDeposit {
  readonly stream: string
  readonly type: 'Deposited'
  readonly data: Deposit
}

export const streamCount = 100
const customerCount = 1_000

/** The n-th event, from 0. Consecutive ones are in different streams: the worst case for a record that holds many. */
export function deposit(n: number): NewDeposit {
  return {
    stream: `account-${n % streamCount}`,
    type: 'Deposited',
    data: {
      customer: `customer-${scatter(n) % customerCount}`,
      amount: 1 + (n % 97),
      currency: 'EUR',
      reference: `deposit number ${n} at the counter`,
      settled: true,
    },
  }
}

export function deposits(count: number, first = 0): NewDeposit[] {
  return Array.from({ length: count }, (_, index) => deposit(first + index))
}

export function* batchesOf<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}

/** Pseudo-random and the same in every run (the finisher of MurmurHash3). */
function scatter(n: number): number {
  let hash = n + 1
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** What a contender saw: events counted, amounts and positions summed. */
export class Tally {
  events = 0
  amount = 0
  positions = 0

  add(position: number, data: Deposit): void {
    this.events += 1
    this.amount += data.amount
    this.positions += position
  }

  /** @throws Error if this is not what the first `count` events of the workload give */
  assertFirst(count: number, who: string): void {
    const right = new Tally()
    for (let n = 0; n < count; n += 1) right.add(n + 1, deposit(n).data)
    const [seen, wanted] = [JSON.stringify(this), JSON.stringify(right)]
    if (seen !== wanted) throw new Error(`${who} did not do its work: ${seen} instead of ${wanted}`)
  }
}

/** A row of the read model. */
export interface Customer {
  readonly customer: string
  readonly deposits: number
  readonly total: number
  readonly last: number
}

/** The fold of every projection here. */
export function credited(row: Customer | undefined, { customer, amount }: Deposit, position: number): Customer {
  return { customer, deposits: (row?.deposits ?? 0) + 1, total: (row?.total ?? 0) + amount, last: position }
}

/** @throws Error if the rows are not the fold of the first `count` events */
export function assertCustomers(rows: readonly Customer[], count: number, who: string): void {
  const right = new Map<string, Customer>()
  for (let n = 0; n < count; n += 1) {
    const { data } = deposit(n)
    right.set(data.customer, credited(right.get(data.customer), data, n + 1))
  }
  const wrong = rows.filter((row) => {
    const wanted = right.get(row.customer)
    return row.deposits !== wanted?.deposits || row.total !== wanted.total || row.last !== wanted.last
  })
  if (rows.length !== right.size || wrong.length > 0) {
    throw new Error(`${who} left ${rows.length} rows, ${wrong.length} of them wrong; ${right.size} are right`)
  }
}
