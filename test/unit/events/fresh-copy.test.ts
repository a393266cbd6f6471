import { expect, test } from 'vitest'
import { freshCopy } from '../../../src/events/fresh-copy.js'

class Money {
  amount = 1
}

test('plain objects, arrays, Maps, Sets, Dates and typed arrays are copied, in depth', () => {
  const state = {
    list: [{ n: 1 }, [2]],
    map: new Map([['a', { n: 1 }]]),
    keys: new Map([[{ id: 1 }, 2]]),
    set: new Set([{ n: 1 }]),
    when: new Date(7),
    bytes: new Uint8Array([1, 2]),
    bare: Object.assign(Object.create(null), { a: { n: 1 } }),
    [Symbol.for('s')]: { n: 1 },
    nothing: null,
    missing: undefined,
  }
  const copy = freshCopy(state)
  expect(copy).toEqual(state)
  expect(Object.getPrototypeOf(copy.bare)).toBe(null)
  const parts = (of: typeof state) => [
    of,
    of.list,
    of.list[0],
    of.list[1],
    of.map,
    of.map.get('a'),
    of.keys,
    [...of.keys.keys()][0],
    of.set,
    [...of.set][0],
    of.when,
    of.bytes,
    of.bytes.buffer,
    of.bare,
    of.bare.a,
  ]
  const own = parts(copy)
  parts(state).forEach((part, at) => expect(own[at], `part ${at}`).not.toBe(part))
  copy.when.setTime(8)
  copy.bytes[0] = 9
  expect([state.when.getTime(), state.bytes[0]]).toEqual([7, 1])
})

test('what cannot be copied without a loss stays the same: functions, and instances of classes with what they hold', () => {
  class Shelf extends Map {}
  class Row extends Array {}
  const state = {
    money: new Money(),
    run: () => 1,
    inherits: Object.create({ a: 1 }) as object,
    shelf: new Shelf(),
    row: new Row(),
    regexp: /x/,
    weak: new WeakMap(),
    list: [new Money()],
  }
  const copy = freshCopy(state)
  expect(copy).not.toBe(state)
  for (const key of ['money', 'run', 'inherits', 'shelf', 'row', 'regexp', 'weak'] as const)
    expect(copy[key], key).toBe(state[key])
  expect(copy.list[0]).toBe(state.list[0])
  for (const value of [1, 'a', null, undefined, Symbol.iterator, 1n, Money]) expect(freshCopy(value)).toBe(value)
})

test('an object that is there twice is copied once, also where it contains itself', () => {
  const shared = { n: 1 }
  const state = {
    one: shared,
    other: shared,
    list: [] as unknown[],
    map: new Map<unknown, unknown>(),
    set: new Set<unknown>(),
  }
  state.list.push(state)
  state.map.set('self', state.map)
  state.set.add(state.set)
  const copy = freshCopy(state)
  expect(copy.one).toBe(copy.other)
  expect(copy.list[0]).toBe(copy)
  expect(copy.map.get('self')).toBe(copy.map)
  expect(copy.set.has(copy.set)).toBe(true)
})

test('a frozen state may be changed in the copy, and an own __proto__ stays a property', () => {
  const state = Object.freeze({ list: Object.freeze([1]), ...(JSON.parse('{"__proto__":{"polluted":1}}') as object) })
  const copy = freshCopy(state) as { list: number[]; polluted?: unknown }
  copy.list.push(2)
  expect(copy.list).toEqual([1, 2])
  expect(copy.polluted).toBeUndefined()
  expect(Object.keys(copy)).toEqual(['list', '__proto__'])
})
