import { expect, test, vi } from 'vitest'
import { createId, isUuidV7 } from '../../../src/events/identifier.js'

// Later tests use later times: the ids of this context never go back.
const start = Date.UTC(2030, 0, 1)

const timeOf = (id: string) => Number.parseInt(id.replace('-', '').slice(0, 12), 16)

test('an id is a UUIDv7 that begins with the time', () => {
  const id = createId(start)
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(isUuidV7(id)).toBe(true)
  expect(timeOf(id)).toBe(start)
})

test('ids of one context strictly increase: within a ms, over time, and when the clock goes back (H52)', () => {
  const times = [
    ...Array.from({ length: 20_000 }, () => start + 1),
    start + 2,
    start - 5000,
    0,
    -1,
    Number.NaN,
    start + 3,
  ]
  const ids = times.map(createId)
  expect(ids.every(isUuidV7)).toBe(true)
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids).toEqual([...ids].sort())
})

test('the tail of ids in the same ms is random', () => {
  expect(new Set(Array.from({ length: 1000 }, () => createId(start + 10).slice(-8))).size).toBeGreaterThan(990)
})

test('two contexts make different ids at the same time', async () => {
  vi.resetModules()
  const other = await import('../../../src/events/identifier.js')
  expect(other.createId).not.toBe(createId)
  expect(other.createId(start + 20)).not.toBe(createId(start + 20))
})

test('a context whose first clock reading is nonsense makes an id', async () => {
  for (const time of [Number.NaN, -1, Infinity, 1e300]) {
    vi.resetModules()
    const fresh = await import('../../../src/events/identifier.js')
    const ids = [fresh.createId(time), fresh.createId(time)]
    expect(ids.every(fresh.isUuidV7)).toBe(true)
    expect(ids).toEqual([...ids].sort())
  }
})

test.for(['', 'a', '01890a5d-ac96-474b-bcce-b302099a8057', '01890a5d-ac96-774b-7cce-b302099a8057', 7, undefined])(
  '%s is no UUIDv7',
  (value) => {
    expect(isUuidV7(value)).toBe(false)
  },
)
