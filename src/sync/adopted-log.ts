/** A local log that is adopted: what is marked there. */
import { InvalidArgumentError } from '../errors.js'
import type { StoreInternals } from '../log/open.js'
import { say } from '../messages.js'
import type { AdoptedLog } from './adoption-mark.js'
import { adoptedDatabase } from './indexeddb/adopted-database.js'

export function adoptedLog(name: string, parts: StoreInternals): AdoptedLog {
  if (parts.medium === 'indexeddb') return adoptedDatabase(parts.connection, name)
  if (parts.medium === 'server')
    throw new InvalidArgumentError('local', say`is the store of a server, which devices reach over serverLog.`)
  const { log } = parts
  return {
    mark: async () => ({ adopter: log.adopter, isClosed: log.isClosed }),
    claim: async (adopter) => (log.adopter ??= adopter),
    closeAt: async (head, _, check) =>
      check === undefined
        ? log.closeAt(head)
        : log.closeAtRest(() => {
            const { events, starts } = log.recorded(head, Infinity)
            check(events, starts)
          }),
  }
}
