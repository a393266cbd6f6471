/** Looking into a database that exists, whatever is in it; one that does not exist is not made. */
import { Connection } from '../../platform/connection.js'

/**
 * Opens a read model's database for `work`. Returns `undefined` if it does not exist.
 *
 * @throws what opening it throws, and what `work` throws
 */
export async function lookInto<T>(
  name: string,
  label: string,
  work: (connection: Connection, database: IDBDatabase) => Promise<T>,
): Promise<T | undefined> {
  let absent = false
  const connection = new Connection({
    name,
    version: 1,
    label,
    upgrade: (_database, transaction) => {
      absent = true
      transaction.abort()
    },
    verify: async () => void (absent = false),
  })
  try {
    return await work(connection, (await connection.open()) as IDBDatabase)
  } catch (error) {
    if (absent) return undefined
    throw error
  } finally {
    connection.close()
  }
}
