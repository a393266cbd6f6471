/** A disk that refuses writes: nothing is acknowledged that is not stored, and the log goes on if it can. */
import { open, stat } from 'node:fs/promises'
import { openFileLogStore, type FileLogStore, type LoggedCommit } from 'tidemark/file'
import { StorageFailedError, StorageFullError } from 'tidemark'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import { LogFile } from '../../../src/file/log-file.js'
import { seededRandom } from '../../../src/testing/random.js'
import { allOf, inMemory, newFolder, newPath, push } from './support.js'
import { addCommit } from './support-commit.js'

type Handle = Awaited<ReturnType<typeof open>>
let handles: Handle

beforeAll(async () => {
  const handle = await open(import.meta.filename)
  handles = Object.getPrototypeOf(handle) as Handle
  await handle.close()
})

afterEach(() => {
  vi.restoreAllMocks()
})

const problem = (code: string) => Object.assign(new Error(`${code}: no`), { code })

test('a full disk, in the middle of a frame: it is refused, and works again when there is room', async () => {
  const path = await newPath()
  const store = await openFileLogStore({ path })
  const first = await push(store, [{ id: 'a', stream: 's' }])
  const { size } = await stat(path)
  const { write } = handles
  vi.spyOn(handles, 'write').mockImplementation(async function (this: Handle, ...[bytes, from, , at]: unknown[]) {
    await (Reflect.apply(write, this, [bytes, from, 30, at]) as Promise<unknown>)
    throw problem('ENOSPC')
  } as never)
  const error: unknown = await push(store, [{ id: 'b', stream: 's' }]).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(StorageFullError)
  expect(error).toMatchObject({ outcome: 'not-written', cause: { code: 'ENOSPC' } })
  expect([await store.head(), (await stat(path)).size]).toEqual([1, size])
  vi.restoreAllMocks()
  const second = await push(store, [{ id: 'b', stream: 's' }])
  await store.close()
  const again = await openFileLogStore({ path })
  expect(again.opened.cut).toBeUndefined()
  expect(await allOf(again)).toEqual([first, second])
  await again.close()
})

test('a flush that fails: what was decided on it is refused as well, and none of it is there', async () => {
  const path = await newPath()
  const store = await openFileLogStore({ path })
  await push(store, [{ id: 'a', stream: 's' }])
  let fail = (_error: unknown): void => {}
  const flushing = new Promise<void>((isFlushing) => {
    vi.spyOn(handles, 'datasync').mockImplementationOnce(() => {
      isFlushing()
      return new Promise((_resolve, reject) => (fail = reject))
    })
  })
  const onItsWay = push(store, [{ id: 'b', stream: 's' }])
  await flushing
  const gathered = push(store, [{ id: 'c', stream: 's' }])
  let decideOn = (): void => {}
  let hasBegun = (): void => {}
  const began = new Promise<void>((resolve) => (hasBegun = resolve))
  const deciding = store.decide(async (log) => {
    expect((await log.last(['s'])).get('s')?.id).toBe('c')
    const goesOn = new Promise<void>((resolve) => (decideOn = resolve))
    hasBegun()
    await goesOn
    return 'decided'
  })
  const seen = store.decide(async (log) => [...(await log.find(['a', 'b', 'c'])).keys()])
  const settled = Promise.allSettled([onItsWay, gathered, deciding])
  await began
  fail(problem('EIO'))
  await onItsWay.catch(() => {})
  decideOn()
  expect((await settled).map((each) => (each as PromiseRejectedResult).reason as unknown)).toEqual([
    expect.any(StorageFailedError),
    expect.any(StorageFailedError),
    expect.any(StorageFailedError),
  ])
  expect(await seen).toEqual(['a'])
  await push(store, [{ id: 'b', stream: 's' }])
  expect((await allOf(store)).flatMap(({ events }) => events.map(({ id }) => id))).toEqual(['a', 'b'])
  await store.close()
})

test('a write that can be neither stored nor taken back: the store stops, and says that it does not know', async () => {
  const path = await newPath()
  const store = await openFileLogStore({ path })
  await push(store, [{ id: 'a', stream: 's' }])
  vi.spyOn(handles, 'datasync').mockRejectedValue(problem('EIO'))
  vi.spyOn(handles, 'truncate').mockRejectedValue(problem('EIO'))
  await expect(push(store, [{ id: 'b', stream: 's' }])).rejects.toMatchObject({ outcome: 'unknown' })
  await expect(push(store, [{ id: 'c', stream: 's' }])).rejects.toBeInstanceOf(StorageFailedError)
  await expect(store.head()).rejects.toBeInstanceOf(StorageFailedError)
  vi.restoreAllMocks()
  await store.close()
  const again = await openFileLogStore({ path })
  expect((await allOf(again)).flatMap(({ events }) => events.map(({ id }) => id))).toEqual(['a', 'b'])
  await again.close()
})

const idsIn = async (path: string): Promise<string[]> => {
  const store = await openFileLogStore({ path })
  const commits = await allOf(store)
  await store.close()
  return commits.flatMap(({ events }) => events.map(({ id }) => id))
}

/** The next write fails, and what it left is cut when `cut` is called. */
function failingOnce(code: string, cutError?: Error) {
  const { truncate } = handles
  let cut = (): void => {}
  const mayCut = new Promise<void>((resolve) => (cut = resolve))
  vi.spyOn(handles, 'datasync').mockRejectedValueOnce(problem(code))
  const cutting = new Promise<void>((isCutting) => {
    vi.spyOn(handles, 'truncate').mockImplementationOnce(async function (this: Handle, size) {
      isCutting()
      await mayCut
      if (cutError !== undefined) throw cutError
      await (Reflect.apply(truncate, this, [size]) as Promise<void>)
    })
  })
  return { cutting, cut }
}

const turnsOfTheLoop = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

test('decisions that begin while a write is taken back wait for its end, and are stored once', async () => {
  const path = await newPath(inMemory)
  const store = await openFileLogStore({ path })
  await push(store, [{ id: 'a', stream: 's' }])
  const { cutting, cut } = failingOnce('ENOSPC')
  const failed = push(store, [{ id: 'b', stream: 's' }]).catch((error: unknown) => error)
  await cutting
  const heads: number[] = []
  const later = ['c', 'd', 'e'].map((id) =>
    store.decide((log) => {
      heads.push(log.head)
      return addCommit(log, [{ id, stream: 's' }])
    }),
  )
  await turnsOfTheLoop(20)
  expect(heads).toEqual([])
  cut()
  expect(await failed).toBeInstanceOf(StorageFullError)
  expect((await Promise.all(later)).map(({ events }) => events[0]?.position)).toEqual([2, 3, 4])
  expect(heads).toEqual([1, 2, 3])
  await store.close()
  expect(await idsIn(path)).toEqual(['a', 'c', 'd', 'e'])
})

test.each([
  ['is taken back', undefined, ['a', 'c']],
  // The flush failed, but what it wrote is there.
  ['cannot be taken back', problem('EIO'), ['a', 'b']],
])('a close while a write %s: it waits, and every decision is settled', async (_title, cutError, stored) => {
  const path = await newPath(inMemory)
  const store = await openFileLogStore({ path })
  await push(store, [{ id: 'a', stream: 's' }])
  const { cutting, cut } = failingOnce('EIO', cutError)
  const failed = push(store, [{ id: 'b', stream: 's' }]).catch((error: unknown) => error)
  await cutting
  const later = push(store, [{ id: 'c', stream: 's' }]).then(
    () => 'stored',
    (error: unknown) => (error as StorageFailedError).code,
  )
  let isClosed = false
  const closing = store.close().then(() => (isClosed = true))
  await turnsOfTheLoop(20)
  expect(isClosed).toBe(false)
  cut()
  await closing
  expect(await failed).toMatchObject({ outcome: cutError === undefined ? 'not-written' : 'unknown' })
  expect(await later).toBe(cutError === undefined ? 'stored' : 'storage-failed')
  expect(await idsIn(path)).toEqual(stored)
})

test('a decision that ends between two groups: the same loop writes it, and the next decision sees it', async () => {
  const path = await newPath(inMemory)
  const store = await openFileLogStore({ path })
  const { datasync } = handles
  let flush = (): void => {}
  const mayFlush = new Promise<void>((resolve) => (flush = resolve))
  vi.spyOn(handles, 'datasync').mockImplementationOnce(async function (this: Handle) {
    await mayFlush
    await (Reflect.apply(datasync, this, []) as Promise<void>)
  })
  let end = (): void => {}
  const mayEnd = new Promise<void>((resolve) => (end = resolve))
  // In the call that says that the first group is stored.
  store.subscribe(() => end())
  const first = push(store, [{ id: 'a', stream: 's' }])
  let hasAdded = (_added: Promise<LoggedCommit>): void => {}
  const added = new Promise<LoggedCommit>((resolve) => (hasAdded = resolve))
  const second = store.decide((log) => {
    hasAdded(addCommit(log, [{ id: 'b', stream: 's' }]))
    return mayEnd
  })
  const third = push(store, [{ id: 'c', stream: 's' }])
  await added
  flush()
  await Promise.all([first, second])
  expect((await third).events[0]).toMatchObject({ position: 3, version: 3 })
  await store.close()
  expect(await idsIn(path)).toEqual(['a', 'b', 'c'])
})

test('a close that the file system refuses: the lock is released', async () => {
  const path = await newPath(inMemory)
  const store = await openFileLogStore({ path })
  await push(store, [{ id: 'a', stream: 's' }])
  const { close } = LogFile.prototype
  vi.spyOn(LogFile.prototype, 'close').mockImplementationOnce(async function (this: LogFile) {
    await (Reflect.apply(close, this, []) as Promise<void>)
    throw problem('EIO')
  })
  await expect(store.close()).rejects.toMatchObject({ code: 'EIO' })
  expect(await idsIn(path)).toEqual(['a'])
})

/** Every operation of the disk takes its time, and some fail, some of these in the middle. */
function unreliableDisk(random: () => number, cutFails: number): void {
  const wait = async (): Promise<void> => {
    const some = Math.floor(random() * 6)
    if (random() < 0.5) await turnsOfTheLoop(some)
    else for (let step = 0; step < some; step += 1) await Promise.resolve()
  }
  const real = { write: handles.write, datasync: handles.datasync, truncate: handles.truncate }
  const mock = (name: keyof typeof real, failing: number, inTheMiddle = (args: unknown[]) => args): void => {
    vi.spyOn(handles, name).mockImplementation(async function (this: Handle, ...args: unknown[]) {
      await wait()
      const fails = random() < failing
      if (!fails || random() < 0.5)
        await (Reflect.apply(real[name], this, fails ? inTheMiddle(args) : args) as Promise<unknown>).then(wait)
      if (fails) throw problem('ENOSPC')
      return { bytesWritten: (args[0] as Buffer | undefined)?.length }
    } as never)
  }
  mock('write', 0.2, ([bytes, from, length, at]) => [bytes, from, Math.floor(random() * (length as number)), at])
  mock('datasync', 0.2)
  mock('truncate', cutFails)
}

/** What clients were told. */
interface Told {
  readonly stored: LoggedCommit[]
  readonly seen: Set<string>
  readonly notStored: string[]
}

async function client(store: FileLogStore, name: string, random: () => number, told: Told): Promise<void> {
  for (let step = 0; step < 8; step += 1) {
    const id = `${name}-${step}`
    const stream = `s${Math.floor(random() * 3)}`
    await turnsOfTheLoop(Math.floor(random() * 4))
    try {
      if (random() < 0.2) {
        const known = await store.decide((log) => log.find([...told.notStored, `${name}-${step - 1}`]))
        for (const each of known.keys()) told.seen.add(each)
      }
      const thinks = Math.floor(random() * 3)
      const drafts = [{ id, stream }, ...(random() < 0.3 ? [{ id: `${id}+`, stream: 's0' }] : [])]
      const commit = await store.decide(async (log) => {
        await turnsOfTheLoop(thinks)
        return addCommit(log, drafts)
      })
      told.stored.push(commit)
    } catch (error) {
      if ((error as StorageFailedError).outcome === 'not-written') told.notStored.push(id)
    }
  }
}

test('on a disk that fails at any time: what was acknowledged is there, once, and what was refused is not', async () => {
  const folder = await newFolder(inMemory)
  let [acknowledged, refused] = [0, 0]
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = seededRandom(seed)
    const path = `${folder}/${seed}.log`
    const store = await openFileLogStore({ path })
    unreliableDisk(random, seed % 3 === 0 ? 0.2 : 0)
    const told: Told = { stored: [], seen: new Set(), notStored: [] }
    const clients = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => client(store, name, random, told))
    if (seed % 4 === 0) await turnsOfTheLoop(Math.floor(random() * 40))
    else await Promise.all(clients)
    await store.close()
    await Promise.all(clients)
    vi.restoreAllMocks()
    const again = await openFileLogStore({ path })
    const commits = await allOf(again)
    await again.close()
    const ids = commits.flatMap(({ events }) => events.map(({ id }) => id))
    expect(new Set(ids).size, `seed ${seed}`).toBe(ids.length)
    const stored = new Set(commits.map((commit) => JSON.stringify(commit.events)))
    expect(
      told.stored.filter(({ events }) => !stored.has(JSON.stringify(events))),
      `seed ${seed}`,
    ).toEqual([])
    expect(ids, `seed ${seed}`).toEqual(expect.arrayContaining([...told.seen]))
    expect(
      ids.filter((id) => told.notStored.includes(id)),
      `seed ${seed}`,
    ).toEqual([])
    acknowledged += told.stored.length
    refused += told.notStored.length
  }
  expect(acknowledged).toBeGreaterThan(300)
  expect(refused).toBeGreaterThan(100)
})
