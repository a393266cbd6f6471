/** The read model against a fold of the log by hand. Pure. */
import type { FoundEvent, ViolationKind } from './audit.js'
import type { StoredSide, Tally } from './evidence.js'

/** Reports what of one side is not the fold of the events up to its checkpoint (I4), or lies beyond the head (I5). */
export function auditModel(
  side: string,
  stored: StoredSide,
  events: readonly FoundEvent[],
  head: number,
  report: (kind: ViolationKind, detail: string) => void,
): void {
  const { checkpoint } = stored
  if (checkpoint > head) report('checkpoint beyond head', `${side}: the checkpoint is ${checkpoint}, the head ${head}`)
  const tallies = new Map<string, Tally>()
  const effects = new Set<number>()
  const letters = new Set<number>()
  for (const {
    position,
    data: { key, amount, poison },
  } of events) {
    if (position > checkpoint) break
    if (poison) {
      letters.add(position)
      continue
    }
    const { count, sum, hash } = tallies.get(key) ?? { count: 0, sum: 0, hash: 0 }
    tallies.set(key, { name: key, count: count + 1, sum: sum + amount, hash: (Math.imul(hash, 31) + position) | 0 })
    effects.add(position)
  }
  compareTallies(side, stored, tallies, (detail) => report('rows', detail))
  const found = new Map(stored.effects.map(({ position, times }) => [position, times]))
  for (const [position, times] of found) {
    if (!effects.has(position))
      report('rows', `${side}: an effect of event ${position} is there, at checkpoint ${checkpoint}`)
    else if (times !== 1) report('doubled effect', `${side}: event ${position} had its effect ${times} times`)
  }
  for (const position of effects)
    if (!found.has(position)) report('rows', `${side}: event ${position} had no effect, at checkpoint ${checkpoint}`)
  for (const position of stored.letters)
    if (!letters.has(position)) report('letters', `${side}: a letter of event ${position}, at checkpoint ${checkpoint}`)
  const kept = new Set(stored.letters)
  for (const position of letters)
    if (!kept.has(position)) report('letters', `${side}: event ${position} was not parked`)
  if (stored.counted !== stored.letters.length)
    report('letters', `${side}: ${stored.counted} are counted, ${stored.letters.length} are there`)
}

function compareTallies(
  side: string,
  { checkpoint, tallies }: StoredSide,
  expected: ReadonlyMap<string, Tally>,
  report: (detail: string) => void,
): void {
  const found = new Map(tallies.map((tally) => [tally.name, tally]))
  for (const name of new Set([...found.keys(), ...expected.keys()])) {
    const [is, should] = [told(found.get(name)), told(expected.get(name))]
    if (is !== should) report(`${side}: tally '${name}' has ${is}; the fold up to ${checkpoint} has ${should}`)
  }
}

const told = (tally: Tally | undefined) =>
  tally === undefined ? 'nothing' : `${tally.count} events, sum ${tally.sum}, hash ${tally.hash}`
