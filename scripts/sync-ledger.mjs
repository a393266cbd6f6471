// `npm run sync-ledger -- --rounds 60 --engine all --seed 1 [--minutes 25] [--add]`: devices, tabs and a server work through a
// network that cuts off, repeats, delays and loses, are killed and restored, and every commit is accounted for. `--rounds`
// are of each engine, `--parallel 2` has two engines at work at a time; `--minutes` ends it earlier; `--add` keeps the
// rounds of earlier runs.
// `--server postgres` has logs in PostgreSQL, `--server durable-object` in workerd; otherwise they are in files.
// `--sabotage no-ids` breaks the server, `--client no-cursor` the client: then a violation is what is hoped for.
// `--fault late-response` has that happen to every third request.
// Writes .cache/sync-ledger/ledger.jsonl (a line a round), ledger.md, and the evidence of every violation. See docs/sync-ledger.md.
// Exit code: 0 no violation, 1 violations or rounds that could not be played, 2 an engine that was asked for is missing.
import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { build, preview, runnerImport } from 'vite'
import { whyMissing } from './engines.mjs'
import { readFlags } from './flags.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values: options } = readFlags(import.meta.url, {
  rounds: { type: 'string', default: '60' },
  engine: { type: 'string', default: 'all' },
  seed: { type: 'string', default: '1' },
  parallel: { type: 'string', default: '2' },
  minutes: { type: 'string' },
  add: { type: 'boolean', default: false },
  sabotage: { type: 'string' },
  client: { type: 'string' },
  fault: { type: 'string' },
  server: { type: 'string', default: 'file' },
  out: { type: 'string', default: join(root, '.cache', 'sync-ledger') },
})
process.env['TIDEMARK_E2E_PORT'] ??= '4829'
const { module: ledger } = await runnerImport(join(root, 'test', 'sync-ledger', 'index.ts'), {
  root,
  configFile: false,
  logLevel: 'error',
})
if (!ledger.servers.includes(options.server)) throw new Error(`There are the servers ${ledger.servers.join(', ')}.`)
const wanted = options.engine.split(',')
const chosen = ledger.engines.filter(({ name }) => options.engine === 'all' || wanted.includes(name))
if (chosen.length === 0)
  throw new Error(`There are the engines ${ledger.engines.map(({ name }) => name).join(', ')}, and all.`)

// Asked at the start: what is edited meanwhile is not what runs.
const ranOn = execFileSync('git', ['log', '-1', '--format=%h', '--', 'src'], { cwd: root, encoding: 'utf8' }).trim()
if (!options.add) rmSync(options.out, { recursive: true, force: true })
mkdirSync(options.out, { recursive: true })
const file = join(options.out, 'ledger.jsonl')
const lines = existsSync(file)
  ? readFileSync(file, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
  : []
const record = (played, evidence) => {
  const line = { commit: ranOn, ...played }
  lines.push(line)
  appendFileSync(file, `${JSON.stringify(line)}\n`)
  const { engine, server, seed, round, planned, acknowledged, violations, unplayed, ms, phases } = line
  const result = unplayed
    ? `not played: ${unplayed}`
    : `${acknowledged} commits acknowledged, ${violations.length} violations`
  const parts = Object.entries(phases ?? {}).map(([name, took]) => `${name} ${took}`)
  console.log(`${engine} ${server} ${seed}/${round}: ${planned}; ${result}, ${ms} ms (${parts.join(', ')})`)
  for (const { rule, detail } of violations.slice(0, 5)) console.error(`  ${rule}: ${detail.slice(0, 600)}`)
  if (evidence)
    writeFileSync(
      join(options.out, `evidence-${engine}-${server}-${seed}-${round}.json`),
      JSON.stringify({ line, evidence }),
    )
}

const config = join(root, 'test', 'e2e', 'harness', 'vite.config.ts')
await build({ configFile: config, plugins: options.client ? [ledger.sabotagedClient(options.client)] : [] })
const server = await preview({ configFile: config })
let broke = false
let missing = false
try {
  const url = `http://localhost:${process.env['TIDEMARK_E2E_PORT']}/`
  const ending = new AbortController()
  // The rounds under way are played to their end, so that no browser is left behind.
  process.removeAllListeners('SIGTERM')
  const end = () => ending.abort()
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end)
  const timer = options.minutes === undefined ? undefined : setTimeout(end, Number(options.minutes) * 60_000)
  const play = async (engine) => {
    const why = whyMissing(engine.name)
    if (why !== undefined) {
      missing = true
      return console.error(`${engine.name} not run: ${why}`)
    }
    try {
      await ledger.keepSyncLedger({
        engine,
        url,
        seed: Number(options.seed),
        rounds: Number(options.rounds),
        signal: ending.signal,
        server: options.server,
        sabotage: options.sabotage,
        fault: options.fault,
        record,
      })
    } catch (error) {
      broke = true
      console.error(`${engine.name} not run to its end:`, error)
    }
  }
  const waiting = [...chosen]
  const inTurn = async () => {
    for (let engine = waiting.shift(); engine !== undefined; engine = waiting.shift()) await play(engine)
  }
  await Promise.all(Array.from({ length: Number(options.parallel) }, inTurn))
  clearTimeout(timer)
  const runs = [...new Set(lines.map((line) => `commit ${line.commit} with seed ${line.seed}`))]
  const markdown = `Run on ${runs.join(', ')}.\n\n${ledger.syncTables(lines)}\n`
  writeFileSync(join(options.out, 'ledger.md'), markdown)
  console.log(`\n${markdown}`)
  const isBad = broke || lines.some(({ violations, unplayed }) => unplayed || violations.length > 0)
  process.exitCode = isBad ? 1 : missing ? 2 : 0
} finally {
  await server.close()
}
// A round that was given up may have left something that keeps this process.
process.exit()
