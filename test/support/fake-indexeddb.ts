/** IndexedDB in Node, in memory. */
import * as fake from 'fake-indexeddb'
import { afterAll, expect, vi } from 'vitest'
import { addClass, rememberAll } from './what-changed.js'

/** What is used of the insides of fake-indexeddb. */
export interface FakeDatabase<Connection = IDBDatabase> {
  name: string
  connections: (Connection & { _closePending: boolean })[]
}
export const fakeDatabases = <Database extends FakeDatabase>(factory: IDBFactory): Map<string, Database> =>
  (factory as unknown as { _databases: Map<string, Database> })._databases

const classes = Object.entries(fake).filter(([name]) => name.startsWith('IDB')) as [name: string, value: object][]

/**
 * Gives this file an IndexedDB with nothing in it, from here to its last test. Files share a process, so at the end the
 * file fails if one of its connections is open, or if IndexedDB is not as it was.
 */
export function fakeIndexedDB(): void {
  const indexedDB = new fake.IDBFactory()
  const given = [...classes, ['indexedDB', indexedDB] as const]
  for (const [name, value] of given) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true, enumerable: false })
  }
  const shared = new Map<string, object>()
  for (const [name, value] of classes) addClass(shared, name, value)
  const changed = rememberAll(shared)

  afterAll(async () => {
    // A connection that was closed has its transactions to their end, and what waits for these uses IndexedDB.
    const isClosing = () =>
      [...fakeDatabases(indexedDB).values()].some(({ connections }) => connections.some((each) => each._closePending))
    await vi.waitUntil(() => !isClosing(), { timeout: 5000 })
    const replaced = given.filter(([name, value]) => Reflect.get(globalThis, name) !== value).map(([name]) => name)
    for (const [name] of given) Reflect.deleteProperty(globalThis, name)
    const open = [...fakeDatabases(indexedDB).values()]
      .filter(({ connections }) => connections.some((connection) => !connection._closePending))
      .map(({ name }) => name)
    expect([...open, ...replaced, ...changed()], 'open databases, and replaced parts of IndexedDB').toEqual([])
  })
}
