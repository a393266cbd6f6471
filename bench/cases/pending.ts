/** Opening a view over what this device did and could not send yet. */
import { deleteEventStore, openEventStore, openReadModel, runProjection } from 'tidemark'
import { openSyncedStore } from 'tidemark/sync'
import { timedEach, type Case, type Contender, type Sizes } from './case.js'
import { forms } from './projections.js'
import { writesOf } from './sync.js'
import { batchesOf, deposits, events, type Customer } from './workload.js'

const opens = 5
const perCommit = 5
const screen = 20

type Form = 'fold' | 'get and put'

export function pendingCase({ pending }: Sizes): Case {
  const local = { name: 'pending-local', events, durability: 'relaxed' } as const
  const synced = (count: number) =>
    ({ ...local, name: `pending-${count}`, url: `${location.origin}/logs/none` }) as const
  const amounts = [0, 100, pending]

  /** Opens the store and a view, and reads what fills a screen. */
  const contender = (name: string, count: number, form: Form, isSynced = true): Contender => ({
    name,
    async run() {
      let close = async () => {}
      let rows: Customer[] = []
      const open = async () => {
        const store = await (isSynced ? openSyncedStore(synced(count)) : openEventStore(local))
        const view = await openReadModel(store, forms[form](form))
        rows = await view.customers.getAll({ limit: screen })
        close = async () => {
          await view.close()
          await store.close()
        }
      }
      const run = await timedEach(opens, open, async () => {
        await close()
        if (rows.length < Math.min(count, screen)) throw new Error(`${name} shows ${rows.length} rows`)
      })
      return run
    },
  })
  return {
    name: 'sync: open a store and a view, until 20 rows are there',
    async setUp() {
      const plain = await openEventStore(local)
      for (const commit of batchesOf(deposits(100), perCommit)) await plain.append(writesOf(commit))
      await runProjection(plain, forms.fold('fold'))
      await plain.close()
      for (const amount of amounts) {
        const store = await openSyncedStore(synced(amount))
        for (const commit of batchesOf(deposits(amount), perCommit)) await store.append(writesOf(commit))
        await store.close()
      }
    },
    contenders: [
      contender('tidemark, without sync, 100 events in the rows', 100, 'fold', false),
      ...amounts.map((amount) => contender(`tidemark, fold, ${amount.toLocaleString('en')} pending`, amount, 'fold')),
      contender(`tidemark, get and put, ${pending.toLocaleString('en')} pending`, pending, 'get and put'),
    ],
    async tearDown() {
      for (const name of [local.name, ...amounts.map((amount) => synced(amount).name)]) await deleteEventStore(name)
    },
  }
}
