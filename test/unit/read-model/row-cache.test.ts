// How much a leader remembers of a table: by rows, and by what they take.
import { expect, test } from 'vitest'
import { maxCachedBytes, maxCachedRows, RowCache } from '../../../src/read-model/unit-of-work/row-cache.js'
import { kept, taken } from '../../../src/read-model/unit-of-work/rows.js'

/** All share it, so that the test itself needs no memory. */
const text = 'x'.repeat(1_048_576)
const entry = (key: number, ...texts: readonly unknown[]) => taken(key, { key, texts }, 't')
const most = Math.floor(maxCachedBytes / (text.length + 32))
const keysOf = (cache: RowCache) => [...cache.entries()].map(({ key }) => key as number)

test('rows of a megabyte: as many as take what is allowed, the last ones', () => {
  const cache = new RowCache(true)
  for (let key = 0; key < most; key += 1) cache.set(key, entry(key, text))
  expect([cache.size, cache.isComplete]).toEqual([most, true])
  for (let key = most; key < 3 * most; key += 1) cache.set(key, entry(key, text))
  expect([cache.isComplete, keysOf(cache)]).toEqual([false, Array.from({ length: most }, (_, at) => 2 * most + at)])
})

test('a large row that is asked for again and again is not forgotten for those that are not', () => {
  const cache = new RowCache(true)
  for (let key = 0; key < 3 * most; key += 1) {
    cache.set(key, entry(key, text))
    expect(cache.get(0)).toBeDefined()
  }
  expect(cache.size).toBe(most)
})

test('small rows: as many as ever, also with a large one here and there', () => {
  const cache = new RowCache(true)
  for (let key = 0; key < maxCachedRows; key += 1) cache.set(key, entry(key, key % 1_000 === 0 ? text : 'a'))
  expect([cache.size, cache.isComplete]).toEqual([maxCachedRows, true])
})

test('rows that grow where they are, shrink, are deleted, and come again', () => {
  const cache = new RowCache(true)
  const rows = (of?: string) =>
    new Map(Array.from({ length: 1_000 }, (_, key) => [key, of === undefined ? { key, row: null } : entry(key, of)]))
  cache.setAll(rows('a'))
  expect([cache.size, cache.isComplete]).toEqual([1_000, true])
  cache.setAll(rows(text))
  expect([cache.size, cache.isComplete]).toEqual([most, false])
  for (const of of [undefined, 'a', undefined, 'a']) {
    cache.setAll(rows(of))
    expect(cache.size).toBe(1_000)
  }
  cache.setAll(rows(text))
  expect(cache.size).toBe(most)
})

test('one row that is larger than all that is allowed stays, until another one comes', () => {
  const cache = new RowCache(true)
  cache.set(1, entry(1, ...Array.from({ length: 200 }, () => text)))
  expect([keysOf(cache), cache.isComplete]).toEqual([[1], true])
  cache.set(2, entry(2, 'a'))
  expect([keysOf(cache), cache.isComplete]).toEqual([[2], false])
})

test('what a row takes is counted with its parts, also those that it has from the row before, or that are in it twice', () => {
  const { size = 0, row } = taken('k', { key: 'k', part: { text, more: { bytes: new Uint8Array(5_000) } } }, 't')
  expect(size).toBeGreaterThan(text.length + 5_000)
  expect(size).toBeLessThan(text.length + 5_200)
  const { part } = row as { part: object }
  expect(taken('k', { key: 'k', n: 1, part }, 't').size).toBe(size + 8)
  expect(kept('k', { key: 'k', part }, 't').size).toBe(size)
  expect(taken('k', { key: 'k', a: part, b: part }, 't').size).toBeGreaterThan(2 * size - 100)
  const loop: Record<string, unknown> = { key: 'k', text }
  loop['self'] = { loop }
  expect(taken('k', loop, 't').size).toBeLessThan(text.length + 200)
})
