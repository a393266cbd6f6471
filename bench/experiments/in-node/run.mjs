// What an event costs without a browser: making an id, encoding, a handler. µs of processor time, the best of several runs.
//   npm run build && node bench/experiments/in-node/run.mjs [a built package, such as that of another checkout: ../other/dist]
import { resolve } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'

const dist = pathToFileURL(`${resolve(process.argv[2] ?? 'dist')}/`)
const load = (path) => import(new URL(path, dist).href)
const { defineEvents, defineProjection, table } = await load('index.js')
const { anyEvents } = await load('events/catalogue.js')
const { createId } = await load('events/identifier.js')
const { prepareAppend } = await load('log/prepare.js')
const { readWrites } = await load('log/read-writes.js')
const { encodeRecords } = await load('log/record/record.js')
const { UnitOfWork } = await load('read-model/unit-of-work/unit-of-work.js')
const { applied } = await load('projection/target.js')

const count = 10_000
const dataOf = (n) => ({
  customer: `customer-${(n * 7919) % 1000}`,
  amount: 1 + (n % 97),
  currency: 'EUR',
  reference: `deposit number ${n} at the counter`,
  settled: true,
})
const writes = Array.from({ length: 100 }, (_, stream) => ({
  stream: `account-${stream}`,
  events: Array.from({ length: count / 100 }, (_, n) => ({ type: 'Deposited', data: dataOf(n * 100 + stream) })),
}))
const recorded = Array.from({ length: count }, (_, n) => ({
  type: 'Deposited',
  position: n + 1,
  stream: 's',
  version: n + 1,
  id: `id-${n}`,
  time: 0,
  data: dataOf(n),
}))
const context = {
  catalogue: anyEvents,
  codec: undefined,
  clock: { now: () => Date.now() },
  maxEventCharacters: 2 ** 20,
}

const credited = (row, { customer, amount }, position) => ({
  customer,
  deposits: (row?.deposits ?? 0) + 1,
  total: (row?.total ?? 0) + amount,
  last: position,
})
const customers = defineProjection(defineEvents(), {
  name: 'customers',
  tables: { customers: table({ key: 'customer' }) },
  on: {
    Deposited: async ({ data, position }, { customers }) => {
      customers.put(credited(await customers.get(data.customer), data, position))
    },
  },
})
const work = new UnitOfWork(customers, {})

await measure('an id', () => {
  for (let n = 0; n < count; n += 1) createId(1_764_000_000_000)
})
await measure(
  'checking and encoding',
  async () =>
    void encodeRecords(
      await prepareAppend(readWrites(writes), {}, context),
      1,
      () => 0,
      () => {},
    ),
)
await measure('a handler that gets and puts', async () => {
  work.reset(0, true)
  for (const event of recorded) await applied(work.apply(event))
  if (work.pending.get('customers').size !== 1000) throw new Error('The handler did not do its work')
})

async function measure(name, run) {
  let best = Infinity
  for (let round = 0; round < 40; round += 1) {
    const before = process.cpuUsage()
    await run()
    const { user, system } = process.cpuUsage(before)
    best = Math.min(best, user + system)
  }
  console.log(`${name}: ${(best / count).toFixed(2)} µs`)
}
