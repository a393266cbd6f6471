// What a writer remembers saves it from reading before it writes.
import { afterEach, expect, test, vi } from 'vitest'
import { openEventStore } from 'tidemark'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

afterEach(() => vi.unstubAllGlobals())

const event = { type: 'A', data: null }
let count = 0

/** The reads of a version that `work` needs. */
async function versionsRead(work: () => Promise<unknown>): Promise<number> {
  const lookups = vi.spyOn(IDBIndex.prototype, 'openKeyCursor')
  await work()
  const { length } = lookups.mock.calls
  lookups.mockRestore()
  return length
}

test('a writer that meets a new stream still knows the versions of the others', async () => {
  const store = await openEventStore({ name: `warm-${(count += 1)}` })
  await store.append([
    { stream: 'a', events: [event] },
    { stream: 'b', events: [event] },
  ])
  expect(await versionsRead(() => store.append({ stream: 'c', events: [event], expectedVersion: 0 }))).toBeGreaterThan(
    0,
  )
  expect(await versionsRead(() => store.append({ stream: 'a', events: [event], expectedVersion: 1 }))).toBe(0)
  expect(await versionsRead(() => store.append({ stream: 'c', events: [event], expectedVersion: 1 }))).toBe(0)
  await store.close()
})

test('S2: a writer believes nothing that it remembered before another one appended', async () => {
  // Without a hint only the head in the storage can tell.
  vi.stubGlobal('BroadcastChannel', undefined)
  const name = `warm-${(count += 1)}`
  const store = await openEventStore({ name })
  const other = await openEventStore({ name })
  await store.append([
    { stream: 'a', events: [event] },
    { stream: 'b', events: [event] },
  ])
  await other.append({ stream: 'a', events: [event], expectedVersion: 1 })
  // Meeting a new stream shows that the head moved: what was remembered of 'a' is not believed any more.
  await store.append({ stream: 'c', events: [event] })
  await expect(store.append({ stream: 'a', events: [event], expectedVersion: 1 })).rejects.toMatchObject({
    code: 'version-conflict',
    actual: 2,
  })
  expect(await store.append({ stream: 'a', events: [event], expectedVersion: 2 })).toMatchObject({ versions: { a: 3 } })
  await store.close()
  await other.close()
})
