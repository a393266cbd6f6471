/** Small logs in files of their own. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FileLogStore, LogDecision, LoggedCommit } from 'tidemark/file'
import { onTestFinished } from 'vitest'

/** A folder without a disk, where there is one: for tests of what is in a file, which need not wait for fsync. */
export const inMemory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/** A folder that is removed with its test. */
export async function newFolder(within = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(within, 'tidemark-file-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export const newPath = async (within?: string): Promise<string> => join(await newFolder(within), 'shop.log')

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

export const push = (store: FileLogStore, drafts: readonly Draft[], author?: string): Promise<LoggedCommit> =>
  store.decide((log) => addCommit(log, drafts, author))

/** All commits, read in pages of some size. */
export async function allOf(store: FileLogStore, limit = 3): Promise<LoggedCommit[]> {
  const all: LoggedCommit[] = []
  for (let after = 0, head = await store.head(); after < head;) {
    const page = await store.read(after, limit)
    all.push(...page)
    after = page.at(-1)?.events.at(-1)?.position ?? head
  }
  return all
}
