// CPU profiles of contenders: where the library loses time. Chromium tells over DevTools, Firefox in a file that it leaves behind.
import { profilesOfChromium } from './profile-chromium.mjs'
import { profilesOfFirefox } from './profile-firefox.mjs'

/**
 * Profiles what is under the clock in the kept runs of the contenders whose name has `contender` in it. Of each, the last
 * run is written to a file that a viewer opens.
 */
export async function profiler(browser, { contender: wanted, folder }) {
  const profiles = await (browser.devtools === undefined ? profilesOfFirefox(browser) : profilesOfChromium(browser))
  let now
  await browser.page.exposeFunction('profiling', async (on) => {
    if (now !== undefined) await (on ? profiles.begin(now) : profiles.end(now))
  })
  return {
    async around(caseName, contender, run) {
      now = contender.includes(wanted) ? `${caseName} ${contender}`.replaceAll(/[^a-z0-9]+/gi, '-') : undefined
      return run()
    },
    /** Writes the profiles, and returns their hottest functions as Markdown. The browser must have ended. */
    async finish() {
      return (await profiles.finish(folder)).map(hottest).join('\n')
    },
  }
}

/** The functions with the most time of their own, a run on average. */
function hottest({ name, runs, own }) {
  const total = [...own.values()].reduce((sum, time) => sum + time, 0)
  const ms = (time) => (time / runs).toFixed(1)
  const rows = [...own].sort((a, b) => b[1] - a[1]).slice(0, 25)
  return [
    `### ${name}: ${ms(total)} ms a run, ${runs} runs`,
    '',
    '| function | own ms | share |',
    '|---|---:|---:|',
    ...rows.map(([key, time]) => `| ${key} | ${ms(time)} | ${((time / total) * 100).toFixed(1)} % |`),
    '',
  ].join('\n')
}
