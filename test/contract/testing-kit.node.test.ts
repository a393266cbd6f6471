// The contract suites that `tidemark/testing` offers, against our own backends.
import 'fake-indexeddb/auto'
import { describe, test } from 'vitest'
import { openEventStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { checkpointStoreContract, coordinatorContract, eventStoreContract } from 'tidemark/testing'

let count = 0
const memory = async () => {
  const store = await openMemory({ name: 'kit' })
  return { store, port: store, dispose: () => store.close() }
}
const indexedDb = async () => {
  const name = `kit-${(count += 1)}`
  const opened: { close(): Promise<void> }[] = []
  const open = async () => {
    const store = await openEventStore({ name })
    opened.push(store)
    return store
  }
  const store = await open()
  return {
    store, port: store, another: open,
    reopen: async () => {
      await store.close()
      return open()
    },
    dispose: async () => {
      for (const each of opened) await each.close()
    },
  }
}

for (const [name, open] of [['memory', memory], ['fake-indexeddb', indexedDb]] as const) {
  describe(`testing kit: ${name}`, () => {
    for (const { name, run } of eventStoreContract(open)) test(name, run)
    for (const { name, run } of checkpointStoreContract(open)) test(name, run)
    for (const { name, run } of coordinatorContract(open)) test(name, run)
  })
}
