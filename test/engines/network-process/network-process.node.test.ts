// H17, H22: WebKit keeps IndexedDB in its network process, which the system may end at any time while the page lives on.
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { build, type Rolldown } from 'vite'
import { expect, test } from 'vitest'
import { scratch } from '../../../scripts/scratch.mjs'
import { readAs } from '../../../scripts/builds.mjs'
import { alias } from '../../../vite.config.js'
import { webkit } from '../webkit.js'
import type { State } from './page.js'

const KILLS = 10
const DEADLINE = 20_000

test(
  'H17, H22: when the network process is killed under appends, nothing acknowledged is lost, and no error denies a stored event',
  { timeout: 180_000 },
  async () => {
    const page = await servePage()
    const profile = await mkdtemp(join(scratch(), 'tidemark-network-process-'))
    const running = await webkit.start(page.url, profile)
    try {
      for (let kill = 1; kill <= KILLS; kill += 1) {
        await page.moreAppends(10)
        const pids = await networkProcesses(profile)
        expect(pids).toHaveLength(1)
        for (const pid of pids) process.kill(pid, 'SIGKILL')
        // The next kill must meet the next life of the page, not its birth.
        await page.failures(kill)
      }
      await page.moreAppends(10)
      const { acknowledged, failed, log } = await page.stop()
      const endings = failed.map(({ said, wasThere }) => `${said}, ${wasThere ? 'stored' : 'not stored'}`).sort()
      console.log(
        `${KILLS} kills, ${acknowledged.length} events acknowledged, ${failed.length} appends failed:`,
        countBy(endings),
      )
      expect(log).toEqual(acknowledged)
      expect(
        endings.filter(
          (ending) => !/^storage-(failed|busy), (unknown, (not )?stored|not-written, not stored)$/.test(ending),
        ),
      ).toEqual([])
    } finally {
      await running.stop()
      page.close()
      await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
    }
  },
)

/** Serves the page as a bundle: Vite's own client would load it anew for a lost connection of its own. */
async function servePage() {
  const entry = fileURLToPath(new URL('./page.ts', import.meta.url))
  const built = await build({
    configFile: false,
    logLevel: 'warn',
    resolve: { alias },
    plugins: [readAs('development')],
    build: { write: false, minify: false, target: 'es2022', lib: { entry, formats: ['es'] } },
  })
  const [
    {
      output: [{ code }],
    },
  ] = [built].flat() as [Rolldown.RolldownOutput]
  let state: State = { acknowledged: [], failed: [], stop: false }
  let stop = false
  const server = createServer((request, response) => {
    response.setHeader('Cache-Control', 'no-store')
    if (request.url === '/')
      return response
        .setHeader('Content-Type', 'text/html')
        .end('<!doctype html><script type="module" src="/page.js"></script>')
    if (request.url === '/page.js') return response.setHeader('Content-Type', 'text/javascript').end(code)
    let body = ''
    return request
      .setEncoding('utf8')
      .on('data', (chunk: string) => (body += chunk))
      .on('end', () => {
        // A page that is on its way out may be overtaken by its next life.
        if (body !== '') state = newer(state, JSON.parse(body) as State)
        response.end(JSON.stringify({ ...state, stop }))
      })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  async function until(what: string, condition: () => boolean): Promise<void> {
    for (const deadline = performance.now() + DEADLINE; !condition(); await sleep(5)) {
      if (state.error !== undefined) throw new Error(state.error)
      if (performance.now() > deadline)
        throw new Error(
          `${what}: not within ${DEADLINE} ms. ${state.acknowledged.length} acknowledged, ${state.failed.length} failed.`,
        )
    }
  }
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    async moreAppends(count: number) {
      const before = state.acknowledged.length
      await until(`${count} more appends`, () => state.acknowledged.length >= before + count)
    },
    failures: (count: number) => until(`failed append ${count}`, () => state.failed.length >= count),
    async stop() {
      stop = true
      await until('the log', () => state.log !== undefined)
      return state
    },
    close: () => void server.close(),
  }
}

function countBy(list: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const each of list) counts[each] = (counts[each] ?? 0) + 1
  return counts
}

function newer(one: State, other: State): State {
  const size = ({ acknowledged, failed, log, error }: State) =>
    acknowledged.length + failed.length + (log || error ? 1 : 0)
  return size(other) >= size(one) ? other : one
}

/** Those of the browser whose home is the profile. */
async function networkProcesses(profile: string): Promise<number[]> {
  const found: number[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [name, environment] = await Promise.all(
      ['comm', 'environ'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
    )
    if (name?.startsWith('WebKitNetwork') && environment?.includes(`HOME=${profile}\0`)) found.push(Number(pid))
  }
  return found
}
