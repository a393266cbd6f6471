// Turns the JSON of a run into Markdown.
import { bestPeer, targets } from './targets.mjs'

/** @returns Markdown: the targets first, then every case */
export function report(result) {
  const { browser, storage, cores, platform, load, mode, cases, when } = result
  const rounds = [...new Set(cases.map(({ contenders }) => contenders[0].times.length))].join(' or ')
  const head = `${when.slice(0, 10)}, ${browser} (${storage}), ${cores} cores, ${platform}, ${mode} run: medians of ${rounds} rounds after one that is thrown away.`
  // The bench itself keeps about two processes busy.
  const busy = load.before > 0.5 || load.after > cores + 0.5
  const reached = targetRows(cases)
  return [
    head, `Load of the machine: ${load.before.toFixed(1)} before, ${load.after.toFixed(1)} after${busy ? '. **Something else was running: do not rely on these figures.**' : '.'}`, '',
    ...(reached.length === 0 ? [] : ['| target | aim | floor | measured | in one round | fastest runs | met |', '|---|---:|---:|---:|---:|---:|---|', ...reached, '']),
    ...cases.flatMap(caseTable),
  ].join('\n')
}

function targetRows(cases) {
  return targets.flatMap(({ name, speed, of, goal, floor }) => {
    const [one, other] = [find(cases, speed), find(cases, of)]
    if (one === undefined || other === undefined) return []
    const { ratio, least, most, fastest } = compare(one, other)
    const met = ratio >= goal ? 'yes' : ratio >= floor ? 'above the floor' : 'no'
    const beside = of.contender === bestPeer ? ` (${other.name})` : ''
    return `| ${name}${beside} | ${number(goal)} | ${number(floor)} | ${number(ratio)} | ${number(least)} to ${number(most)} | ${number(fastest)} | ${met} |`
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
  if (contender !== bestPeer) throw new Error(`Case '${found.name}' has no contender '${contender}', which a target names`)
  return peers.reduce((best, peer) => (compare(peer, best).ratio > 1 ? peer : best))
}

/** Speeds are events per second, since contenders of a case may do different amounts of the same work. */
export function compare(one, other) {
  const speed = ({ events }, ms) => events / ms
  const inRounds = one.times.map((ms, round) => speed(one, ms) / speed(other, other.times[round]))
  return {
    ratio: speed(one, median(one.times)) / speed(other, median(other.times)),
    least: Math.min(...inRounds),
    most: Math.max(...inRounds),
    // What else runs on the machine only ever makes a run slower, so this one suffers least from it.
    fastest: speed(one, Math.min(...one.times)) / speed(other, Math.min(...other.times)),
  }
}

function caseTable(found) {
  return found.contenders.some(({ waits }) => waits.length > 0) ? waitTable(found) : workTable(found)
}

function workTable({ name, contenders }) {
  return table(`| ${name} | events | median ms | min to max | events/s | to the first | in one round |`, contenders.map((contender) => {
    const { events, times } = contender
    const { ratio, least, most } = compare(contender, contenders[0])
    const perSecond = Math.round((events / median(times)) * 1000)
    return [contender.name, grouped(events), number(median(times)), range(times), grouped(perSecond), number(ratio), `${number(least)} to ${number(most)}`]
  }))
}

/** Speed is one over the median wait. */
function waitTable({ name, contenders }) {
  return table(`| ${name} | waits | p50 ms | of a round, min to max | p90 | p99 | speed, to the first | in one round |`, contenders.map((contender) => {
    const { waits, times } = contender
    const { ratio, least, most } = compare(contender, contenders[0])
    const at = (share) => number(percentile(waits, share))
    return [contender.name, waits.length, number(median(times)), range(times), at(0.9), at(0.99), number(ratio), `${number(least)} to ${number(most)}`]
  }))
}

function table(head, rows) {
  const columns = head.split('|').length - 3
  return [head, `|---|${'---:|'.repeat(columns)}`, ...rows.map((cells) => `| ${cells.join(' | ')} |`), '']
}

const range = (times) => `${number(Math.min(...times))} to ${number(Math.max(...times))}`

function percentile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2
}

const grouped = (value) => value.toLocaleString('en')
const number = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(value >= 0.1 ? 2 : 4))
