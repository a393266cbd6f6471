/** What the testing kit's suites need of a backend: stores in IndexedDB that can be opened again, and twice at once. */
import { openEventStore } from 'tidemark'

let count = 0

/** Opens an empty store for one case. */
export async function indexedDbSubject() {
  const name = `kit-${(count += 1)}-${crypto.randomUUID()}`
  const opened: { close(): Promise<void> }[] = []
  const open = async () => {
    const store = await openEventStore({ name })
    opened.push(store)
    return store
  }
  const store = await open()
  return {
    store,
    port: store,
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
