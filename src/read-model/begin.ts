/** What a run asks of the storage of its read model when it begins. */
import type { EventShape } from '../events/event.js'
import { lettersInPages } from '../projection/letter-pages.js'
import type { Projection } from './define.js'
import { looksBack } from './earlier-versions.js'
import { assertSameDefinition, handledBy } from './fingerprint.js'
import { takeOver, type Slot, type StateRow, type TakeOver } from './state.js'
import type { Moved, ReadModelStorage } from './storage.js'
import { say } from '../messages.js'

/** How many dead letters are read in one request. */
const lettersAtOnce = 1024

/** Takes over, unless `check` throws; see `takeOver`. */
export async function begin<E extends EventShape>(
  storage: ReadModelStorage,
  definition: Projection<E>,
  how: Pick<TakeOver, 'owner' | 'seen' | 'head' | 'survived' | 'signal' | 'now'>,
  check?: (before: StateRow) => void,
): Promise<Moved> {
  const erased = definition as unknown as Projection
  // If the earlier versions cannot be read, a later run looks again.
  const carried = looksBack(how.seen, definition.version)
    ? await storage.leftOutBefore().catch(() => undefined)
    : undefined
  return storage.move(say`taking over`, (before) => {
    // A run of another definition may have been the first one to store which events it handles.
    assertSameDefinition(erased, before)
    check?.(before)
    return takeOver(before, storage.log, { ...how, handles: handledBy(erased), carried })
  })
}

/** The streams that dead letters of a slot block. */
export async function readBlockedStreams(storage: ReadModelStorage, slot: Slot): Promise<ReadonlySet<string>> {
  const blocked = new Set<string>()
  const letters = lettersInPages((after, limit) => storage.letters(after, limit, slot), lettersAtOnce)
  for await (const { stream, holdsStream } of letters) if (holdsStream === true) blocked.add(stream)
  return blocked
}
