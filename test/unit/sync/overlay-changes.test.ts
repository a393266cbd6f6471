// What live queries of views over the outbox are notified of, and when.
import { expect, test } from 'vitest'
import { OverlayChanges } from '../../../src/sync/overlay/overlay-changes.js'

const at = (revision: number) => ({ stamp: `stamp${revision}`, revision })
const hint = (from: number, to: number, changes: 'unknown' | ReadonlyMap<string, 'unknown'>) => ({
  kind: 'committed' as const,
  projection: 'sums@1',
  position: to,
  revision: to,
  from: at(from).stamp,
  to: at(to).stamp,
  changes: () => changes,
})

test('N106: of a hint that says nothing certain live queries learn although older rows are shown before its rows', () => {
  const changes = new OverlayChanges({ rows: { key: 'id' } } as never, at(1))
  expect(changes.take(hint(2, 3, 'unknown'))).toBe('unknown')
  const any = new Map([['rows', 'unknown']])
  expect(changes.all(at(2), new Map())).toEqual(any)
  expect(changes.all(at(3), new Map())).toEqual(any)
  expect(changes.all(at(4), new Map())).toBeUndefined()
})
