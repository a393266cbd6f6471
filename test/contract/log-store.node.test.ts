import { memoryLogStore, type LogStore } from 'tidemark/server'
import { logStoreContract } from 'tidemark/testing'
import { describe, test } from 'vitest'

describe('memoryLogStore keeps the contract of a log store', () => {
  const open = () => {
    const store = memoryLogStore()
    // In memory there is no other process; opened again it begins another epoch.
    const reopen = () => {
      store.renewEpoch()
      return Promise.resolve<LogStore>(store)
    }
    return Promise.resolve({ store, reopen, dispose: () => store.close() })
  }
  for (const { name, run } of logStoreContract(open)) test(name, run)
})
