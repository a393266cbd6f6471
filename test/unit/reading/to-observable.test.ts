// Live queries as observables, in RxJS.
import { filter, from, map } from 'rxjs'
import { expect, expectTypeOf, test, vi } from 'vitest'
import { toObservable, type LiveSnapshot } from 'tidemark'
import { fakeQuery } from '../../bindings/fake-query.js'

test('from() takes it: the current snapshot first, then each other one, until unsubscribed', () => {
  const query = fakeQuery<number>()
  const seen: LiveSnapshot<number>[] = []
  const subscription = from(toObservable(query)).subscribe((snapshot) => {
    expectTypeOf(snapshot).toEqualTypeOf<LiveSnapshot<number>>()
    seen.push(snapshot)
  })
  const error = new Error('failed')
  query.answer(1)
  query.tell()
  query.fail(error)
  query.answer(2)
  expect(seen.map(({ status, data }) => [status, data])).toEqual([
    ['loading', undefined],
    ['ready', 1],
    ['error', 1],
    ['ready', 2],
  ])
  expect(seen[2]?.error).toBe(error)
  subscription.unsubscribe()
  expect(query.subscribers).toBe(0)
  query.answer(3)
  expect(seen).toHaveLength(4)
})

test('operators narrow and map it', () => {
  const query = fakeQuery<number>()
  const seen: number[] = []
  from(toObservable(query))
    .pipe(
      filter((snapshot) => snapshot.status === 'ready'),
      map(({ data }) => data * 2),
    )
    .subscribe((double) => seen.push(double))
    .add(() => seen.push(-1))
  query.answer(1)
  query.answer(2)
  expect(seen).toEqual([2, 4])
})

test('an answer that is there comes at once, as `toSignal` of Angular wants it with requireSync', () => {
  const query = fakeQuery<number>()
  query.answer(1)
  const seen: unknown[] = []
  const { unsubscribe } = toObservable(query).subscribe({ next: ({ data }) => void seen.push(data) })
  expect(seen).toEqual([1])
  unsubscribe()
  expect(query.subscribers).toBe(0)
  toObservable(query).subscribe({}).unsubscribe()
})

test('an answer that comes while it subscribes is not lost, and comes once', () => {
  const query = fakeQuery<number>()
  const seen: unknown[] = []
  toObservable({
    ...query,
    subscribe(listener) {
      const stop = query.subscribe(listener)
      query.answer(1)
      return stop
    },
  }).subscribe(({ data }) => seen.push(data))
  expect(seen).toEqual([1])
})

test('where Symbol.observable is defined, it is asked for by that', async () => {
  const at = Symbol('observable')
  Object.defineProperty(Symbol, 'observable', { value: at, configurable: true })
  try {
    vi.resetModules()
    const rxjs = await import('rxjs')
    const query = fakeQuery<number>()
    const observable = toObservable(query)
    expect(observable[Symbol.observable]()).toBe(observable)
    const seen: unknown[] = []
    rxjs.from(observable).subscribe(({ status }) => seen.push(status))
    expect(seen).toEqual(['loading'])
  } finally {
    Reflect.deleteProperty(Symbol, 'observable')
  }
})
