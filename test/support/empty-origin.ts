// For each file of the browser suites, which share a profile. Deletes the databases that the files before it left, because
// they make every opening and deletion slower: in WebKit, two thousand of them make it twenty times slower.
import { beforeAll } from 'vitest'

// Each is tried once: one that somebody holds open, such as a worker that was terminated, is deleted later or never.
const tried = ((globalThis as { __triedToDelete?: Set<string> }).__triedToDelete ??= new Set())

beforeAll(async () => {
  const left = (await indexedDB.databases()).map(({ name = '' }) => name).filter((name) => !tried.has(name))
  for (const name of left) tried.add(name)
  const late = new Promise<void>((resolve) => void setTimeout(resolve, 5_000))
  await Promise.race([late, Promise.all(left.map(deleted))])
})

function deleted(name: string): Promise<void> {
  return new Promise((resolve) => {
    const request = indexedDB.deleteDatabase(name)
    request.onsuccess = request.onerror = request.onblocked = () => resolve()
  })
}
