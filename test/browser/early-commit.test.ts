// Firefox completes a transaction in which a request failed after `commit()`, Chromium takes it back: what `commitWritten` goes by.
import { describe, expect, test } from 'vitest'
import { commitWritten, requested, transact } from '../../src/platform/indexeddb.js'
import { add, commits, deletesWhatItOpened, openLog, settled } from './capabilities/database.js'

deletesWhatItOpened()

const refused = { at: 1 }
const positions = {
  only: [refused],
  first: [refused, { at: 2 }, { at: 3 }],
  middle: [{ at: 2 }, refused, { at: 3 }],
  last: [{ at: 2 }, { at: 3 }, refused],
}
const writing = { stores: ['commits'], mode: 'readwrite', what: 'testing' } as const
const notWritten = { code: 'storage-failed', outcome: 'not-written', cause: { name: 'ConstraintError' } }

for (const [afterRead, when] of [
  [false, 'at once'],
  [true, 'after a read'],
] as const) {
  describe(`writes made ${when}`, () => {
    for (const [which, records] of Object.entries(positions)) {
      test(`I2: if the ${which} write is refused, nothing is stored, and the error says so`, async () => {
        const database = await openLog()
        await add(database, { at: 1 })
        const written = transact(database, writing, async (transaction) => {
          const store = transaction.objectStore('commits')
          if (afterRead) await requested(store.openCursor(null, 'prev'))
          await commitWritten(
            transaction,
            records.map((record) => store.add(record)),
          )
        })
        await expect(written).rejects.toMatchObject(notWritten)
        expect(await settled(commits(database).getAllKeys())).toEqual([1])
      })
    }
  })
}

test('H6, I2: a single write that is committed in the turn that began the transaction is refused as well', async () => {
  const database = await openLog()
  await add(database, { at: 1 })
  // Also from within the callback of another transaction, as the next append in the queue is.
  await requested(commits(database).get(1))
  const written = transact(database, writing, async (transaction) => {
    transaction.objectStore('commits').add(refused)
    transaction.commit()
  })
  await expect(written).rejects.toMatchObject(notWritten)
})

test('I2: a transaction in which a write failed is never acknowledged', async () => {
  const database = await openLog()
  await add(database, { at: 1 })
  const written = transact(database, writing, async (transaction) => {
    const store = transaction.objectStore('commits')
    await requested(store.get(1))
    store.add(refused)
    store.add({ at: 2 })
    transaction.commit()
  })
  await expect(written).rejects.toMatchObject({ code: 'storage-failed', cause: { name: 'ConstraintError' } })
})

test('H6: the commit is asked for in the turn of the last write where a failure after that still takes all of it back, and elsewhere after its success', async () => {
  const database = await openLog()
  let write: IDBRequest | undefined
  let answered: boolean | undefined
  await transact(database, writing, async (transaction) => {
    const { commit } = transaction
    transaction.commit = () => {
      answered = write?.readyState === 'done'
      commit.call(transaction)
    }
    const store = transaction.objectStore('commits')
    await requested(store.get(1))
    write = store.add({ at: 1 })
    await commitWritten(transaction, [write])
  })
  expect(answered).toBe(!('userAgentData' in navigator))
  expect(await settled(commits(database).getAllKeys())).toEqual([1])
})
