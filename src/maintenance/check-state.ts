/** The state and the dead letters of a read model: whether they can be true. */
import { describe } from '../errors.js'
import { say } from '../messages.js'
import type { DeadLetterRecord } from '../projection/target.js'
import type { Projection } from '../read-model/define.js'
import { handledBy, isFingerprintOf } from '../read-model/fingerprint.js'
import { impossibleIn, isWhole } from '../read-model/possible-state.js'
import type { StateRow } from '../read-model/state.js'
import type { Findings } from './read-model-defects.js'
import type { Snapshot } from './snapshot.js'

/** The state, if it says enough to continue. */
export function checkState(
  { state: row, missing }: Snapshot,
  log: string,
  head: number,
  definition: Projection,
  found: Findings,
): StateRow | undefined {
  if (row === undefined) {
    // Its object store is named already.
    if (missing.length === 0)
      found.add({
        kind: 'state',
        message: say`The row that says how far the rows are is missing.`,
      })
    return undefined
  }
  const wrong = impossibleIn(row)
  for (const message of wrong) found.add({ kind: 'state', message })
  if (wrong.length > 0) return undefined
  const sound = row as StateRow
  if (!isFingerprintOf(definition, sound.fingerprint)) {
    found.add({
      kind: 'tables',
      message: say`The rows were made with other tables than those declared. Raise 'version' in defineProjection.`,
    })
    return undefined
  }
  if ((sound.handles ?? handledBy(definition)) !== handledBy(definition)) {
    found.add({
      kind: 'tables',
      message: say`The rows were made from other events (${sound.handles}) than those declared. Raise 'version' in defineProjection.`,
    })
    return undefined
  }
  if (sound.log !== log) {
    found.add({
      kind: 'log',
      position: sound.position,
      message: say`The rows were folded from another log. They are deleted, and folded again, when the projection is run.`,
    })
    return undefined
  }
  for (const [what, position] of [
    ['checkpoint', sound.position],
    [say`checkpoint of the rebuild`, sound.rebuild?.position ?? 0],
  ] as const) {
    if (position > head)
      found.add({
        kind: 'checkpoint',
        position,
        message: say`The ${what} is ${position}, beyond the head ${head}. All rows are deleted, and folded again, when the projection is run.`,
      })
  }
  return sound
}

/** The dead letters that are well-formed, by position. */
export function checkLetters(
  rows: readonly unknown[],
  state: StateRow,
  found: Findings,
): ReadonlyMap<number, DeadLetterRecord> {
  const letters = new Map<number, DeadLetterRecord>()
  for (const row of rows) {
    const { position, eventId, eventType, stream } = row as Partial<Record<keyof DeadLetterRecord, unknown>>
    if (!isWhole(position) || position === 0)
      found.add({
        kind: 'letter',
        message: say`A dead letter is for ${describe(position)}, which is not a position.`,
      })
    else if (position > state.position)
      found.add({
        kind: 'letter',
        position,
        message: say`A dead letter is for position ${position}, beyond the checkpoint ${state.position}.`,
      })
    else if (typeof eventId !== 'string' || typeof eventType !== 'string' || typeof stream !== 'string') {
      found.add({
        kind: 'letter',
        position,
        message: say`The dead letter for position ${position} does not name its event.`,
      })
    } else letters.set(position, row as DeadLetterRecord)
  }
  if (rows.length !== state.letters)
    found.add({
      kind: 'letter',
      message: say`The state says that ${state.letters} dead letters wait, and there are ${rows.length}.`,
    })
  return letters
}
