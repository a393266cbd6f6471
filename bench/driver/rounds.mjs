// Contenders of a case take turns in rounds, so that what changes over time changes for all of them. The first round is thrown away.

/** A run that takes longer than this has hung. */
const runLimit = 120_000
const fewestKept = 3

/**
 * @param {import('@playwright/test').Page} page
 * @returns every run of every contender that is kept, in milliseconds, by case
 */
export async function measure(page, { sizes, rounds, softLimit, only, profile, say }) {
  const call = (method, ...args) =>
    within(page.evaluate(([method, args]) => window.bench[method](...args), [method, args]), `${method} ${args.join(', ')}`)
  const plan = (await call('plan', sizes)).filter(({ name }) => only === undefined || name.includes(only))
  if (plan.length === 0) throw new Error(`No case has '${only}' in its name`)
  const cases = plan.map(({ name, contenders }) => ({ name, contenders: contenders.map((contender) => ({ name: contender, events: 0, times: [], waits: [] })) }))
  for (const { name } of plan) {
    say(`setting up: ${name}`)
    await call('setUp', name)
  }
  const started = Date.now()
  for (let round = 0; round < rounds; round += 1) {
    if (round > fewestKept && Date.now() - started > softLimit) {
      say(`out of time after ${round} of ${rounds} rounds`)
      break
    }
    say(`round ${round} of ${rounds - 1}${round === 0 ? ', thrown away' : ''}`)
    for (const { name, contenders } of cases) {
      for (let turn = 0; turn < contenders.length; turn += 1) {
        // Another one begins in each round: nobody always runs behind the same neighbour.
        const contender = contenders[(turn + round) % contenders.length]
        const run = () => call('run', name, contender.name)
        const { ms, events, waits = [] } = round > 0 && profile !== undefined ? await profile.around(name, contender.name, run) : await run()
        if (round === 0) continue
        contender.times.push(ms)
        contender.waits.push(...waits)
        contender.events = events
      }
    }
  }
  for (const { name } of plan) await call('tearDown', name)
  return cases
}

function within(work, what) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${runLimit} ms`)), runLimit)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
