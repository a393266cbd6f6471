// CPU profiles of contenders, over DevTools: where the library loses time.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Profiles the last kept run of each contender whose name has `contender` in it; the file opens in DevTools. */
export async function profiler(page, { contender: wanted, folder }) {
  const session = await page.context().newCDPSession(page)
  await session.send('Profiler.enable')
  await session.send('Profiler.setSamplingInterval', { interval: 200 })
  const files = new Set()
  return {
    get files() {
      return [...files]
    },
    async around(caseName, contender, run) {
      if (!contender.includes(wanted)) return run()
      await session.send('Profiler.start')
      const result = await run()
      const { profile } = await session.send('Profiler.stop')
      const file = join(folder, `${caseName} - ${contender}`.replaceAll(/[^a-z0-9]+/gi, '-') + '.cpuprofile')
      await writeFile(file, JSON.stringify(profile))
      files.add(file)
      return result
    },
  }
}

/** The functions with the most time of their own, as Markdown. Filling and checking are in the profile too. */
export async function hottest(file) {
  const { nodes, samples, timeDeltas } = JSON.parse(await readFile(file, 'utf8'))
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const own = new Map()
  let total = 0
  for (const [index, id] of samples.entries()) {
    const { functionName, lineNumber } = byId.get(id).callFrame
    const name = functionName === '' ? `anonymous, line ${lineNumber + 1}` : functionName
    own.set(name, (own.get(name) ?? 0) + timeDeltas[index])
    total += timeDeltas[index]
  }
  const rows = [...own].sort((a, b) => b[1] - a[1]).slice(0, 25)
  return [`### ${file}`, '', '| function | own ms | share |', '|---|---:|---:|', ...rows.map(([name, us]) => `| ${name} | ${(us / 1000).toFixed(1)} | ${((us / total) * 100).toFixed(1)} % |`), ''].join('\n')
}
