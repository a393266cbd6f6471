// What a log costs in a Durable Object, in workerd on this machine: npm run durable-object. CPU time is that of the process of workerd,
// so it counts what else it does (HTTP, SQLite), and depends little on the load of the machine. Also the longer run of the faults.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { createServer as createLoader } from 'vite'
import { readAs } from './builds.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

async function measure() {
  const loader = await createLoader({
    configFile: false,
    root,
    logLevel: 'error',
    appType: 'custom',
    plugins: [readAs('production')],
    optimizeDeps: { noDiscovery: true },
    server: { middlewareMode: true, hmr: false, watch: null, ws: false },
  })
  const { Workerd } = await loader.ssrLoadModule('/test/support/workerd/start.ts')
  const { RawSocket } = await loader.ssrLoadModule('/test/support/workerd/raw-socket.ts')
  const { createId } = await loader.ssrLoadModule('/src/events/identifier.ts')
  const running = await Workerd.start('production')
  try {
    console.log(`load ${loadavg()[0]?.toFixed(1)}\n`)
    await pushes(running, createId)
    await device(running, loader)
    await pulls(running, createId)
    await tellings(running, createId, RawSocket)
  } finally {
    await running.end()
    await loader.close()
  }
}

/** CPU time of the process, ms. */
function cpuOf({ pid }) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/\(.*\)/, '()')
    .split(' ')
  // In hundredths of a second: user, system.
  return (Number(fields[13]) + Number(fields[14])) * 10
}

function logOf(running) {
  const url = `${running.url}/logs/${randomUUID()}`
  const headers = { 'X-User': 'anna', 'Tidemark-Sync': '1', 'Content-Type': 'application/json' }
  return {
    url,
    async identify() {
      headers['Tidemark-Log'] = (await fetch(`${url}/info`, { headers })).headers.get('Tidemark-Log')
    },
    async push(commits) {
      const response = await fetch(`${url}/push`, { method: 'POST', headers, body: JSON.stringify({ commits }) })
      const { answers } = await response.json()
      if (!answers?.every((answer) => 'accepted' in answer)) throw new Error(JSON.stringify(answers))
    },
    ask: (path, init = {}) => fetch(`${url}/${path}`, { ...init, headers }),
    control: async (what) => (await fetch(`${url}/control?do=${what}`)).json(),
  }
}

/** Events of some 240 bytes as they are pulled. Those of a commit are in one stream, and were made in the same millisecond. */
/** Of the last commit: each was made in a millisecond of its own. */
let time = Date.now()

function eventsOf(n, commit, createId) {
  time += 1
  return Array.from({ length: n }, (_, index) => ({
    stream: `cart-${commit % 100}`,
    type: 'ItemAdded',
    id: createId(time),
    time: Date.now(),
    data: { sku: `sku-${index}`, amount: index, note: 'a text of about forty characters, or so' },
  }))
}

async function pushes(running, createId) {
  console.log(
    '| push | events/s | requests/s | CPU ms a request | CPU µs an event | rows written an event | bytes an event |',
  )
  console.log('|---|---:|---:|---:|---:|---:|---:|')
  const cases = [
    // Commits in all, events of a commit, commits of a push.
    [300, 1, 1],
    [300, 5, 1],
    [2000, 5, 20],
    [2000, 5, 1000],
    [100, 100, 1],
    [20, 1000, 1],
  ]
  for (const [commits, events, together] of cases) {
    const log = logOf(running)
    await log.identify()
    await log.push([{ events: eventsOf(1, 0, createId) }])
    const bodies = []
    for (let from = 0; from < commits; from += together) {
      bodies.push(
        Array.from({ length: Math.min(together, commits - from) }, (_, n) => ({
          events: eventsOf(events, from + n, createId),
        })),
      )
    }
    const before = { ...(await log.control('stats')), cpu: cpuOf(running), at: performance.now() }
    for (const body of bodies) await log.push(body)
    const after = { ...(await log.control('stats')), cpu: cpuOf(running), at: performance.now() }
    const [all, seconds, cpu] = [commits * events, (after.at - before.at) / 1000, after.cpu - before.cpu]
    const shown = [
      (all / seconds).toFixed(0),
      (bodies.length / seconds).toFixed(0),
      (cpu / bodies.length).toFixed(2),
      ((cpu / all) * 1000).toFixed(0),
      ((after.rows - before.rows) / all).toFixed(3),
      ((after.bytes - before.bytes) / all).toFixed(0),
    ]
    const name = `${commits * events} events, ${events} a commit, ${together === 1 ? 'each alone' : `${together} a request`}`
    console.log(`| ${name} | ${shown.join(' | ')} |`)
  }
}

/** A device with a store in memory that was offline for a long time: its own work counts, too. */
async function device(running, loader) {
  const { openSyncedStore } = await loader.ssrLoadModule('/src/memory/index.ts')
  const { startSync } = await loader.ssrLoadModule('/src/sync/index.ts')
  const { defineEvents } = await loader.ssrLoadModule('/src/index.ts')
  const { url } = logOf(running)
  const headers = () => ({ 'X-User': 'anna' })
  const store = await openSyncedStore({ name: 'offline', url, headers, events: defineEvents() })
  for (let commit = 0; commit < 2000; commit += 1)
    await store.append(
      `cart-${commit % 100}`,
      Array.from({ length: 5 }, (_, index) => ({ type: 'ItemAdded', data: { sku: `sku-${index}`, amount: index } })),
    )
  const at = performance.now()
  const sync = startSync(store)
  await new Promise((resolve) => {
    const look = () => {
      const { cursor, pending } = sync.status.getSnapshot()
      if (cursor === 10_000 && pending === 0) resolve()
    }
    sync.status.subscribe(look)
    look()
  })
  const seconds = (performance.now() - at) / 1000
  await sync.stop()
  await store.close()
  console.log(`\na device with 10,000 pending events, 5 a commit: all sent and pulled in ${seconds.toFixed(2)} s`)
}

async function pulls(running, createId) {
  const log = logOf(running)
  await log.identify()
  for (let round = 0; round < 10; round += 1)
    await log.push(Array.from({ length: 1000 }, (_, n) => ({ events: eventsOf(5, n, createId) })))
  const [cpu, at] = [cpuOf(running), performance.now()]
  let [after, chain, bytes] = [0, '', 0]
  while (after < 50_000) {
    const text = await (await log.ask(`pull?after=${after}${chain && `&chain=${chain}`}`)).text()
    bytes += text.length
    const { scannedTo, chain: next } = JSON.parse(text.trimEnd().split('\n').at(-1))
    ;[after, chain] = [scannedTo, next]
  }
  const seconds = (performance.now() - at) / 1000
  console.log(
    `\npull of 50,000 events, ${(bytes / 50_000).toFixed(0)} bytes each: ${(50_000 / seconds).toFixed(0)} events/s, ${(((cpuOf(running) - cpu) / 50_000) * 1000).toFixed(1)} µs of CPU an event`,
  )
  const rounds = 500
  const idle = cpuOf(running)
  for (let n = 0; n < rounds; n += 1) await (await log.ask(`pull?after=${after}&chain=${chain}`)).text()
  console.log(`pull of an empty page: ${((cpuOf(running) - idle) / rounds).toFixed(2)} ms of CPU`)
}

async function tellings(running, createId, RawSocket) {
  const log = logOf(running)
  await log.identify()
  const alone = await telling(log, running, createId)
  const sockets = []
  for (let n = 0; n < 1000; n += 1) {
    const { ticket } = await (await log.ask('ticket', { method: 'POST', body: '{}' })).json()
    const socket = new RawSocket(`${log.url}/wake?ticket=${ticket}`)
    await socket.heard((texts) => texts.length === 1)
    sockets.push(socket)
  }
  const together = await telling(log, running, createId, sockets)
  console.log(`telling 1,000 sockets: ${(((together - alone) / 1000) * 1000).toFixed(0)} µs of CPU each`)
  for (const socket of sockets) socket.close()
}

/** CPU ms of a push and its hints. */
async function telling(log, running, createId, sockets = []) {
  const rounds = 10
  const cpu = cpuOf(running)
  for (let round = 1; round <= rounds; round += 1) {
    await log.push([{ events: eventsOf(1, round, createId) }])
    const { head } = await (await log.ask('info')).json()
    await Promise.all(sockets.map((socket) => socket.heard((texts) => texts.includes(JSON.stringify({ head })))))
  }
  return (cpuOf(running) - cpu) / rounds
}

if (process.argv.includes('--faults')) {
  const args = ['vitest', 'run', '--project', 'node', 'test/contract/durable-object-faults.node.test.ts']
  const env = { ...process.env, TIDEMARK_KILL_ROUNDS: process.env.TIDEMARK_KILL_ROUNDS ?? '500' }
  const child = spawn('npx', args, { cwd: root, env, stdio: 'inherit' })
  process.exitCode = await new Promise((resolve) => child.once('exit', resolve))
} else await measure()
