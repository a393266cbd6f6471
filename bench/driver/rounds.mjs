// Contenders of a case take turns in rounds, so that what changes over time changes for all of them. The first round is thrown away.
import { call } from './call.mjs'
import { slowUser } from './slow-user.mjs'

const fewestKept = 3

/**
 * @param {Awaited<ReturnType<typeof import('./browser.mjs').openBrowser>>} browser
 * @returns every run of every contender that is kept, in milliseconds, by case
 */
export async function measure({ page, devtools }, { sizes, only, profile, ...limits }) {
  const user = await slowUser(devtools)
  const plan = (await call(page, 'plan', sizes))
    .filter(({ name }) => only === undefined || name.includes(only))
    .filter(({ throttle }) => throttle === 1 || user.possible)
  for (const { name } of plan) {
    limits.say(`setting up: ${name}`)
    await call(page, 'setUp', name)
  }
  const throttles = new Map(plan.map(({ name, throttle }) => [name, throttle]))
  const cases = await inRounds(plan, limits, (name, contender, kept) => {
    const run = () => user.around(throttles.get(name), () => call(page, 'run', name, contender))
    return kept && profile !== undefined ? profile.around(name, contender, run) : run()
  })
  if (plan.length > 0) limits.say('counting requests')
  for (const { name, contenders } of cases) {
    // What counts by itself is counted.
    if (contenders.some(({ counts }) => counts !== undefined)) continue
    for (const contender of contenders) contender.asked = await call(page, 'count', name, contender.name)
  }
  for (const { name } of plan) await call(page, 'tearDown', name)
  return cases
}

/**
 * @param {readonly { name: string, once?: boolean, contenders: readonly string[] }[]} plan
 * @param {(name: string, contender: string, kept: boolean) => Promise<import('../cases/case.ts').Run>} run
 */
export async function inRounds(plan, { rounds, softLimit, say }, run) {
  const cases = plan.map(({ name, contenders, once = false }) => ({
    name,
    once,
    contenders: contenders.map((contender) => ({ name: contender, events: 0, times: [], waits: [] })),
  }))
  const started = Date.now()
  for (let round = 0; round < rounds && cases.length > 0; round += 1) {
    if (round > fewestKept && Date.now() - started > softLimit) {
      say(`out of time after ${round} of ${rounds} rounds`)
      break
    }
    say(`round ${round} of ${rounds - 1}${round === 0 ? ', thrown away' : ''}`)
    for (const { name, contenders, once } of cases) {
      if (once && round !== 1) continue
      for (let turn = 0; turn < contenders.length; turn += 1) {
        // Another one begins in each round, so that none always runs after the same neighbour.
        const contender = contenders[(turn + round) % contenders.length]
        const { ms, events, waits = [], counts, mainThread, heap } = await run(name, contender.name, round > 0)
        if (round === 0) continue
        contender.times.push(ms)
        contender.waits.push(...waits)
        contender.events = events
        for (const [what, count] of Object.entries(counts ?? {})) ((contender.counts ??= {})[what] ??= []).push(count)
        if (heap !== undefined) contender.heaps = [...(contender.heaps ?? []), heap]
        if (mainThread === undefined) continue
        contender.longTasks = [...(contender.longTasks ?? []), ...mainThread.longTasks]
        contender.inputDelays = [...(contender.inputDelays ?? []), ...mainThread.inputDelays]
      }
    }
  }
  return cases
}
