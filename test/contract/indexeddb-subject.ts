/** What the testing kit's suites need of a backend: stores in IndexedDB that can be opened again, and twice at once. */
import { openEventStore, type TidemarkStore } from 'tidemark'

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

interface Subject {
  readonly store: TidemarkStore
  another?(): Promise<TidemarkStore>
  dispose(): Promise<void>
}

/** One port of each store that a subject opens, for the contract of that port. */
export function portOf<K extends 'checkpoints' | 'coordinator'>(open: () => Promise<Subject>, name: K) {
  return async () => {
    const { store, another, dispose } = await open()
    return { port: store[name], ...(another && { another: async () => (await another())[name] }), dispose }
  }
}
