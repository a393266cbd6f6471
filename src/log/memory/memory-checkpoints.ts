/** The checkpoints of plain projectors, and their dead letters, in memory. */
import { projectionName } from '../../events/names.js'
import { onlyKnown, wholeNumber } from '../../platform/arguments.js'
import type { CheckpointStore, DeadLetterRecord } from '../../ports.js'
import { assertExpected, checkPage, saveNames } from '../checkpoint-rules.js'

/** In memory: in the given map. */
export function memoryCheckpoints(positions = new Map<string, number>()): Required<CheckpointStore> {
  const parked = new Map<string, Map<number, DeadLetterRecord>>()
  return {
    async load(name) {
      return positions.get(projectionName(name))
    },
    async save(name, position, options = {}) {
      onlyKnown(options, saveNames)
      const { expected, deadLetters = [], dropDeadLetters = false } = options
      const key = projectionName(name)
      wholeNumber(position, 'position')
      assertExpected(key, positions.get(key), expected)
      positions.set(key, position)
      const own = (dropDeadLetters ? undefined : parked.get(key)) ?? new Map<number, DeadLetterRecord>()
      for (const letter of deadLetters) own.set(letter.position, letter)
      parked.set(key, own)
    },
    async deadLetters(name, after, limit) {
      checkPage(after, limit)
      const own = [...(parked.get(projectionName(name))?.values() ?? [])]
      return own
        .filter(({ position }) => position > after)
        .sort((left, right) => left.position - right.position)
        .slice(0, limit)
    },
    async countDeadLetters(name) {
      return parked.get(projectionName(name))?.size ?? 0
    },
    async removeDeadLetter(name, position) {
      return parked.get(projectionName(name))?.delete(position) ?? false
    },
  }
}
