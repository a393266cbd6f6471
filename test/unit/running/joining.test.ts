// Joining a projection to its store: what fails is tried again by a call of the app, and only then.
import { expect, test, vi } from 'vitest'
import type { Attached } from '../../../src/running/attach.js'
import { Joining } from '../../../src/running/joining.js'
import { codeOf } from '../read-model/support.js'

/** A joining whose tries the test settles. */
function joining() {
  const tries: { resolve(): void; reject(error: Error): void }[] = []
  const retryNow = vi.fn()
  const reopen = vi.fn(async () => {})
  const attached = { target: { key: 'p' }, backend: { reopen }, retryNow } as unknown as Attached<never>
  const controller = new AbortController()
  const done = vi.fn()
  const attach = () =>
    new Promise<Attached<never>>((resolve, reject) => tries.push({ resolve: () => resolve(attached), reject }))
  return { joining: new Joining(attach, controller.signal, done), tries, attached, retryNow, reopen, done, controller }
}
const no = Object.assign(new Error('no'), { code: 'storage-failed' })

test('it is joined at the first try, and every call gets the same', async () => {
  const { joining: it, tries, attached, retryNow, done } = joining()
  expect(it.attached).toBeUndefined()
  tries[0]?.resolve()
  expect(await it.latest).toBe(attached)
  expect([await it.urgent(), it.attached, it.failed]).toEqual([attached, attached, false])
  expect([tries.length, retryNow.mock.calls.length, done.mock.calls.length]).toEqual([1, 1, 1])
})

test('a call tries again what failed, and opens the storage for controls', async () => {
  const { joining: it, tries, attached, reopen, done } = joining()
  tries[0]?.reject(no)
  expect(await codeOf(it.latest)).toBe('storage-failed')
  expect([it.failed, it.attached, done.mock.calls.length]).toEqual([true, undefined, 0])
  const controls = it.controls()
  tries[1]?.resolve()
  expect(await controls).toBe(attached.target)
  expect([it.failed, reopen.mock.calls]).toEqual([false, [[{ urgent: true }]]])
  // Not while a try is under way or after one that succeeded.
  it.retry()
  expect(tries).toHaveLength(2)
})

test('once the projection is stopped, a call does not try again', async () => {
  const { joining: it, tries, controller } = joining()
  tries[0]?.reject(no)
  await codeOf(it.latest)
  controller.abort()
  expect(await codeOf(it.urgent())).toBe('storage-failed')
  expect(tries).toHaveLength(1)
})
