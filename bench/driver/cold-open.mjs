// Opening in a new browser process, with what an earlier one left on disk. The operating system still has the files in memory.
import { newProfile, openBrowser } from './browser.mjs'
import { call } from './call.mjs'
import { inRounds } from './rounds.mjs'

/** @returns cases as from `measure`; a contender is a system */
export async function measureColdOpen({ url, engine, sizes, only, ...limits }) {
  const named = sizes.coldOpen.map((count) => ({
    name: `cold open, 1,000 rows over ${count.toLocaleString('en')} events`,
    count,
  }))
  const wanted = named.filter(({ name }) => only === undefined || name.includes(only))
  if (wanted.length === 0) return []
  const profile = await newProfile()
  const inBrowser = async (work) => {
    const browser = await openBrowser({ url, engine, profile: profile.path })
    try {
      return await work(browser.page)
    } finally {
      await browser.close()
    }
  }
  const database = (system, count) => `cold-${system}-${count}`.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase()
  try {
    const systems = await inBrowser((page) => call(page, 'systems'))
    for (const { count } of wanted) {
      for (const system of systems) {
        limits.say(`filling ${count} events: ${system}`)
        await inBrowser((page) => call(page, 'fill', system, database(system, count), count))
      }
    }
    const counts = new Map(wanted.map(({ name, count }) => [name, count]))
    return await inRounds(
      wanted.map(({ name }) => ({ name, contenders: systems })),
      limits,
      (name, system) => {
        const count = counts.get(name)
        return inBrowser((page) => call(page, 'coldOpen', system, database(system, count), count))
      },
    )
  } finally {
    await profile.remove()
  }
}
