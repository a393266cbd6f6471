// What a reader believes of hints.
import { describe, expect, test } from 'vitest'
import type { Changes } from '../../../src/read-model/changes.js'
import type { CommittedHint } from '../../../src/read-model/committed-hint.js'
import { follower } from '../../../src/read-model/follower.js'

const one: Changes = new Map([['lines', [{ key: 'a', keys: new Map() }]]])
const hint = (from: string, to: string, revision: number, changes: unknown = one): CommittedHint => ({
  kind: 'committed',
  projection: 'p@1',
  position: 1,
  revision,
  from,
  to,
  changes,
})
const seen = (stamp: string, revision: number) => ({ stamp, revision })

/** A follower that saw the first state. */
function started(stamp = 'a', revision = 1) {
  const mine = follower()
  mine.look()(seen(stamp, revision))
  return mine
}

describe('N48: takes a hint', () => {
  test('that begins where it is, and is there afterwards', () => {
    const mine = started()
    expect(mine.take(hint('a', 'b', 2))).toEqual(one)
    expect(mine.take(hint('b', 'd', 4, new Map([['lines', 'unknown']])))).toEqual(new Map([['lines', 'unknown']]))
    expect(mine.seen).toEqual(seen('d', 4))
    expect(mine.look()(seen('d', 4))).toBe(undefined)
  })

  test.for<[string, CommittedHint, Changes | undefined]>([
    ['twice', hint('a', 'b', 2), undefined],
    ['that is late', hint('x', 'a', 1), undefined],
    ['with a gap before it', hint('c', 'd', 4), 'unknown'],
    ['of which a merge says that there was a gap', hint('', 'd', 4, 'unknown'), 'unknown'],
    ['of an older build', hint('', '', 0, 'unknown'), 'unknown'],
    ['that leads nowhere', hint('b', '', 3), 'unknown'],
    ['whose changes are not known', hint('b', 'c', 3, 'unknown'), 'unknown'],
    ['whose changes are none', hint('b', 'c', 3, { lines: [] }), 'unknown'],
    ['that begins where it is and says that it is older', hint('b', 'c', 2), 'unknown'],
    ['that begins within what it knows already', hint('a', 'c', 3), 'unknown'],
  ])('%s, and stays where it is', ([, given, expected]) => {
    const mine = started()
    mine.take(hint('a', 'b', 2))
    expect(mine.take(given)).toEqual(expected)
    expect(mine.seen).toEqual(seen('b', 2))
    // The next look is not misled by it.
    expect(mine.look()(seen('z', 9))).toBe('unknown')
  })

  test('before the first look: nothing is known', () => {
    const mine = follower()
    expect(mine.take(hint('a', 'b', 2))).toBe('unknown')
    expect(mine.seen).toBe(undefined)
    expect(mine.look()(seen('b', 2))).toBe('unknown')
    expect(mine.look()(seen('b', 2))).toBe(undefined)
  })

  test('at a state that a build without stamps wrote: its name can be guessed', () => {
    const mine = started('5:1::0', 0)
    expect(mine.take(hint('5:1::0', 'b', 1))).toBe('unknown')
    expect(mine.seen).toEqual(seen('5:1::0', 0))
  })

  test('that leads to a name which can be guessed', () => {
    const mine = started()
    expect(mine.take(hint('a', '5:1::0', 2))).toBe('unknown')
    expect(mine.seen).toEqual(seen('a', 1))
  })
})

describe('N48: a look', () => {
  test('that hints overtook finds nothing new', () => {
    const mine = started()
    const found = mine.look()
    mine.take(hint('a', 'b', 2))
    mine.take(hint('b', 'c', 3))
    expect(found(seen('a', 1))).toBe(undefined)
    expect(found(seen('b', 2))).toBe(undefined)
    expect(found(seen('c', 3))).toBe(undefined)
    expect(mine.seen).toEqual(seen('c', 3))
  })

  test('that began later and finds what was before does not believe the hints', () => {
    const mine = started()
    mine.take(hint('a', 'b', 2))
    expect(mine.look()(seen('a', 1))).toBe('unknown')
    expect(mine.seen).toEqual(seen('a', 1))
  })

  test('that more hints overtook than are remembered', () => {
    const mine = started('0', 0)
    const found = mine.look()
    for (let at = 0; at < 200; at += 1) expect(mine.take(hint(`${at}`, `${at + 1}`, at + 1))).toEqual(one)
    expect(found(seen('0', 0))).toBe('unknown')
    expect(mine.take(hint('200', '201', 201))).toBe('unknown')
    expect(mine.look()(seen('201', 201))).toBe('unknown')
    expect(mine.take(hint('201', '202', 202))).toEqual(one)
  })

  test('that finds a read model which was made again: its revisions began again', () => {
    const mine = started('a', 1000)
    expect(mine.take(hint('x', 'y', 2))).toBe(undefined)
    expect(mine.look()(seen('y', 2))).toBe('unknown')
    expect(mine.take(hint('y', 'z', 3))).toEqual(one)
  })
})
