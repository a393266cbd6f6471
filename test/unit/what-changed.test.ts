// What makes a file fail that leaves something behind for the next file in its process.
import { expect, test } from 'vitest'
import { addClass, globals, rememberAll } from '../support/what-changed.js'

const remembered = (object: object) => rememberAll(new Map([['it', object]]))

test('a property that is replaced, removed or added is named until it is as before', () => {
  const object: Record<string, unknown> = { a: 1, b: Number.NaN }
  const changed = remembered(object)
  expect(changed()).toEqual([])
  object['a'] = 2
  delete object['b']
  object['c'] = 3
  expect(changed()).toEqual(['it.a', 'it.b', 'it.c'])
  Object.assign(object, { a: 1, b: Number.NaN })
  delete object['c']
  expect(changed()).toEqual([])
})

test('what a getter puts in its own place is no change; another value is, and so is another getter', () => {
  const made = {}
  const object = {}
  Object.defineProperty(object, 'lazy', { get: () => made, configurable: true })
  const changed = remembered(object)
  Object.defineProperty(object, 'lazy', { value: made, configurable: true })
  expect(changed()).toEqual([])
  Object.defineProperty(object, 'lazy', { value: {}, configurable: true })
  expect(changed()).toEqual(['it.lazy'])
  Object.defineProperty(object, 'lazy', { get: () => made, configurable: true })
  expect(changed()).toEqual(['it.lazy'])
})

test('globals are compared with what they have and what they give to their instances; what libraries keep is not', () => {
  const changed = rememberAll(globals())
  const { now } = Date
  const { prototype } = Array
  const kept = Symbol('kept')
  Date.now = () => 0
  Object.assign(globalThis, { __library: 1, [kept]: 1, document: {} })
  Object.defineProperty(prototype, 'added', { value: 1, configurable: true })
  expect(changed().sort()).toEqual(['Array.prototype.added', 'Date.now', 'document'])
  Date.now = now
  for (const name of ['__library', kept, 'document']) Reflect.deleteProperty(globalThis, name)
  Reflect.deleteProperty(prototype, 'added')
  expect(changed()).toEqual([])
})

test('a class is compared with its prototype', () => {
  class Store {
    open() {}
  }
  const found = new Map<string, object>()
  addClass(found, 'Store', Store)
  const changed = rememberAll(found)
  Store.prototype.open = () => {}
  expect(changed()).toEqual(['Store.prototype.open'])
})
