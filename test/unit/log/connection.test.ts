// Connections that die: what is noticed, what is opened again, and what never is.
import { afterEach, expect, test, vi } from 'vitest'
import { deleteEventStore, openEventStore } from 'tidemark'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { inject, openConnections, takeAway, type Fault, type Injection } from './inject-faults.js'

fakeIndexedDB()

let count = 0
/** Makes an append read before it writes. */
const never = { failIfEventsMatch: { types: ['Never'] }, after: 0 }
/** Of the tries and of what is read between them. */
const everyEnd = [1, 2, 3, 4, 5, 6, 7, 8]
let injection: Injection | undefined
afterEach(() => injection?.stop())

const event = { type: 'A', data: null }
const nextName = () => `connection-${(count += 1)}`

test.each(['InvalidStateError', 'UnknownError'])(
  'H22, H23: %s from a dead handle, before anything was started, is met with a fresh handle',
  async (error) => {
    const store = await openEventStore({ name: nextName() })
    injection = inject([{ kind: 'handles dead', error }])
    expect(await store.append({ stream: 's', events: [event] })).toMatchObject({ position: 1 })
    injection.stop()
    await store.close()
  },
)

test('H22, H28: where every handle is dead, it gives up after a few, by name, and works again when they live', async () => {
  const store = await openEventStore({ name: nextName() })
  injection = inject([{ kind: 'no transaction', times: Infinity, error: 'UnknownError' }])
  const open = vi.spyOn(IDBFactory.prototype, 'open')
  await expect(store.append({ stream: 's', events: [event] })).rejects.toMatchObject({
    code: 'storage-failed',
    outcome: 'not-written',
    cause: { name: 'UnknownError' },
  })
  expect(open.mock.calls.length).toBeLessThanOrEqual(3)
  open.mockRestore()
  injection.stop()
  expect(await store.append({ stream: 's', events: [event] })).toMatchObject({ position: 1 })
  await store.close()
})

test('H22: after a request that failed for no reason the next operation gets a fresh handle, though nobody said that the connection closed', async () => {
  const store = await openEventStore({ name: nextName() })
  await store.head()
  injection = inject([{ kind: 'request fails', at: 1, error: 'UnknownError' }])
  await expect(store.head()).rejects.toMatchObject({ code: 'storage-failed' })
  injection.stop()
  injection = inject([{ kind: 'handles dead', error: 'NotFoundError' }])
  expect(await store.head()).toBe(0)
  injection.stop()
  await store.close()
})

test('H22: what was aborted under us before it stored anything is done again on a fresh handle, three times at most', async () => {
  const name = nextName()
  const store = await openEventStore({ name })
  injection = inject([{ kind: 'abort instead of commit', at: 1, error: undefined }])
  expect(await store.head()).toBe(0)
  injection.stop()
  expect(openConnections(`tidemark:${name}`)).toBe(1)
  injection = inject(everyEnd.map((at) => ({ kind: 'abort instead of commit', at, error: undefined })))
  await expect(store.head()).rejects.toMatchObject({ code: 'storage-failed', cause: { name: 'AbortError' } })
  injection.stop()
  await store.close()
})

test('I8: operations that find a dead handle at the same time share the new one, and closing leaves none behind', async () => {
  const name = nextName()
  const store = await openEventStore({ name })
  injection = inject([{ kind: 'handles dead', error: 'InvalidStateError' }])
  expect(await Promise.all([store.head(), store.head(), store.streamVersion('s')])).toEqual([0, 0, 0])
  injection.stop()
  expect(openConnections(`tidemark:${name}`)).toBe(1)
  await store.close()
  expect(openConnections(`tidemark:${name}`)).toBe(0)
})

test('H27: whichever call of a start fails, the start fails by name or works, and the next one works', async () => {
  const faults = [1, 2, 3].flatMap((at): Fault[] => [
    { kind: 'request fails', at, error: 'UnknownError' },
    { kind: 'call throws', at, error: 'UnknownError' },
    { kind: 'connection closed', at },
  ])
  faults.push(
    { kind: 'open fails', times: 1, error: 'UnknownError' },
    { kind: 'no transaction', times: 1, error: 'InvalidStateError' },
    { kind: 'reads empty', at: 1 },
  )
  let failed = 0
  for (const fault of faults) {
    const name = nextName()
    injection = inject([fault])
    const opened = await openEventStore({ name }).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'storage-failed', outcome: 'not-written' })
      failed += 1
      return undefined
    })
    injection.stop()
    await opened?.close()
    expect(openConnections(`tidemark:${name}`), `connections left after ${JSON.stringify(fault)}`).toBe(0)
    const store = await openEventStore({ name })
    expect(await store.append({ stream: 's', events: [event] }), JSON.stringify(fault)).toMatchObject({ position: 1 })
    await store.close()
  }
  // Most of them pass while opening is tried again.
  expect(failed).toBeGreaterThan(0)
})

test('H31: a reopening that is answered with nothing is a failure to retry, not a store that is gone for good', async () => {
  const store = await openEventStore({ name: nextName() })
  await store.append({ stream: 's', events: [event] })
  injection = inject([
    { kind: 'handles dead', error: 'InvalidStateError' },
    { kind: 'reads empty', at: 1 },
  ])
  await expect(store.head()).rejects.toMatchObject({ code: 'storage-failed' })
  injection.stop()
  expect(await store.head()).toBe(1)
  await store.close()
})

test.each<Fault>([
  { kind: 'connection closed', at: 1 },
  { kind: 'open fails', times: 2, error: 'UnknownError' },
  { kind: 'open fails', times: 2, error: 'InvalidStateError' },
  { kind: 'open fails', times: 2, error: 'QuotaExceededError' },
])(
  'H21, H22, H29, H31: a reopening that meets %j is tried again with a fresh request, and nobody notices',
  async (fault) => {
    const store = await openEventStore({ name: nextName() })
    await store.append({ stream: 's', events: [event] })
    injection = inject([{ kind: 'handles dead', error: 'InvalidStateError' }, fault])
    expect(await store.head()).toBe(1)
    expect(injection.fired).toBe(true)
    injection.stop()
    await store.close()
  },
)

test.each([
  ['UnknownError', 'storage-failed', 3],
  ['QuotaExceededError', 'storage-full', 3],
  ['DataError', 'storage-failed', 1],
] as const)(
  'H21, H29: a start that fails with %s for ever ends as %s after %i tries, deletes nothing, and can be started again',
  async (error, code, tries) => {
    const name = nextName()
    const store = await openEventStore({ name })
    await store.append({ stream: 's', events: [event] })
    await store.close()
    injection = inject([{ kind: 'open fails', times: Infinity, error }])
    const open = vi.spyOn(IDBFactory.prototype, 'open')
    const deleteDatabase = vi.spyOn(IDBFactory.prototype, 'deleteDatabase')
    await expect(openEventStore({ name })).rejects.toMatchObject({
      code,
      outcome: 'not-written',
      cause: { name: error },
    })
    expect([open.mock.calls.length, deleteDatabase.mock.calls.length]).toEqual([tries, 0])
    vi.restoreAllMocks()
    injection.stop()
    const again = await openEventStore({ name })
    expect(await again.head()).toBe(1)
    await again.close()
  },
)

test('H31: a store that was cleared or replaced is lost: nothing more is written, and no new database is made', async () => {
  for (const replaced of [false, true]) {
    const [name, spare] = [nextName(), nextName()]
    const store = await openEventStore({ name })
    await store.append({ stream: 's', events: [event] })
    if (replaced) await (await openEventStore({ name: spare })).close()
    takeAway(`tidemark:${name}`, replaced ? `tidemark:${spare}` : undefined)
    for (const operation of [
      () => store.append({ stream: 's', events: [event] }),
      () => store.head(),
      () => store.checkpoints.load('p'),
    ]) {
      await expect(operation()).rejects.toMatchObject({ code: 'storage-lost', outcome: 'not-written' })
    }
    expect((await indexedDB.databases()).filter((database) => database.name === `tidemark:${name}`)).toHaveLength(
      replaced ? 1 : 0,
    )
    await store.close()
    const again = await openEventStore({ name })
    expect(await again.head()).toBe(0)
    await again.close()
  }
})

test('H44: deleting a store waits for nobody, and every instance is lost at once', async () => {
  const name = nextName()
  const stores = [await openEventStore({ name }), await openEventStore({ name })]
  await deleteEventStore(name)
  for (const store of stores) {
    await expect(store.head()).rejects.toMatchObject({ code: 'storage-lost' })
    await store.close()
  }
})

test('H31, H17: a commit that says nothing more after its connection was closed is told as unknown soon, not at the deadline', async () => {
  const store = await openEventStore({ name: nextName() })
  await store.append({ stream: 's', events: [event] })
  // What Chromium does to a transaction that commits while the origin is cleared.
  injection = inject([{ kind: 'silent end', at: 1 }])
  const error: unknown = await store
    .append({ stream: 's', events: [event], expectedVersion: 1 }, { condition: never })
    .catch((error: unknown) => error)
  injection.stop()
  expect(error).toMatchObject({ code: 'storage-failed', outcome: 'unknown', cause: { name: 'AbortError' } })
  expect(await store.append({ stream: 't', events: [event] })).toMatchObject({ duplicate: false })
  await store.close()
})

test('H31, H17: a transaction that waited for a request when its connection was closed has stored nothing, and is run again', async () => {
  const store = await openEventStore({ name: nextName() })
  await store.append({ stream: 's', events: [event] })
  injection = inject([{ kind: 'silent request', at: 1 }])
  expect(await store.append({ stream: 's', events: [event], expectedVersion: 1 }, { condition: never })).toMatchObject({
    position: 2,
    duplicate: false,
  })
  injection.stop()
  expect(await store.head()).toBe(2)
  await store.close()
})
