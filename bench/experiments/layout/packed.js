// Rows of a read model: a record for each, or several neighbours in one record, whose key is the first that may be in it.
import { asked, done, open, relaxed } from './idb-lite.js'
import { inDatabase, keep, ROUNDS, shuffled } from './variants.js'

const rowCount = 1000
const keyOf = (i) => `customer-${String(i).padStart(4, '0')}`
const anyRow = () => Math.floor(Math.random() * rowCount)
const build = (name) => open(name, (db) => db.createObjectStore('rows'))
const rowOf = (i, n) => ({
  customer: keyOf(i),
  balance: n * 7,
  deposits: n,
  last: 'a note of some thirty characters',
  open: true,
})

/** Packs of so many rows; none for a record per row. */
const shapes = { 'a record per row': 0, 'packs of 16': 16, 'packs of 32': 32, 'packs of 64': 64, 'packs of 128': 128 }

export async function packedRows(say) {
  const times = {}
  for (let round = 0; round < ROUNDS; round++) {
    await say(`  packedRows, round ${round}`)
    for (const name of shuffled(Object.keys(shapes))) {
      const size = shapes[name]
      await inDatabase(build, async (db) => {
        const rows = Array.from({ length: rowCount }, (_, i) => rowOf(i, 0))
        const all = rows.map((_, i) => i)
        const timed = async (what, work) => {
          const start = performance.now()
          await work()
          keep(times, what, name, round, performance.now() - start)
        }
        await timed('one commit of 1,000 rows', () => commit(db, size, rows, all, 1))
        await timed('100 commits of 90 rows', async () => {
          for (let n = 0; n < 100; n++)
            await commit(
              db,
              size,
              rows,
              Array.from({ length: 90 }, () => anyRow()),
              n,
            )
        })
        await timed('300 commits of one row', async () => {
          for (let n = 0; n < 300; n++) await commit(db, size, rows, [anyRow()], n)
        })
        await timed('all rows, 20 times', async () => {
          for (let n = 0; n < 20; n++) {
            const records = await asked(db.transaction('rows').objectStore('rows').getAll())
            if (records.flat().length !== rowCount) throw new Error('rows are missing')
          }
        })
        await timed('one row, 300 times', async () => {
          for (let n = 0; n < 300; n++) {
            const key = keyOf(anyRow())
            const store = db.transaction('rows').objectStore('rows')
            const found =
              size === 0
                ? await asked(store.get(key))
                : (await asked(store.openCursor(IDBKeyRange.upperBound(key), 'prev'))).value.find(
                    ({ customer }) => customer === key,
                  )
            if (found?.customer !== key) throw new Error('a row is missing')
          }
        })
      })
    }
  }
  return times
}

/** What a leader that remembers the rows writes: the rows, or the packs that they are in. */
function commit(db, size, rows, changed, n) {
  const tx = db.transaction('rows', 'readwrite', relaxed)
  const store = tx.objectStore('rows')
  const packs = new Set()
  for (const i of changed) {
    rows[i] = rowOf(i, n)
    if (size === 0) store.put(rows[i], keyOf(i))
    else packs.add(i - (i % size))
  }
  for (const first of packs) store.put(rows.slice(first, first + size), keyOf(first))
  tx.commit()
  return done(tx)
}
