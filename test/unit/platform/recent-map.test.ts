// A bounded map beside the simplest one that could be meant.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RecentMap } from '../../../src/platform/recent-map.js'

const step = fc.oneof(
  fc.record({ does: fc.constantFrom('set', 'delete', 'get', 'replace'), key: fc.integer({ min: 0, max: 12 }) }),
  fc.record({ does: fc.constant('set'), key: fc.integer({ min: 0, max: 200 }) }),
)

test('it holds what was set last, in any order of setting, asking and deleting', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.array(step, { maxLength: 200 }), (most, steps) => {
      const map = new RecentMap<number, number>(most)
      /** Oldest first. */
      let model: [number, number][] = []
      for (const [value, { does, key }] of steps.entries()) {
        const without = model.filter(([other]) => other !== key)
        if (does === 'get')
          expect([map.get(key), map.has(key)]).toEqual([
            model.find(([other]) => other === key)?.[1],
            without.length < model.length,
          ])
        else if (does === 'replace') {
          expect(map.replace(key, value)).toBe(without.length < model.length)
          model = model.map(([other, old]) => [other, other === key ? value : old])
        } else if (does === 'delete') {
          expect(map.delete(key)).toBe(without.length < model.length)
          model = without
        } else {
          const all: [number, number][] = [...without, [key, value]]
          model = all.slice(-most)
          expect(map.set(key, value)).toBe(all.length > most)
        }
        expect(map.size).toBe(model.length)
      }
      for (const [key, value] of model) expect(map.get(key)).toBe(value)
    }),
    { seed: 20261126, numRuns: 500 },
  )
})
