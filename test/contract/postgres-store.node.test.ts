// The event store in PostgreSQL, and what plain projectors need of it, by all contracts.
import { describe, test, vi } from 'vitest'
import { checkpointStoreContract, coordinatorContract, eventStoreContract as kitContract } from 'tidemark/testing'
import { onPglite, onPostgres, type PostgresBackend } from '../support/postgres/stores.js'
import { eventStoreContract } from './event-store.js'
import { portOf } from './indexeddb-subject.js'
import { stressContract, type AccountEvent } from './stress.js'

// Each question is a round trip, and the machine may be busy.
vi.setConfig({ testTimeout: 240_000 })

let count = 0

/** Empty stores, each in a log of its own. */
const subjects = (backend: PostgresBackend) => async () => {
  const name = `kit-${(count += 1)}`
  const opened: { close(): Promise<void> }[] = []
  const open = async () => {
    const store = await backend.open(name)
    opened.push(store)
    return store
  }
  const store = await open()
  return {
    store,
    another: open,
    reopen: async () => {
      await store.close()
      return open()
    },
    dispose: async () => {
      for (const each of opened) await each.close()
    },
  }
}

const suite = (backend: PostgresBackend) => {
  eventStoreContract(backend.name, async () => {
    const name = `contract-${(count += 1)}`
    return { store: await backend.open(name), another: () => backend.open(name) }
  })
  describe(`testing kit: ${backend.name}`, () => {
    const open = subjects(backend)
    for (const { name, run } of kitContract(open)) test(name, run)
    for (const { name, run } of checkpointStoreContract(portOf(open, 'checkpoints'))) test(name, run)
    for (const { name, run } of coordinatorContract(portOf(open, 'coordinator'))) test(name, run)
  })
  stressContract(backend.name, async (instances) => {
    const name = `stress-${(count += 1)}`
    return Promise.all(Array.from({ length: instances }, () => backend.open<AccountEvent>(name)))
  })
}

onPostgres(suite)
onPglite(suite)
