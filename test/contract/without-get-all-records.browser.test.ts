// H13: read models in an engine without `getAllRecords`, where `getAll` takes no direction. The same cases, the same results.
import { openEventStore } from 'tidemark'
import { afterAll, expect, inject, test } from 'vitest'
import { events } from './projection/model.js'
import { packedContract } from './projection/packed.js'
import { questionsContract } from './projection/questions.js'
import { readModelContract } from './projection/read-model.js'

/**
 * Not where it is missing anyway: there the suites of the read model run without it as they are. And not on Chromium's SQLite:
 * Chromium had the method before it had that storage engine, so that no user has one without the other.
 */
const neverSo = !('getAllRecords' in IDBObjectStore.prototype) || inject('storage') === 'sqlite'

for (const source of [IDBObjectStore.prototype, IDBIndex.prototype]) {
  const { getAll } = source
  const getAllRecords = Object.getOwnPropertyDescriptor(source, 'getAllRecords')
  // The next file uses the same page.
  afterAll(() => {
    source.getAll = getAll
    if (getAllRecords) Object.defineProperty(source, 'getAllRecords', getAllRecords)
  })
  Reflect.deleteProperty(source, 'getAllRecords')
  source.getAll = function (this: IDBObjectStore | IDBIndex, query?: unknown, count?: number) {
    // Such an engine takes the options for a key.
    if (Object.prototype.toString.call(query) === '[object Object]') throw new DOMException('not a key', 'DataError')
    return getAll.call(this, query as IDBValidKey, count)
  }
}

test('H13: there is no getAllRecords here', () => {
  expect('getAllRecords' in IDBObjectStore.prototype || 'getAllRecords' in IDBIndex.prototype).toBe(false)
})

const backend = {
  name: 'IndexedDB without getAllRecords',
  shared: true,
  open: (name: string, options = {}) => openEventStore({ name, events, durability: 'relaxed' as const, ...options }),
}
if (!neverSo) {
  readModelContract(backend)
  packedContract(backend)
  questionsContract(backend)
}
