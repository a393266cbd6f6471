// The order of appends, without a log.
import { expect, test } from 'vitest'
import { ClosedError } from '../../../src/errors.js'
import { AppendQueue } from '../../../src/log/append-queue.js'
import type { PreparedAppend } from '../../../src/log/prepared-append.js'

const named = (name: string): PreparedAppend => ({
  events: [],
  expected: new Map([[name, 'any']]),
  condition: undefined,
  pathOf: (index) => `events[${index}]`,
})

/** A queue over a store that notes what it is given, and settles when it is told. */
function queued() {
  const begun: string[] = []
  const running = new Map<string, { finish: () => void; fail: (error: Error) => void }>()
  let alone = true
  const closing = new AbortController()
  const queue = new AppendQueue(({ expected }) => {
    const [name = ''] = expected.keys()
    begun.push(name)
    if (running.size > 0) alone = false
    return new Promise((resolve, reject) => {
      const end = () => running.delete(name)
      const result = { position: begun.length, firstPosition: begun.length, versions: {}, duplicate: false }
      running.set(name, { finish: () => (end(), resolve(result)), fail: (error) => (end(), reject(error)) })
    })
  }, closing.signal)
  return { queue, closing, begun, running, isAlone: () => alone }
}
const settled = () => new Promise((resolve) => setImmediate(resolve))

test('appends are stored one after the other, also after a failure', async () => {
  const { queue, begun, running, isAlone } = queued()
  const first = queue.append(named('a'), {})
  const second = queue.append(named('b'), {})
  await settled()
  expect(begun).toEqual(['a'])
  running.get('a')?.fail(new Error('no'))
  await expect(first).rejects.toThrow('no')
  await settled()
  running.get('b')?.finish()
  await expect(second).resolves.toMatchObject({ position: 2 })
  expect(isAlone()).toBe(true)
})

test('one begins in the turn of its call if no other is under way, also the first after a failure', async () => {
  const { queue, begun, running, isAlone } = queued()
  const first = queue.append(named('a'), {})
  expect(begun).toEqual(['a'])
  const second = queue.append(named('b'), {})
  running.get('a')?.finish()
  // Where the caller of the first has its result, the second has its place.
  const third = first.then(() => queue.append(named('c'), {}))
  await settled()
  expect(begun).toEqual(['a', 'b'])
  running.get('b')?.fail(new Error('no'))
  await expect(second).rejects.toThrow('no')
  await settled()
  running.get('c')?.finish()
  await third
  const last = queue.append(named('d'), {})
  expect(begun).toEqual(['a', 'b', 'c', 'd'])
  running.get('d')?.finish()
  await last
  expect(isAlone()).toBe(true)
})

test('one whose signal was aborted while it was prepared is never stored', async () => {
  const { queue, begun } = queued()
  expect(() => queue.append(named('a'), { signal: AbortSignal.abort(new Error('stop')) })).toThrow('stop')
  const next = queue.append(named('b'), {})
  expect(begun).toEqual(['b'])
  void next
})

test('one that prepares in slices keeps its place; one that waits for the app gives it up', async () => {
  const { queue, begun, running } = queued()
  let prepare!: (append: PreparedAppend) => void
  const slow = queue.append(new Promise<PreparedAppend>((resolve) => (prepare = resolve)), {})
  let finish!: (append: PreparedAppend) => void
  const late = queue.append({ late: () => new Promise((resolve) => (finish = resolve)) }, {})
  const next = queue.append(named('next'), {})
  await settled()
  expect(begun).toEqual([])
  prepare(named('slow'))
  await settled()
  expect(begun).toEqual(['slow'])
  running.get('slow')?.finish()
  await slow
  await settled()
  running.get('next')?.finish()
  await next
  finish(named('late'))
  await settled()
  running.get('late')?.finish()
  await late
  expect(begun).toEqual(['slow', 'next', 'late'])
})

test('one that is aborted in the queue lets no other pass', async () => {
  const { queue, begun, running, isAlone } = queued()
  const first = queue.append(named('a'), {})
  const abort = new AbortController()
  const second = queue.append(named('b'), { signal: abort.signal })
  const third = queue.append(named('c'), {})
  abort.abort(new Error('stop'))
  await expect(second).rejects.toThrow('stop')
  await settled()
  expect(begun).toEqual(['a'])
  running.get('a')?.finish()
  await first
  await settled()
  running.get('c')?.finish()
  await third
  expect(begun).toEqual(['a', 'c'])
  expect(isAlone()).toBe(true)
})

test('closing waits for what is under way, and rejects what waits for the app', async () => {
  const { queue, closing, running } = queued()
  let isStored = false
  const first = queue.append(named('a'), {}).then(() => (isStored = true))
  const late = queue.append({ late: () => new Promise(() => {}) }, {})
  await settled()
  closing.abort(new ClosedError('The store'))
  const closed = queue.settled().then(() => isStored)
  await expect(late).rejects.toMatchObject({ code: 'closed' })
  running.get('a')?.finish()
  await first
  await expect(closed).resolves.toBe(true)
})
