// A new value keeps the parts of the old one that are the same.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { equal } from '../../../src/read-model/equal.js'
import { frozen, share } from '../../../src/reading/share.js'

const seed = { seed: 20261129, numRuns: 2_000 }
/** No `-0`, which is `0` for some comparisons and not for others. */
const json = fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown)

/** Every pair of parts that are at the same place. */
function pairs(left: unknown, right: unknown): [unknown, unknown][] {
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return []
  const parts = Object.keys(right).filter((key) => Object.hasOwn(left, key))
  return [[left, right], ...parts.flatMap((key) => pairs((left as never)[key], (right as never)[key]))]
}

describe('share', () => {
  test('is equal to the new value, and each part that equals its counterpart is that object', () => {
    fc.assert(
      fc.property(json, json, (before, after) => {
        const copy = structuredClone(after)
        const shared = share(before, after)
        expect(shared).toEqual(copy)
        // The new value was not changed for that.
        expect(after).toEqual(copy)
        for (const [left, right] of pairs(before, shared)) if (equal(left, right)) expect(right).toBe(left)
      }),
      seed,
    )
  })

  test('an equal value is the old one', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(share(value, structuredClone(value))).toBe(value)
      }),
      seed,
    )
  })

  test('Dates, maps, sets and bytes stay whole, and what cannot be looked into is never the same', () => {
    const make = () => [
      new Date(3),
      new Map([[1, { a: 1 }]]),
      new Set([1]),
      new Uint8Array([1, 2]),
      new ArrayBuffer(3),
      /a/g,
    ]
    const [before, after] = [make(), make()]
    expect(share(before, after)).toBe(before)
    const others = [
      new Date(4),
      new Map([[1, { a: 2 }]]),
      new Set([2]),
      new Uint8Array([1, 3]),
      new ArrayBuffer(4),
      /b/g,
    ]
    for (const [at, part] of share<unknown[]>(before, others).entries()) expect(part).toBe(others[at])
    class Own {
      a = 1
    }
    for (const opaque of [() => new Blob(['a']), () => new Own(), () => () => 1]) {
      const again = { part: opaque() }
      expect(share({ part: opaque() }, again)).toBe(again)
    }
  })

  test('a list that became shorter, holes, and properties that are missing or undefined are told apart', () => {
    expect(share([1, 2], [1])).toEqual([1])
    const hole = [1, , 2]
    expect(share([1, undefined, 2], hole)).toBe(hole)
    const missing = {}
    expect(share({ a: undefined }, missing)).toBe(missing)
    const undefined_ = { a: undefined }
    expect(share({}, undefined_)).toBe(undefined_)
    expect(share([0], [-0])).toEqual([-0])
    expect(share({ length: 1 }, [1])).toEqual([1])
  })

  test('what contains itself is compared, and is the old or the new one', () => {
    const make = (n: number) => {
      const row: { n: number; self?: unknown; list?: unknown[] } = { n }
      row.self = row
      row.list = [row, { row }]
      return row
    }
    const [before, same, other] = [make(1), make(1), make(2)]
    expect(share(before, same)).toBe(before)
    expect(share(before, other)).toBe(other)
  })

  test('what is nested too deep to be compared is the new one', () => {
    const nested = () => {
      let value: unknown = 1
      for (let depth = 0; depth < 50_000; depth += 1) value = [value]
      return value
    }
    const after = nested()
    expect(share(nested(), after)).toBe(after)
  })

  test('an object that is there in two places is shared in both', () => {
    const part = { a: [1] }
    const before = { left: part, right: part, n: 1 }
    const twice = { a: [1] }
    const shared = share(before, { left: twice, right: twice, n: 2 })
    expect([shared.left, shared.right]).toEqual([part, part])
    expect(shared.left).toBe(part)
    expect(shared.right).toBe(part)
  })
})

test('frozen freezes lists and plain objects in every part, and leaves alone what cannot be frozen', () => {
  const value = { list: [{ a: 1 }], at: new Date(1), bytes: new Uint8Array([1]), map: new Map() }
  expect(frozen(value)).toBe(value)
  expect([value, value.list, value.list[0]].every((part) => Object.isFrozen(part))).toBe(true)
  expect([value.at, value.bytes, value.map].some((part) => Object.isFrozen(part))).toBe(false)
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  expect(Object.isFrozen(frozen(cycle))).toBe(true)
})
