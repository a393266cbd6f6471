import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openFileLogStore } from 'tidemark/file'
import { logStoreContract } from 'tidemark/testing'
import { describe, test } from 'vitest'
import { scratch } from '../../scripts/scratch.mjs'

describe('openFileLogStore keeps the contract of a log store', () => {
  const open = async () => {
    const folder = await mkdtemp(join(scratch(), 'tidemark-file-'))
    const path = join(folder, 'shop.log')
    const store = await openFileLogStore({ path })
    let current = store
    const reopen = async () => {
      await current.close()
      current = await openFileLogStore({ path })
      return current
    }
    const dispose = async () => {
      await current.close()
      await rm(folder, { recursive: true })
    }
    return { store, reopen, dispose }
  }
  for (const { name, run } of logStoreContract(open)) test(name, run)
})
