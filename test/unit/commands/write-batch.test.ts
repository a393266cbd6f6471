import { describe, expect, test } from 'vitest'
import { createWriteBatch, declareStreams } from '../../../src/commands/write-batch.js'
import {
  InvalidArgumentError,
  InvalidNameError,
  UndeclaredStreamError,
  VersionConflictError,
} from '../../../src/errors.js'
import { deposited, type BankEvent } from './fake-store.js'

describe('declared streams', () => {
  test('V8: none at all is refused, a stream named twice is refused by name', () => {
    expect(() => declareStreams([])).toThrow(InvalidArgumentError)
    expect(() => declareStreams(['a', 'b', 'a'])).toThrow("names stream 'a' twice")
    expect(() => declareStreams(['a', ' a '])).toThrow("names stream 'a' twice")
    expect(() => declareStreams([''])).toThrow(InvalidNameError)
  })

  test('V9: one or several keep their order', () => {
    expect(declareStreams(['one'])).toEqual(['one'])
    expect(declareStreams(['b', 'a'])).toEqual(['b', 'a'])
  })
})

describe('a write batch', () => {
  test('V10: a stream registered twice at the same version is accepted', () => {
    const batch = createWriteBatch<BankEvent>()
    batch.participate('a', 3)
    batch.participate('a', 3)
    expect([...batch.expectations()]).toEqual([['a', 3]])
  })

  test('V11: the same stream at two versions is a conflict that names both', () => {
    const batch = createWriteBatch<BankEvent>()
    batch.participate('a', 3)
    expect(() => batch.participate('a', 4)).toThrow(VersionConflictError)
    expect(() => batch.participate('a', 4)).toThrow(expect.objectContaining({ stream: 'a', expected: 3, actual: 4 }))
    expect(() => batch.participate(' a ', 2)).toThrow(expect.objectContaining({ stream: 'a', expected: 3, actual: 2 }))
  })

  test('V12: an event for a stream that takes no part is refused', () => {
    const batch = createWriteBatch<BankEvent>()
    batch.participate('a', 0)
    expect(() => batch.add({ stream: 'b', ...deposited(1) })).toThrow(UndeclaredStreamError)
  })

  test('V13: expectations are read back exactly', () => {
    const batch = createWriteBatch<BankEvent>()
    batch.participate('a', 0)
    batch.participate('b', 5)
    expect([...batch.expectations()]).toEqual([
      ['a', 0],
      ['b', 5],
    ])
  })

  test('V14: events come back in the order in which they were added, idle participants after them', () => {
    const batch = createWriteBatch<BankEvent>()
    batch.participate('idle', 7)
    batch.participate('a', 0)
    batch.participate('b', 5)
    batch.add({ stream: 'a', ...deposited(1) })
    batch.add({ stream: 'a', ...deposited(2) })
    batch.add({ stream: 'b', ...deposited(3) })
    batch.add({ stream: 'a', ...deposited(4) })
    expect(batch.writes()).toEqual([
      { stream: 'a', events: [deposited(1), deposited(2)], expectedVersion: 0 },
      { stream: 'b', events: [deposited(3)], expectedVersion: 5 },
      { stream: 'a', events: [deposited(4)], expectedVersion: 0 },
      { stream: 'idle', events: [], expectedVersion: 7 },
    ])
  })
})
