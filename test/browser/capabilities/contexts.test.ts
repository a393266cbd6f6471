// What coordination and signals take for granted: Web Locks, BroadcastChannel, and the page itself.
import { openEventStore } from 'tidemark'
import { expect, test } from 'vitest'
import { thrown } from './database.js'

const freshName = () => `tidemark:flights:board@1 ${crypto.randomUUID()}`

/** Holds a lock until it is told to let go. */
async function hold(name: string, options: LockOptions = {}) {
  let release = () => {}
  const held = new Promise<void>((resolve) => (release = resolve))
  let ended: Promise<unknown> = Promise.resolve()
  await new Promise<void>((granted, refused) => {
    ended = navigator.locks.request(name, options, () => (granted(), held))
    ended.catch(refused)
  })
  return { release, ended }
}

test('H60: Web Locks exclude each other, and say so at once when asked', async () => {
  const name = freshName()
  const { release, ended } = await hold(name)
  expect(await navigator.locks.request(name, { ifAvailable: true }, (lock) => lock)).toBeNull()
  expect(await navigator.locks.request(freshName(), { ifAvailable: true }, (lock) => lock?.mode)).toBe('exclusive')
  release()
  await ended
  expect(await navigator.locks.request(name, { ifAvailable: true }, (lock) => lock?.name)).toBe(name)
})

test('who waits for a lock gets it in the order of asking', async () => {
  const name = freshName()
  const { release } = await hold(name)
  const order: number[] = []
  const waiting = [1, 2, 3].map((number) => navigator.locks.request(name, () => void order.push(number)))
  release()
  await Promise.all(waiting)
  expect(order).toEqual([1, 2, 3])
})

test('a signal ends the wait for a lock, with its reason, and the next in line gets it', async () => {
  const name = freshName()
  const { release } = await hold(name)
  const controller = new AbortController()
  const waiting = navigator.locks.request(name, { signal: controller.signal }, () => 'granted')
  const next = navigator.locks.request(name, () => 'granted')
  controller.abort(new Error('stopped'))
  await expect(waiting).rejects.toThrow('stopped')
  release()
  expect(await next).toBe('granted')
})

test('H60: the request of a lock that a stranger stole is rejected', async () => {
  const name = freshName()
  const { release, ended } = await hold(name)
  await navigator.locks.request(name, { steal: true }, () => {})
  await expect(ended).rejects.toMatchObject({ name: 'AbortError' })
  release()
})

test('H65: a BroadcastChannel reaches another channel of its name, not itself, not other names, and no closed one', async () => {
  const name = freshName()
  const [from, to, closed, other] = [name, name, name, freshName()].map(
    (each) => new BroadcastChannel(each),
  ) as Four<BroadcastChannel>
  const received: unknown[] = []
  for (const channel of [from, closed, other]) channel.onmessage = () => received.push('nothing should come here')
  closed.close()
  const last = new Promise<void>((resolve) => {
    to.onmessage = ({ data }) => {
      received.push(data)
      if (data.kind === 'last') resolve()
    }
  })
  from.postMessage({ kind: 'committed', position: 7, tables: ['a'] })
  from.postMessage({ kind: 'last' })
  await last
  expect(received).toEqual([{ kind: 'committed', position: 7, tables: ['a'] }, { kind: 'last' }])
  expect(thrown(() => closed.postMessage({}))).toMatchObject({ name: 'InvalidStateError' })
  for (const channel of [from, to, other]) channel.close()
})

test('the page is a secure context with random numbers and structured clone', () => {
  expect(isSecureContext).toBe(true)
  expect(crypto.randomUUID()).toMatch(/^[0-9a-f-]{36}$/)
  expect(new Set(crypto.getRandomValues(new Uint32Array(64))).size).toBeGreaterThan(1)
  expect(structuredClone({ a: [1], at: new Date(1) })).toEqual({ a: [1], at: new Date(1) })
})

test('handlers give way to the page: a message to itself comes as a task, after the promises', async () => {
  const order: string[] = []
  const { port1, port2 } = new MessageChannel()
  const task = new Promise<void>((resolve) => (port1.onmessage = () => (order.push('message'), resolve())))
  port2.postMessage(null)
  queueMicrotask(() => order.push('microtask'))
  await Promise.resolve().then(() => order.push('promise'))
  await task
  port1.close()
  expect(order).toEqual(['microtask', 'promise', 'message'])
})

test('a store is disposable exactly where the engine has the symbol, and can be closed everywhere', async () => {
  const store = await openEventStore({ name: freshName() })
  const symbol = (Symbol as { asyncDispose?: symbol }).asyncDispose
  expect(symbol === undefined ? undefined : symbol in store).toBe(symbol === undefined ? undefined : true)
  await store.close()
  await expect(store.head()).rejects.toMatchObject({ code: 'closed' })
})

type Four<T> = [T, T, T, T]
