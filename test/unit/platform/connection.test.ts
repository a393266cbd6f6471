// Opening a database that does not open, on a clock that passes when the test says so.
import { IDBVersionChangeEvent as VersionChangeEvent } from 'fake-indexeddb'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { StorageDamagedError, StorageFailedError, StorageLostError } from '../../../src/errors.js'
import { Connection } from '../../../src/platform/connection.js'
import { healing } from '../../../src/platform/healing.js'
import { virtualClock, type VirtualClock } from '../../../src/testing/virtual-clock.js'
import { settled } from '../../support/raw-database.js'
import { databaseExists, inject, takeAway, openConnections, type Injection } from '../log/inject-faults.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

let injection: Injection | undefined
afterEach(() => {
  // In this order: what a spy restores may be an injected fault.
  vi.restoreAllMocks()
  injection?.stop()
})

let serial = 0
function connect({ version = 1, name = `platform-${(serial += 1)}` } = {}) {
  const clock = virtualClock()
  const connection = new Connection({
    name,
    version,
    clock,
    label: 'The store',
    upgrade: (database) => void (database.objectStoreNames.contains('rows') || database.createObjectStore('rows')),
    verify: async () => {},
  })
  const rows = () =>
    connection.transact({ stores: ['rows'], mode: 'readonly', what: 'counting' }, (transaction) =>
      settled(transaction.objectStore('rows').count()),
    )
  return { name, clock, connection, rows }
}

/**
 * As `clock.runUntil`, but with turns enough for a database between one timer and the next: what is not under the clock may take some, and
 * would find its deadline passed.
 */
async function patiently<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let finished = false
  const finish = () => void (finished = true)
  work.then(finish, finish)
  for (let steps = 0; !finished && steps < 1_000; steps += 1) {
    for (let turns = 0; !finished && turns < 10; turns += 1) await clock.advance(0)
    if (!finished) await clock.advance(50)
  }
  if (!finished) throw new Error('Not settled.')
  return work
}

/** The next open says nothing until it is told to go on. */
function withholdOpen(): () => void {
  const original = indexedDB.open.bind(indexedDB)
  let goOn: () => void = () => {}
  vi.spyOn(indexedDB, 'open').mockImplementationOnce((...args) => {
    const silent = new IDBOpenDBRequest()
    goOn = () => {
      const real = original(...args)
      const pass = (type: string, event?: IDBVersionChangeEvent) => {
        Object.assign(silent, {
          readyState: 'done',
          transaction: real.transaction,
          ...(real.error === null ? { result: real.result } : { error: real.error }),
        })
        silent.dispatchEvent(
          new VersionChangeEvent(type, { oldVersion: event?.oldVersion ?? 0, newVersion: event?.newVersion ?? null }),
        )
      }
      real.onupgradeneeded = (event) => pass('upgradeneeded', event)
      real.onsuccess = () => pass('success')
      real.onerror = () => pass('error')
    }
    return silent
  })
  return () => goOn()
}

test('H24: an open that never answers is an error at the deadline, not earlier, with a diagnosis; the next one works', async () => {
  const { name, clock, connection, rows } = connect()
  const goOn = withholdOpen()
  const opening = rows().catch((error: unknown) => error)
  await clock.advance(29_999)
  expect(await Promise.race([opening, 'waiting'])).toBe('waiting')
  await clock.advance(1)
  expect(await opening).toMatchObject({
    code: 'storage-busy',
    outcome: 'not-written',
    message: expect.stringContaining('restart the browser'),
  })
  expect(await rows()).toBe(0)
  goOn()
  await clock.advance(0)
  expect([openConnections(name), clock.pending]).toEqual([1, 0])
  connection.close()
  await expect.poll(() => openConnections(name)).toBe(0)
})

test('H24: a late answer makes no database and leaves no handle', async () => {
  for (const exists of [false, true]) {
    const { name, clock, connection, rows } = connect()
    if (exists) {
      await rows()
      connection.close()
    }
    const late = connect({ name })
    const goOn = withholdOpen()
    const opening = late.rows().catch((error: unknown) => error)
    await late.clock.advance(30_000)
    expect(await opening).toMatchObject({ code: 'storage-busy' })
    goOn()
    await clock.advance(0)
    await expect.poll(() => openConnections(name)).toBe(0)
    expect(await databaseExists(name)).toBe(exists)
  }
})

test('H24: a start that is closed while it waits ends by name, and leaves nothing', async () => {
  const { name, clock, connection, rows } = connect()
  const goOn = withholdOpen()
  const opening = rows().catch((error: unknown) => error)
  connection.close()
  goOn()
  expect(await opening).toMatchObject({ code: 'closed' })
  expect([openConnections(name), clock.pending]).toEqual([0, 0])
})

test('H40: an old connection that closes when it is asked lets a new version in at once', async () => {
  const old = connect()
  await old.rows()
  const next = connect({ name: old.name, version: 2 })
  expect(await next.rows()).toBe(0)
  next.connection.close()
})

test('H40: an old connection that does not close is named at the deadline, and the new version works once it is gone', async () => {
  const { name } = connect()
  const request = indexedDB.open(name, 1)
  request.onupgradeneeded = () => request.result.createObjectStore('rows')
  // It ignores `versionchange`.
  const rude = await settled(request)
  const next = connect({ name, version: 2 })
  const waiting = next.rows().catch((error: unknown) => error)
  await next.clock.advance(30_000)
  expect(await waiting).toMatchObject({
    code: 'storage-busy',
    message: expect.stringContaining('another tab holds an older version of it open'),
  })
  rude.close()
  expect(await next.rows()).toBe(0)
  await expect.poll(() => openConnections(name)).toBe(1)
  next.connection.close()
})

test('H41: a database of a newer version refuses this build by name, also while it runs', async () => {
  const old = connect()
  await old.rows()
  const newer = connect({ name: old.name, version: 2 })
  await newer.rows()
  await expect(old.rows()).rejects.toMatchObject({
    code: 'unsupported-format',
    reason: 'newer',
    outcome: 'not-written',
  })
  expect(await newer.rows()).toBe(0)
  newer.connection.close()
})

test('H28: a storage that always fails is tried 29 times in ten minutes, whoever asks how often; once it works, within 30 s so does the store', async () => {
  const { clock, connection, rows } = connect()
  injection = inject([{ kind: 'open fails', times: Infinity, error: 'UnknownError' }])
  const open = vi.spyOn(IDBFactory.prototype, 'open')
  const answers = new Set<string>()
  for (let at = 0; at < 600_000; at += 5000) {
    // Several askers, as an app with projections and live queries has.
    const asking = Promise.allSettled([rows(), rows(), rows()])
    await clock.advance(5000)
    for (const answer of await clock.runUntil(asking))
      answers.add(answer.status === 'rejected' ? (answer.reason as { code: string }).code : 'fulfilled')
  }
  expect([...answers]).toEqual(['storage-failed'])
  expect(open.mock.calls.length).toBeLessThanOrEqual(29)
  expect(open.mock.calls.length).toBeGreaterThan(20)
  vi.restoreAllMocks()
  injection.stop()
  await clock.advance(30_000)
  expect(await rows()).toBe(0)
  connection.close()
})

test('H28: handles that die as soon as they are opened count as failures too', async () => {
  const { clock, connection, rows } = connect()
  await rows()
  injection = inject([{ kind: 'no transaction', times: Infinity, error: 'InvalidStateError' }])
  const open = vi.spyOn(IDBFactory.prototype, 'open')
  for (let at = 0; at < 600_000; at += 5000) {
    await expect(patiently(clock, rows())).rejects.toMatchObject({
      code: 'storage-failed',
      cause: { name: 'InvalidStateError' },
    })
    await clock.advance(5000)
  }
  expect(open.mock.calls.length).toBeLessThanOrEqual(29)
  vi.restoreAllMocks()
  injection.stop()
  await clock.advance(30_000)
  expect(await rows()).toBe(0)
  connection.close()
})

test('H28: failures that pass, however many, do not add up', async () => {
  const { clock, connection, rows } = connect()
  for (let round = 0; round < 20; round += 1) {
    injection = inject([
      { kind: 'handles dead', error: 'InvalidStateError' },
      { kind: 'open fails', times: 1, error: 'UnknownError' },
    ])
    expect(await patiently(clock, rows())).toBe(0)
    injection.stop()
  }
  connection.close()
})

describe('what the app itself asks for', () => {
  /** A connection that failed so often that nothing is tried any more, and how often it is opened from here on. */
  async function exhausted() {
    const { clock, connection, rows } = connect()
    injection = inject([{ kind: 'open fails', times: Infinity, error: 'UnknownError' }])
    for (let n = 0; n < 3; n += 1)
      await expect(clock.runUntil(rows())).rejects.toMatchObject({ code: 'storage-failed' })
    const open = vi.spyOn(IDBFactory.prototype, 'open')
    const urgent = () =>
      connection.transact({ stores: ['rows'], mode: 'readonly', what: 'counting', urgent: true }, (transaction) =>
        settled(transaction.objectStore('rows').count()),
      )
    return { clock, connection, rows, urgent, tries: () => open.mock.calls.length }
  }

  test('is tried once, at once, however many tries failed; what others ask for is not', async () => {
    const { clock, connection, rows, urgent, tries } = await exhausted()
    await expect(rows()).rejects.toMatchObject({ code: 'storage-failed' })
    expect(tries()).toBe(0)
    await expect(patiently(clock, urgent())).rejects.toMatchObject({ code: 'storage-failed' })
    await clock.advance(1_000)
    expect(tries()).toBe(1)
    vi.restoreAllMocks()
    injection?.stop()
    expect(await urgent()).toBe(0)
    // And with it all is well again.
    connection.reopen()
    expect(await rows()).toBe(0)
    connection.close()
  })

  test('is tried four times a second at most, and those who ask at the same moment share a try, whoever asked before them', async () => {
    const { clock, connection, rows, urgent, tries } = await exhausted()
    const together = Promise.allSettled([rows(), urgent(), urgent(), rows(), connection.open({ urgent: true })])
    expect((await patiently(clock, together)).map(({ status }) => status)).toEqual(
      Array.from({ length: 5 }, () => 'rejected'),
    )
    expect(tries()).toBe(1)
    await clock.advance(1_000)
    const began = clock.monotonic()
    while (clock.monotonic() < began + 5_000) {
      await expect(clock.runUntil(urgent())).rejects.toMatchObject({ code: 'storage-failed' })
      await clock.advance(10)
    }
    expect(tries() - 1).toBe(20)
    connection.close()
  })

  test('takes nothing from the tries of others: after 30 s there is one more, as ever', async () => {
    const { clock, connection, rows, urgent, tries } = await exhausted()
    for (let n = 0; n < 10; n += 1) {
      await expect(patiently(clock, urgent())).rejects.toMatchObject({ code: 'storage-failed' })
      await clock.advance(300)
    }
    const before = tries()
    await clock.advance(30_000)
    await expect(clock.runUntil(rows())).rejects.toMatchObject({ code: 'storage-failed' })
    expect(tries() - before).toBe(1)
    connection.close()
  })
})

describe('what damage may come of', () => {
  test('a write that works is a sign that there is space again, a read is not', async () => {
    const { connection, rows } = connect()
    const worked = vi.spyOn(healing, 'worked')
    await rows()
    expect(worked).toHaveBeenCalledTimes(0)
    await connection.transact({ stores: ['rows'], mode: 'readwrite', what: 'writing' }, (transaction) =>
      settled(transaction.objectStore('rows').put(1, 1)),
    )
    expect(worked).toHaveBeenCalledTimes(1)
    connection.close()
  })

  test('a connection that the browser closes is a sign of it, one that was closed here is not', async () => {
    const { name, connection, rows } = connect()
    const closed = vi.spyOn(healing, 'closed')
    await rows()
    connection.reopen()
    await rows()
    expect(closed).toHaveBeenCalledTimes(0)
    takeAway(name)
    await vi.waitFor(() => expect(closed).toHaveBeenCalledTimes(1))
    connection.close()
  })
})

/** A connection to what can be made again, where `whole` says what is found. */
function connectDerived(name: string, { whole = (): boolean => true, remake = async (): Promise<void> => {} } = {}) {
  const clock = virtualClock()
  const connection = new Connection({
    name,
    version: 1,
    clock,
    remake,
    label: 'The copy',
    upgrade: (database) => void database.createObjectStore('rows'),
    verify: async () => {
      if (!whole()) throw new StorageDamagedError('It is damaged.')
    },
  })
  const rows = () =>
    connection.transact({ stores: ['rows'], mode: 'readonly', what: 'counting' }, (transaction) =>
      settled(transaction.objectStore('rows').count()),
    )
  return { clock, connection, rows }
}

test('H43: what can be made again is, also if it was deleted; what is damaged however often it is made is an error by name', async () => {
  let broken = 1
  const name = `derived-${(serial += 1)}`
  const deletions = vi.spyOn(IDBFactory.prototype, 'deleteDatabase')
  const { clock, connection, rows } = connectDerived(name, { whole: () => (broken -= 1) < 0 })
  expect(await patiently(clock, rows())).toBe(0)
  expect(deletions).toHaveBeenCalledTimes(1)
  await settled(indexedDB.deleteDatabase(name))
  expect(await patiently(clock, rows())).toBe(0)
  connection.reopen()
  broken = Infinity
  await expect(patiently(clock, rows())).rejects.toMatchObject({ code: 'storage-damaged' })
  expect(deletions.mock.calls.length).toBeLessThanOrEqual(5)
  broken = 0
  expect(await patiently(clock, rows())).toBe(0)
  connection.close()
})

test('H31: what can be made again is not, once what it was made from is lost; and not as long as that cannot be told', async () => {
  const name = `derived-${(serial += 1)}`
  let answer: unknown
  const { clock, connection, rows } = connectDerived(name, {
    remake: async () => {
      if (answer !== undefined) throw answer
    },
  })
  await patiently(clock, rows())
  await settled(indexedDB.deleteDatabase(name))
  answer = new StorageFailedError('Not now.')
  await expect(patiently(clock, rows())).rejects.toMatchObject({
    code: 'storage-failed',
    message: expect.stringContaining('Not now.'),
  })
  answer = new StorageLostError('Gone.')
  await expect(patiently(clock, rows())).rejects.toMatchObject({
    code: 'storage-lost',
    message: expect.stringContaining('The copy is gone'),
  })
  answer = undefined
  await expect(patiently(clock, rows())).rejects.toMatchObject({ code: 'storage-lost' })
  expect(await databaseExists(name)).toBe(false)
  connection.close()
})

test('H43: what is damaged and held open by somebody who ignores everybody is an error at the deadline, and made again once he is gone', async () => {
  const name = `derived-${(serial += 1)}`
  const request = indexedDB.open(name, 1)
  request.onupgradeneeded = () => request.result.createObjectStore('rows')
  const rude = await settled(request)
  let broken = true
  const { clock, connection, rows } = connectDerived(name, { whole: () => !broken })
  const waiting = rows().catch((error: unknown) => error)
  await clock.advance(30_000)
  expect(await waiting).toMatchObject({ code: 'storage-busy' })
  rude.close()
  broken = false
  expect(await patiently(clock, rows())).toBe(0)
  connection.close()
})

describe('a page that goes away', () => {
  const page = new EventTarget()
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  beforeEach(
    () =>
      void Object.assign(globalThis, {
        document,
        addEventListener: page.addEventListener.bind(page),
        removeEventListener: page.removeEventListener.bind(page),
      }),
  )
  afterEach(() => {
    for (const name of ['document', 'addEventListener', 'removeEventListener'])
      delete (globalThis as Record<string, unknown>)[name]
  })

  test('H40, H54: it lets go of what can be made again, opens nothing while it is away, and goes on when it is back', async () => {
    const name = `derived-${(serial += 1)}`
    const { clock, connection, rows } = connectDerived(name)
    expect(await patiently(clock, rows())).toBe(0)
    expect(openConnections(name)).toBe(1)
    document.dispatchEvent(new Event('freeze'))
    await vi.waitFor(() => expect(openConnections(name)).toBe(0))
    const asked = rows()
    await clock.advance(60_000)
    expect(openConnections(name)).toBe(0)
    await settled(indexedDB.deleteDatabase(name))
    document.dispatchEvent(new Event('resume'))
    expect(await clock.runUntil(asked)).toBe(0)
    connection.close()
  })

  test('H75: a connection that was closed does not listen to it any more', async () => {
    const added = vi.spyOn(document, 'addEventListener')
    const removed = vi.spyOn(document, 'removeEventListener')
    const { connection, rows } = connect()
    await rows()
    connection.close()
    const types = (calls: readonly (readonly unknown[])[]) => calls.map(([type]) => type)
    expect(types(added.mock.calls)).toEqual(['visibilitychange', 'freeze', 'resume'])
    expect(types(removed.mock.calls)).toEqual(types(added.mock.calls))
  })

  test('H54: it keeps the log, which must take what is appended on the way out', async () => {
    const { name, connection, rows } = connect()
    await rows()
    page.dispatchEvent(new Event('pagehide'))
    expect(await rows()).toBe(0)
    expect(openConnections(name)).toBe(1)
    page.dispatchEvent(new Event('pageshow'))
    connection.close()
  })
})
