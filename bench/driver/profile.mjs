// CPU profiles of contenders, over DevTools: where the library loses time.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Profiles what is under the clock in the kept runs of the contenders whose name has `contender` in it. Of each, the last
 * run is written to a file that DevTools opens.
 */
export async function profiler({ page, devtools }, { contender: wanted, folder }) {
  if (devtools === undefined) throw new Error('Profiles are taken in Chromium only')
  const session = await devtools()
  await session.send('Profiler.enable')
  await session.send('Profiler.setSamplingInterval', { interval: 200 })
  /** File name to the profiles of all runs. */
  const taken = new Map()
  let now
  await page.exposeFunction('profiling', async (on) => {
    if (now === undefined) return
    if (on) return session.send('Profiler.start').then(() => {})
    const { profile } = await session.send('Profiler.stop')
    taken.set(now, [...(taken.get(now) ?? []), profile])
  })
  return {
    async around(caseName, contender, run) {
      now = contender.includes(wanted) ? `${caseName} ${contender}`.replaceAll(/[^a-z0-9]+/gi, '-') : undefined
      return run()
    },
    /** Writes the profiles, and answers their hottest functions as Markdown. */
    async finish() {
      for (const [name, profiles] of taken) await writeFile(join(folder, `${name}.cpuprofile`), JSON.stringify(profiles.at(-1)))
      return [...taken].map(([name, profiles]) => hottest(name, profiles)).join('\n')
    },
  }
}

/** The functions with the most time of their own, a run on average. */
function hottest(name, profiles) {
  const own = new Map()
  let total = 0
  for (const { nodes, samples, timeDeltas } of profiles) {
    const byId = new Map(nodes.map((node) => [node.id, node]))
    for (const [index, id] of samples.entries()) {
      const { functionName, lineNumber } = byId.get(id).callFrame
      const key = functionName === '' ? `anonymous, line ${lineNumber + 1}` : functionName
      own.set(key, (own.get(key) ?? 0) + timeDeltas[index])
      total += timeDeltas[index]
    }
  }
  const ms = (time) => (time / 1000 / profiles.length).toFixed(1)
  const rows = [...own].sort((a, b) => b[1] - a[1]).slice(0, 25)
  return [
    `### ${name}: ${ms(total)} ms a run, ${profiles.length} runs`, '', '| function | own ms | share |', '|---|---:|---:|',
    ...rows.map(([key, time]) => `| ${key} | ${ms(time)} | ${((time / total) * 100).toFixed(1)} % |`), '',
  ].join('\n')
}
