/** Small logs in files of their own. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FileLogStore, LoggedCommit } from 'tidemark/file'
import { onTestFinished } from 'vitest'
import { addCommit, type Draft } from './support-commit.js'

/** A folder without a disk, where there is one: for tests of what is in a file, which need not wait for fsync. */
export const inMemory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/** A folder that is removed with its test. */
export async function newFolder(within = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(within, 'tidemark-file-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export const newPath = async (within?: string): Promise<string> => join(await newFolder(within), 'shop.log')

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
