/** The checkpoints of plain projectors, and their dead letters, in the database of the log. */
import { say } from '../../messages.js'
import { projectionName } from '../../events/names.js'
import { onlyKnown, wholeNumber } from '../../platform/arguments.js'
import type { Connection } from '../../platform/connection.js'
import { commitWritten, requested } from '../../platform/indexeddb.js'
import type { CheckpointStore, DeadLetterRecord } from '../../ports.js'
import { assertExpected, checkPage, saveNames } from '../checkpoint-rules.js'
import { deadLetterStore } from './format.js'
import { assertAnswering } from './sentinel.js'

const ask = (transaction: IDBTransaction, key: string) =>
  requested(transaction.objectStore('checkpoints').get(key)) as Promise<{ position: number } | undefined>

const lettersOf = (key: string) => IDBKeyRange.bound([key], [key, []])

/** In the store's own database. Loading and comparing happen inside the transaction that saves. */
export function indexedDbCheckpoints(connection: Connection): Required<CheckpointStore> {
  return {
    async load(name) {
      const key = projectionName(name)
      const row = await connection.transact(
        { stores: ['checkpoints'], mode: 'readonly', what: say`loading the checkpoint of '${key}'` },
        (transaction) => ask(transaction, key),
      )
      // One that only seems to be missing would start its projection from the first event again (H25).
      if (row === undefined) await assertAnswering(connection)
      // What was edited by hand is for its reader to refuse.
      return row?.position
    },
    async save(name, position, options = {}) {
      onlyKnown(options, saveNames)
      const { expected, deadLetters = [], dropDeadLetters = false } = options
      const key = projectionName(name)
      wholeNumber(position, 'position')
      const stores = ['checkpoints', 'meta', ...(deadLetters.length > 0 || dropDeadLetters ? [deadLetterStore] : [])]
      await connection.transact(
        { stores, mode: 'readwrite', durability: 'relaxed', what: say`saving the checkpoint of '${key}'` },
        async (transaction) => {
          const checkpoints = transaction.objectStore('checkpoints')
          if (expected !== undefined) {
            const row = await ask(transaction, key)
            if (row === undefined) await assertAnswering(transaction)
            assertExpected(key, row?.position, expected)
          }
          await commitWritten(transaction, [
            ...(dropDeadLetters ? [transaction.objectStore(deadLetterStore).delete(lettersOf(key))] : []),
            checkpoints.put({ name: key, position }),
            ...deadLetters.map((letter) =>
              transaction.objectStore(deadLetterStore).put({ name: key, position: letter.position, letter }),
            ),
          ])
        },
      )
    },
    async deadLetters(name, after, limit) {
      const key = projectionName(name)
      checkPage(after, limit)
      if (limit === 0) return []
      const rows = (await connection.transact(
        { stores: [deadLetterStore], mode: 'readonly', what: say`reading dead letters of '${key}'` },
        (transaction) =>
          requested(
            transaction
              .objectStore(deadLetterStore)
              .getAll(IDBKeyRange.bound([key, after], [key, []], true, false), Math.min(limit, 2 ** 32 - 1)),
          ),
      )) as { letter: DeadLetterRecord }[]
      return rows.map(({ letter }) => letter)
    },
    async countDeadLetters(name) {
      const key = projectionName(name)
      return connection.transact(
        { stores: [deadLetterStore], mode: 'readonly', what: say`counting dead letters of '${key}'` },
        (transaction) => requested(transaction.objectStore(deadLetterStore).count(lettersOf(key))),
      )
    },
    async removeDeadLetter(name, position) {
      const key = projectionName(name)
      return connection.transact(
        {
          stores: [deadLetterStore],
          mode: 'readwrite',
          durability: 'relaxed',
          what: say`removing a dead letter of '${key}'`,
        },
        async (transaction) => {
          const rows = transaction.objectStore(deadLetterStore)
          const wasThere = (await requested(rows.getKey([key, position]))) !== undefined
          await commitWritten(transaction, [rows.delete([key, position])])
          return wasThere
        },
      )
    },
  }
}
