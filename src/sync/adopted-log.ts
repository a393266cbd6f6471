/** A local log that is adopted: what is marked there. */
import type { StoreInternals } from '../log/open.js'
import type { AdoptedLog } from './adoption-mark.js'
import { adoptedDatabase } from './indexeddb/adopted-database.js'

export function adoptedLog(name: string, parts: StoreInternals): AdoptedLog {
  if (parts.medium === 'indexeddb') return adoptedDatabase(parts.connection, name)
  const { log } = parts
  return {
    mark: async () => ({ adopter: log.adopter, isClosed: log.isClosed }),
    claim: async (adopter) => (log.adopter ??= adopter),
    closeAt: async (head, _, always) => log.closeAt(head, always),
  }
}
