import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A profile for each run. DevTools opens the files. */
export async function profilesOfChromium({ devtools }) {
  const session = await devtools()
  await session.send('Profiler.enable')
  await session.send('Profiler.setSamplingInterval', { interval: 200 })
  /** File name to the profiles of all runs. */
  const taken = new Map()
  return {
    begin: () => session.send('Profiler.start'),
    async end(name) {
      const { profile } = await session.send('Profiler.stop')
      taken.set(name, [...(taken.get(name) ?? []), profile])
    },
    async finish(folder) {
      for (const [name, profiles] of taken)
        await writeFile(join(folder, `${name}.cpuprofile`), JSON.stringify(profiles.at(-1)))
      return [...taken].map(([name, profiles]) => ({ name, runs: profiles.length, own: ownTimes(profiles) }))
    },
  }
}

/** @returns {Map<string, number>} milliseconds by function */
function ownTimes(profiles) {
  const own = new Map()
  for (const { nodes, samples, timeDeltas } of profiles) {
    const byId = new Map(nodes.map((node) => [node.id, node]))
    for (const [index, id] of samples.entries()) {
      const { functionName, lineNumber } = byId.get(id).callFrame
      const key = functionName === '' ? `anonymous, line ${lineNumber + 1}` : functionName
      own.set(key, (own.get(key) ?? 0) + timeDeltas[index] / 1000)
    }
  }
  return own
}
