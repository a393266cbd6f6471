/** A page of a log as text. */
import type { CursorLine } from '../wire/protocol.js'
import { say } from '../messages.js'
import type { LogStore } from './log-store.js'

/** Where a page begins, and of what. */
export interface PageStart {
  readonly log: string
  readonly epoch: string
  readonly head: number
  readonly after: number
  readonly chain: string
  readonly limit: number
}

/** The most events without a cursor line, which comes behind the commit that is complete then. */
const eventsPerCursor = 1000

/** How much is read at a time. */
const partSize = { events: 500, characters: 262_144 }

/** The lines of a page, in parts of whole lines. Throws if the log goes back meanwhile. */
export async function* pagesOf(store: LogStore, page: PageStart): AsyncGenerator<string, void> {
  const { log, epoch, head, after } = page
  yield `${JSON.stringify({ tidemark: 'export', format: 1, log, epoch, after, head })}\n`
  // What came since the beginning is for the next page.
  const end = Math.min(head, after + page.limit)
  let [position, chain, covered, size] = [after, page.chain, after, 50]
  const cursor = () => `${JSON.stringify({ scannedTo: position, chain } satisfies CursorLine)}\n`
  for (let isFull = false; !isFull && position < end;) {
    const commits = await store.read(position, size)
    // Asked after the read: what was read before an epoch ended is of that epoch.
    if ((await store.identity()).epoch !== epoch || commits.length === 0)
      throw new Error(say`The log has begun another epoch.`)
    const from = position
    let text = ''
    for (const commit of commits) {
      // The first commit is sent however long it is.
      isFull = position > after && position + commit.events.length > end
      if (isFull) break
      for (const { line } of commit.events) text += `${line}\n`
      position += commit.events.length
      chain = commit.chain
      if (position - covered >= eventsPerCursor) {
        text += cursor()
        covered = position
      }
    }
    size = Math.max(1, Math.min(partSize.events, Math.floor((partSize.characters * (position - from)) / text.length)))
    yield text
  }
  // Also behind an empty page: it says that there is nothing more.
  if (position > covered || position === after) yield cursor()
}
