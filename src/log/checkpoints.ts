/** The checkpoints of plain projectors, beside the log. */
import { LeadershipLostError } from '../errors.js'
import { projectionName } from '../events/names.js'
import { requested, type Connection } from '../platform/indexeddb.js'
import { wholeNumber } from './prepare.js'

/** Loads and saves one position per name; see the port `CheckpointStore`. */
export interface Checkpoints {
  load(name: string): Promise<number | undefined>
  save(name: string, position: number, options?: { readonly expected?: number }): Promise<void>
}

function assertExpected(name: string, stored: number | undefined, expected: number | undefined): void {
  if (expected !== undefined && (stored ?? 0) !== expected) {
    throw new LeadershipLostError(name, `its checkpoint is ${stored ?? 0}, not ${expected}; another runner moved it.`)
  }
}

/** In the store's own database. Loading and comparing happen inside the transaction that saves. */
export function indexedDbCheckpoints(connection: Connection): Checkpoints {
  return {
    async load(name) {
      const key = projectionName(name)
      const row = await connection.transact({ stores: ['checkpoints'], mode: 'readonly', what: `loading the checkpoint of '${key}'` }, (transaction) =>
        requested(transaction.objectStore('checkpoints').get(key))) as { position: number } | undefined
      return row === undefined ? undefined : wholeNumber(row.position, `The stored checkpoint of '${key}'`)
    },
    async save(name, position, options = {}) {
      const key = projectionName(name)
      wholeNumber(position, 'position')
      await connection.transact({ stores: ['checkpoints'], mode: 'readwrite', durability: 'relaxed', what: `saving the checkpoint of '${key}'` }, async (transaction) => {
        const checkpoints = transaction.objectStore('checkpoints')
        if (options.expected !== undefined) {
          const row = await requested(checkpoints.get(key)) as { position: number } | undefined
          assertExpected(key, row?.position, options.expected)
        }
        checkpoints.put({ name: key, position })
        transaction.commit()
      })
    },
  }
}

/** In memory. */
export function memoryCheckpoints(): Checkpoints {
  const positions = new Map<string, number>()
  return {
    async load(name) {
      return positions.get(projectionName(name))
    },
    async save(name, position, options = {}) {
      const key = projectionName(name)
      wholeNumber(position, 'position')
      assertExpected(key, positions.get(key), options.expected)
      positions.set(key, position)
    },
  }
}
