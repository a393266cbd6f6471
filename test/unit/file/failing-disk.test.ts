/** A disk that refuses writes: nothing is acknowledged that is not stored, and the log goes on if it can. */
import { open, stat } from 'node:fs/promises'
import { openFileLogStore } from 'tidemark/file'
import { StorageFailedError, StorageFullError } from 'tidemark'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import { allOf, newPath, push } from './support.js'

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
