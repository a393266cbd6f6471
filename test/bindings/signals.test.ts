// tidemark/signals in a browser.
import { computed, effect, signal } from '@preact/signals-core'
import { expect, expectTypeOf, test } from 'vitest'
import type { LiveSnapshot } from 'tidemark'
import { toSignal, toStatusSignal } from 'tidemark/signals'
import { bindingContract, textOf, type Seen, type Source } from './contract.js'
import { fakeQuery } from './fake-query.js'
import { fakeStatus } from './fake-status.js'

bindingContract({
  name: 'signals',
  keepsFormer: true,
  flush: () => Promise.resolve(),
  async mount<V>(source: Source<V>) {
    const seen: Seen<V>[] = []
    const at = document.body.appendChild(document.createElement('p'))
    const chosen = signal<Source<V>>(source)
    const live = toSignal(() => chosen.value)
    const stop = effect(() => {
      seen.push(live.value)
      at.textContent = textOf(live.value)
    })
    return {
      seen,
      text: () => at.textContent,
      async use(next: Source<V>) {
        chosen.value = next
      },
      async unmount() {
        stop()
        at.remove()
      },
    }
  },
})

test('a signal of one query has its snapshots, and rests while nothing reads it', () => {
  const query = fakeQuery<number>()
  const live = toSignal(query)
  expectTypeOf(live.value).toEqualTypeOf<LiveSnapshot<number>>()
  expect(live.value.status).toBe('loading')
  expect(query.subscribers).toBe(0)
  const seen: (number | undefined)[] = []
  const stop = live.subscribe(({ data }) => seen.push(data))
  expect(query.subscribers).toBe(1)
  query.answer(1)
  expect(live.value).toBe(query.getSnapshot())
  stop()
  expect(query.subscribers).toBe(0)
  query.answer(2)
  expect(live.value).toMatchObject({ status: 'loading', data: undefined })
  live.subscribe(({ data, stale }) => seen.push(stale ? undefined : data))()
  expect(seen).toEqual([undefined, 1, 2])
})

test('what nothing reads holds no answer, also if another follows the query: the next user may be another one', () => {
  const query = fakeQuery<number>()
  const stop = query.subscribe(() => {})
  const live = toSignal(query)
  live.subscribe(() => {})()
  query.answer(1)
  const read = live.subscribe(() => {})
  expect(live.value).toMatchObject({ data: 1, stale: false })
  read()
  expect(live.peek()).toMatchObject({ status: 'loading', data: undefined })
  stop()
})

test('signals that are computed from it follow it, and two of them subscribe once', () => {
  const query = fakeQuery<number>()
  const live = toSignal(query)
  const [double, triple] = [computed(() => (live.value.data ?? 0) * 2), computed(() => (live.value.data ?? 0) * 3)]
  const seen: number[] = []
  const stop = effect(() => void seen.push(double.value + triple.value))
  expect(query.subscribers).toBe(1)
  query.answer(10)
  expect(seen).toEqual([0, 50])
  stop()
  expect(query.subscribers).toBe(0)
})

test.for(['itself', 'of what has it'] as const)(
  'a status, %s, is followed while something reads the signal',
  (which) => {
    const status = fakeStatus()
    const shown = toStatusSignal<string>(which === 'itself' ? status : { status })
    const seen: string[] = []
    const stop = effect(() => void seen.push(shown.value))
    expect(status.listeners.size).toBe(1)
    status.set('live')
    expect(seen).toEqual(['idle', 'live'])
    stop()
    expect(status.listeners.size).toBe(0)
  },
)
