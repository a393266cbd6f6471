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
  const { log, epoch, head, after, limit } = page
  yield `${JSON.stringify({ tidemark: 'export', format: 1, log, epoch, after, head })}\n`
  let [position, chain, uncovered, size] = [after, page.chain, 0, 50]
  // The first commit is sent however long it is.
  const fits = (events: number) => position === after || position + events <= after + limit
  const cursor = () => `${JSON.stringify({ scannedTo: position, chain } satisfies CursorLine)}\n`
  // What came since the beginning is for the next page.
  for (let isFull = false; !isFull && position < head;) {
    const commits = await store.read(position, size)
    // Asked after the read: what was read before an epoch ended is of that epoch.
    if ((await store.identity()).epoch !== epoch || commits.length === 0)
      throw new Error(say`The log has begun another epoch.`)
    let [text, events] = ['', 0]
    for (const commit of commits) {
      isFull = position === head || !fits(commit.events.length)
      if (isFull) break
      for (const { line } of commit.events) text += `${line}\n`
      events += commit.events.length
      position += commit.events.length
      uncovered += commit.events.length
      chain = commit.chain
      if (uncovered >= eventsPerCursor) {
        text += cursor()
        uncovered = 0
      }
    }
    size = Math.max(1, Math.min(partSize.events, Math.floor((partSize.characters * events) / text.length)))
    yield text
  }
  // Also behind an empty page: it says that there is nothing more.
  if (uncovered > 0 || position === after) yield cursor()
}
