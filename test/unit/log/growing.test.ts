// A page takes several transactions, and others append between them.
import { afterEach, expect, test, vi } from 'vitest'
import { openEventStore } from 'tidemark'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { inject, type Injection } from './inject-faults.js'

fakeIndexedDB()

let count = 0
let injection: Injection | undefined
afterEach(() => {
  vi.restoreAllMocks()
  injection?.stop()
})

/** Two instances of a new store: one reads, and the other appends when the first one has asked where to begin. */
async function readerAndWriter(appended: number, when = () => true) {
  const name = `growing-${(count += 1)}`
  const [reader, writer] = [await openEventStore({ name }), await openEventStore({ name })]
  let appending: Promise<unknown> | undefined
  const arm = () => {
    const original = IDBObjectStore.prototype.openKeyCursor
    vi.spyOn(IDBObjectStore.prototype, 'openKeyCursor').mockImplementation(function (this: IDBObjectStore, ...given) {
      if (when())
        appending ??= writer.append({
          stream: 's',
          events: Array.from({ length: appended }, (_, n) => ({ type: 'A', data: n })),
        })
      return original.apply(this, given)
    })
  }
  const close = async () => {
    await reader.close()
    await writer.close()
  }
  return { reader, writer, arm, appended: () => appending, close }
}

test('the head of a page is never in the middle of a commit', async () => {
  const { reader, writer, arm, appended, close } = await readerAndWriter(3)
  await writer.append({
    stream: 's',
    events: [
      { type: 'A', data: 1 },
      { type: 'A', data: 2 },
    ],
  })
  // From here on it expects two events of a record, and asks for two records.
  await reader.readPage({ limit: 3 })
  arm()
  // A read begins at position 2, the middle of a record, and is full at the second event of the next one.
  expect(await reader.readPage({ after: 1, limit: 3 })).toMatchObject({
    events: [{ position: 2 }, { position: 3 }, { position: 4 }],
    scannedTo: 4,
    head: 5,
  })
  expect(await appended()).toMatchObject({ position: 5 })
  await close()
})

test('a read that is disturbed while the first events are stored tells of none, and not that one is missing', async () => {
  const { reader, arm, appended, close } = await readerAndWriter(2, () => injection?.fired === true)
  injection = inject([{ kind: 'request fails', at: 1, error: 'UnknownError' }])
  arm()
  expect(await reader.readPage({ after: 1, limit: 10 })).toMatchObject({ events: [], scannedTo: 1 })
  expect(await appended()).toMatchObject({ position: 2 })
  expect(await reader.readPage({ after: 1, limit: 10 })).toMatchObject({
    events: [{ position: 2 }],
    scannedTo: 2,
    head: 2,
  })
  await close()
})
