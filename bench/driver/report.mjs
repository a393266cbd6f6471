// Turns the JSON of a run into Markdown.
import { compare, limitsMet, percentile, speedOf, targetsMet, waitsMet } from './figures.mjs'

/** @returns Markdown: the targets first, then every case */
export function report(result) {
  const { browser, storage, cores, platform, load, mode, cases, when } = result
  const rounds = [...new Set(cases.map(({ contenders }) => contenders[0].times.length))].join(' or ')
  // The bench itself keeps about two processes busy.
  const busy = load.before > 0.5 || load.after > cores + 0.5
  const measured = targetsMet(cases)
  const limits = limitsMet(cases)
  const waits = waitsMet(cases)
  return [
    `${when.slice(0, 10)}, ${browser} (${storage}), ${cores} cores, ${platform}, ${mode} run: medians of ${rounds} rounds after one that is thrown away.`,
    `Load of the machine: ${load.before.toFixed(1)} before, ${load.after.toFixed(1)} after${busy ? '. **Something else was running: do not rely on these figures.**' : '.'}`,
    '',
    ...(measured.length === 0 ? [] : targetTable(measured)),
    ...(limits.length === 0 ? [] : limitTable('count | at most | measured | in one round | met', limits)),
    ...(waits.length === 0 ? [] : limitTable('wait | at most | measured | medians of the rounds | met', waits)),
    ...cases.flatMap((each) => {
      const [first] = each.contenders
      return first.inputDelays !== undefined
        ? mainThreadTable(each)
        : first.waits.length > 0
          ? waitTable(each)
          : workTable(each)
    }),
  ].join('\n')
}

/** Long tasks are those of over 50 ms. */
function mainThreadTable({ name, contenders }) {
  return table(
    `${name} | median ms | events/s | long tasks a run | longest | inputs | delay p50 ms | p99`,
    contenders.map(({ name, events, times, longTasks, inputDelays }) => {
      const middle = percentile(times, 0.5)
      const delays = [0.5, 0.99].map((share) =>
        inputDelays.length === 0 ? 'none' : number(percentile(inputDelays, share)),
      )
      return [
        name,
        number(middle),
        grouped(Math.round((events / middle) * 1000)),
        number(longTasks.length / times.length),
        Math.round(Math.max(0, ...longTasks)),
        inputDelays.length,
        ...delays,
      ]
    }),
  )
}

function targetTable(measured) {
  return table(
    'target | aim | floor | measured | in one round | fastest runs | met',
    measured.map(({ label, goal, floor, ratio, least, most, fastest, met }) => [
      label,
      number(goal),
      number(floor),
      number(ratio),
      `${number(least)} to ${number(most)}`,
      number(fastest),
      met,
    ]),
  )
}

function limitTable(head, limits) {
  return table(
    head,
    limits.map(({ name, most, middle, counts, met }) => [name, most, number(middle), range(counts), met]),
  )
}

function workTable({ name, contenders }) {
  const weighed = contenders.some(({ heaps }) => heaps !== undefined)
  return table(
    `${name} | events | median ms | min to max | events/s | to the first | in one round | transactions | requests${weighed ? ' | heap held, MiB' : ''}`,
    contenders.map((contender) => {
      const { events, times, heaps } = contender
      const { ratio, least, most } = compare(contender, contenders[0])
      const middle = percentile(times, 0.5)
      return [
        contender.name,
        grouped(events),
        number(middle),
        range(times),
        grouped(Math.round(speedOf(contender, middle) * 1000)),
        number(ratio),
        `${number(least)} to ${number(most)}`,
        ...askedBy(contender),
        ...(weighed ? [heaps === undefined ? '' : number(Math.max(0, percentile(heaps, 0.5)))] : []),
      ]
    }),
  )
}

/** Speed is one over the median wait. */
function waitTable({ name, contenders }) {
  const counted = Object.keys(contenders[0].counts ?? {})
  return table(
    `${name} | waits | p50 ms | of a round, min to max | p90 | p99 | speed, to the first | in one round | ${counted.length === 0 ? 'transactions | requests' : counted.join(' | ')}`,
    contenders.map((contender) => {
      const { waits, times } = contender
      const { ratio, least, most } = compare(contender, contenders[0])
      const at = (share) => number(percentile(waits, share))
      return [
        contender.name,
        waits.length,
        number(percentile(times, 0.5)),
        range(times),
        at(0.9),
        at(0.99),
        number(ratio),
        `${number(least)} to ${number(most)}`,
        ...(counted.length === 0
          ? askedBy(contender)
          : counted.map((what) => number(percentile(contender.counts[what], 0.5)))),
      ]
    }),
  )
}

/** Of IndexedDB, for an event or a wait. Nothing where it was not counted. */
const askedBy = ({ asked }) =>
  asked === undefined
    ? ['', '']
    : [asked.transactions, asked.requests].map((count) => (count >= 0.001 ? number(count) : count.toFixed(5)))

function table(head, rows) {
  const columns = head.split('|').length - 1
  return [`| ${head} |`, `|---|${'---:|'.repeat(columns)}`, ...rows.map((cells) => `| ${cells.join(' | ')} |`), '']
}

const range = (times) => `${number(Math.min(...times))} to ${number(Math.max(...times))}`
const grouped = (value) => value.toLocaleString('en')
const number = (value) =>
  value === 0
    ? '0'
    : value >= 100
      ? value.toFixed(0)
      : value >= 10
        ? value.toFixed(1)
        : value.toFixed(value >= 0.1 ? 2 : 4)
