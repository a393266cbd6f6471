/** A page of a log as text. */
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
export async function* pagesOf(store: LogStore, page: PageStart, signal?: AbortSignal): AsyncGenerator<string, void> {
  const { log, epoch, head, after, limit } = page
  yield `${JSON.stringify({ tidemark: 'export', format: 1, log, epoch, after, head })}\n`
  let [position, chain, left, uncovered] = [after, page.chain, limit, 0]
  let size = 50
  const cursor = () => `${JSON.stringify({ scannedTo: position, chain })}\n`
  while (left > 0 && position < head) {
    const commits = await store.read(position, Math.min(size, left))
    signal?.throwIfAborted()
    // Asked after the read: what was read before an epoch ended is of that epoch.
    if ((await store.identity()).epoch !== epoch) throw new Error(say`The log has begun another epoch.`)
    if (commits.length === 0) break
    const lines: string[] = []
    let characters = 0
    const before = position
    for (const commit of commits) {
      // What came since is for the next page.
      if (position === head) break
      for (const { line } of commit.events) {
        lines.push(line, '\n')
        characters += line.length
      }
      position += commit.events.length
      uncovered += commit.events.length
      chain = commit.chain
      if (uncovered >= eventsPerCursor) {
        lines.push(cursor())
        uncovered = 0
      }
    }
    left -= position - before
    const average = characters / (position - before)
    size = Math.max(1, Math.min(partSize.events, Math.floor(partSize.characters / average)))
    yield lines.join('')
  }
  // Also behind an empty page: it says that there is nothing more.
  if (uncovered > 0 || position === after) yield cursor()
}
