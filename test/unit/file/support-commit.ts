/** Commits as a server adds them. Without the test runner, for processes of their own. */
import { createHash } from 'node:crypto'
import type { LogDecision, LoggedCommit } from 'tidemark/file'

export interface Draft {
  readonly id: string
  readonly stream: string
  readonly data?: string
}

/** Adds a commit as a server does: positions and versions that follow, and the chain over its lines. */
export async function addCommit(log: LogDecision, drafts: readonly Draft[], author = 'anna'): Promise<LoggedCommit> {
  const last = await log.last(drafts.map(({ stream }) => stream))
  const versions = new Map([...last].map(([stream, { version }]) => [stream, version]))
  const commit = log.head + 1
  const events = drafts.map(({ id, stream, data = 'x' }, index) => {
    const version = (versions.get(stream) ?? 0) + 1
    versions.set(stream, version)
    const position = commit + index
    const line = JSON.stringify({ position, commit, stream, version, type: 'Added', id, time: 1, data })
    return { position, id, stream, type: 'Added', version, line }
  })
  const hash = createHash('sha256').update(log.chain)
  for (const { line } of events) hash.update(line)
  const added = { author, events, chain: hash.digest('hex').slice(0, 32) }
  await log.add(added)
  return added
}
