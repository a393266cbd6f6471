// What is computed from runs: medians, ratios, and the targets that they meet.
import { bestPeer, limits, targets, waits } from './targets.mjs'

export function percentile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return share === 0.5
    ? (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2
    : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}

/** In events per millisecond, since contenders of a case may do different amounts of the same work. */
export const speedOf = ({ events }, ms) => events / ms

/** How much faster one contender is than another. */
export function compare(one, other) {
  const inRounds = one.times.map((ms, round) => speedOf(one, ms) / speedOf(other, other.times[round]))
  return {
    ratio: speedOf(one, percentile(one.times, 0.5)) / speedOf(other, percentile(other.times, 0.5)),
    least: Math.min(...inRounds),
    most: Math.max(...inRounds),
    // What else runs on the machine only ever makes a run slower, so this one suffers least from it.
    fastest: speedOf(one, Math.min(...one.times)) / speedOf(other, Math.min(...other.times)),
  }
}

/** The targets whose contenders ran, with what they reached. */
export function targetsMet(cases) {
  return targets.flatMap(({ name, speed, of, goal, floor }) => {
    const [one, other] = [find(cases, speed), find(cases, of)]
    if (one === undefined || other === undefined) return []
    const compared = compare(one, other)
    const met = compared.ratio >= goal ? 'yes' : compared.ratio >= floor ? 'above the floor' : 'no'
    return [{ label: of.contender === bestPeer ? `${name} (${other.name})` : name, goal, floor, met, ...compared }]
  })
}

/** The limits whose cases ran, with what was counted. */
export function limitsMet(cases) {
  return limits.flatMap(({ name, inCase, contender, count, most }) => {
    const counts = cases.find((each) => inCase.test(each.name))?.contenders.find((each) => each.name === contender)
      ?.counts?.[count]
    if (counts === undefined) return []
    const middle = percentile(counts, 0.5)
    return [{ name, most, counts, middle, met: middle <= most ? 'yes' : 'no' }]
  })
}

/** The waits whose cases ran, in ms, by round where there is no share. */
export function waitsMet(cases) {
  return waits.flatMap(({ name, inCase, contender, share, longestTask, moreThan, most }) => {
    const contenders = cases.find((each) => inCase.test(each.name))?.contenders ?? []
    const [found, other] = [contender, moreThan].map((wanted) => contenders.find((each) => each.name === wanted))
    if (found === undefined) return []
    const more = other === undefined ? 0 : percentile(other.times, 0.5)
    const middle =
      longestTask === true
        ? Math.max(0, ...(found.longTasks ?? []))
        : percentile(share === undefined ? found.times : found.waits, share ?? 0.5) - more
    return [
      {
        name: `${name}, ms`,
        most,
        counts: found.times.map((ms) => ms - more),
        middle,
        met: middle <= most ? 'yes' : 'no',
      },
    ]
  })
}

/** A contender that a target names; nothing if its case was not run, or no peers are installed. */
function find(cases, { inCase, contender }) {
  const found = cases.find(({ name }) => inCase.test(name))
  if (found === undefined) return undefined
  const named = found.contenders.find(({ name }) => name === contender)
  if (named !== undefined) return named
  const peers = found.contenders.filter(({ name }) => !/^(tidemark|raw)\b/.test(name))
  if (peers.length === 0 && found.contenders.some(({ name }) => name === 'tidemark')) return undefined
  if (contender !== bestPeer)
    throw new Error(`Case '${found.name}' has no contender '${contender}', which a target names`)
  return peers.reduce((best, peer) => (compare(peer, best).ratio > 1 ? peer : best))
}
