import { describe, expect, test } from 'vitest'
import { inProcessCoordinator } from '../../../src/locks/in-process.js'
import { webLocksCoordinator } from '../../../src/locks/web-locks.js'

/** Web Locks as far as exclusive locks go: a queue per name, `ifAvailable`, `signal` while waiting, and stealing. */
function fakeLocks() {
  interface Request {
    readonly grant: () => void
  }
  const held = new Map<string, { reject: (error: unknown) => void }>()
  const queues = new Map<string, Request[]>()
  const next = (name: string) => {
    held.delete(name)
    queues.get(name)?.shift()?.grant()
  }
  const locks = {
    request(name: string, options: LockOptions, callback: (lock: unknown) => unknown) {
      return new Promise((resolve, reject) => {
        if (name.startsWith('-')) return reject(new DOMException('Reserved', 'NotSupportedError'))
        const grant = () => {
          const holder = { reject }
          held.set(name, holder)
          void Promise.resolve(callback({ name })).then((value) => {
            if (held.get(name) === holder) next(name)
            resolve(value)
          })
        }
        if (!held.has(name)) return grant()
        if (options.ifAvailable === true) return resolve(callback(null))
        const request = { grant }
        const queue = queues.get(name) ?? []
        queues.set(name, queue)
        queue.push(request)
        options.signal?.addEventListener('abort', () => {
          const at = queue.indexOf(request)
          // After the grant the signal is ignored (H60).
          if (at < 0) return
          queue.splice(at, 1)
          reject(options.signal?.reason)
        })
      })
    },
  }
  return {
    manager: locks as unknown as LockManager,
    names: () => [...held.keys()],
    steal(name: string) {
      const holder = held.get(name)
      next(name)
      holder?.reject(new DOMException('Stolen', 'AbortError'))
    },
  }
}

const tick = () => new Promise((resolve) => setTimeout(resolve, 0))

describe.for([
  ['in process', () => inProcessCoordinator()],
  ['Web Locks', () => webLocksCoordinator(fakeLocks().manager, 'tidemark:s:')],
] as const)('%s', ([, open]) => {
  test('L1, L2, L3: a free name is granted, a held one refused at once, another is free', async () => {
    const coordinator = open()
    expect(await coordinator.tryAcquire('a')).toBeDefined()
    expect(await coordinator.tryAcquire('a')).toBeUndefined()
    expect(await coordinator.tryAcquire('b')).toBeDefined()
  })

  test('L4: a released name goes to the first in line; releasing twice harms nobody', async () => {
    const coordinator = open()
    const first = await coordinator.acquire('a')
    const order: number[] = []
    const second = coordinator.acquire('a').then((guard) => (order.push(2), guard))
    const third = coordinator.acquire('a').then((guard) => (order.push(3), guard))
    first.release()
    first.release()
    ;(await second).release()
    await third
    expect(order).toEqual([2, 3])
    expect(first.lost?.aborted ?? false).toBe(false)
  })

  test('H60: an abort before or during the wait rejects with its reason; after the grant it is ignored', async () => {
    const coordinator = open()
    const reason = new Error('enough')
    await expect(coordinator.acquire('a', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const guard = await coordinator.acquire('a', { signal: controller.signal })
    const waiting = coordinator.acquire('a', { signal: controller.signal })
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await tick()
    expect(guard.lost?.aborted ?? false).toBe(false)
    guard.release()
    await tick()
    expect(await coordinator.tryAcquire('a')).toBeDefined()
  })

  test('L6: odd names do not collide, and none is refused', async () => {
    const coordinator = open()
    for (const name of [
      'a',
      'A',
      ' a',
      'a/b',
      'a%2Fb',
      '-a',
      '__proto__',
      'constructor',
      '\u{1f600}',
      'é',
      'e\u0301',
    ]) {
      expect(await coordinator.tryAcquire(name)).toBeDefined()
    }
  })
})

test('L5: the lock is in the list of the browser while it is held', async () => {
  const locks = fakeLocks()
  const guard = await webLocksCoordinator(locks.manager, 'tidemark:s:').acquire('a')
  expect(locks.names()).toEqual(['tidemark:s:a'])
  guard.release()
  await tick()
  expect(locks.names()).toEqual([])
})

test('H55, H60: a stolen lock aborts lost, without an unhandled rejection', async () => {
  const locks = fakeLocks()
  const guard = await webLocksCoordinator(locks.manager, 'x:').acquire('a')
  locks.steal('x:a')
  await tick()
  expect(guard.lost?.aborted).toBe(true)
})

test('H60: a lock manager that refuses rejects the request', async () => {
  const manager = {
    request: () => Promise.reject(new DOMException('Inactive', 'InvalidStateError')),
  } as unknown as LockManager
  await expect(webLocksCoordinator(manager, 'x:').tryAcquire('a')).rejects.toMatchObject({ name: 'InvalidStateError' })
})
