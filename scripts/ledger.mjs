// `npm run ledger -- --rounds 60 --engine all --seed 1 [--minutes 25] [--add]`: kills browsers, renderers and workers while they append
// and project, and accounts for every acknowledged event. `--rounds` are of each engine; `--minutes` ends it earlier;
// `--add` keeps the rounds of earlier runs.
// Writes .cache/ledger/ledger.jsonl (a line a round), ledger.md, and the evidence of every violation. See docs/ledger.md.
// Exit code: 0 no violation, 1 violations, rounds that could not be played or an engine that broke, 2 an engine that was asked for is missing.
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
  minutes: { type: 'string' },
  add: { type: 'boolean', default: false },
  out: { type: 'string', default: join(root, '.cache', 'ledger') },
})
process.env['TIDEMARK_E2E_PORT'] ??= '4827'
const { module: ledger } = await runnerImport(join(root, 'test', 'ledger', 'index.ts'), {
  root,
  configFile: false,
  logLevel: 'error',
})
const chosen = ledger.engines.filter(({ name }) => options.engine === 'all' || options.engine === name)
if (chosen.length === 0)
  throw new Error(
    `There is no engine '${options.engine}'; there are ${ledger.engines.map(({ name }) => name).join(', ')}, and all.`,
  )

// Asked at the start: what is edited meanwhile is not what runs.
const ranOn = commit()
if (!options.add) rmSync(options.out, { recursive: true, force: true })
mkdirSync(options.out, { recursive: true })
const lines = earlierLines(join(options.out, 'ledger.jsonl'))
const record = (played, evidence) => {
  const line = { commit: ranOn, ...played }
  lines.push(line)
  appendFileSync(join(options.out, 'ledger.jsonl'), `${JSON.stringify(line)}\n`)
  const { engine, profile, round, kill, acknowledged, violations, unplayed, ms } = line
  console.log(
    `${engine} ${profile}/${round}: ${kill}, ${unplayed ? `not played: ${unplayed}` : `${acknowledged.events} events acknowledged, ${violations.length} violations`}, ${ms} ms`,
  )
  for (const { when, kind, detail } of violations.slice(0, 5)) console.error(`  ${when}: ${kind}: ${detail}`)
  if (evidence)
    writeFileSync(join(options.out, `evidence-${engine}-${profile}-${round}.json`), JSON.stringify({ line, evidence }))
}

const config = join(root, 'test', 'e2e', 'harness', 'vite.config.ts')
await build({ configFile: config })
const server = await preview({ configFile: config })
try {
  const url = `http://localhost:${process.env['TIDEMARK_E2E_PORT']}/`
  const ending = new AbortController()
  // The rounds under way are played to their end, so that no browser is left behind. Vite's server would end the process immediately.
  process.removeAllListeners('SIGTERM')
  const end = () => ending.abort()
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end)
  const timer = options.minutes === undefined ? undefined : setTimeout(end, Number(options.minutes) * 60_000)
  const notRun = await ledger.keepLedgers(chosen, whyMissing, {
    url,
    seed: Number(options.seed),
    rounds: Number(options.rounds),
    signal: ending.signal,
    record,
  })
  clearTimeout(timer)
  for (const { engine, reason } of notRun) console.error(`${engine} not run, or not to its end: ${reason}`)
  const violations = lines.reduce((sum, line) => sum + line.violations.length, 0)
  const unplayed = lines.filter((line) => line.unplayed).length
  const runs = [...new Set(lines.map((line) => `commit ${line.commit} with seed ${line.seed}`))]
  const markdown = `Run on the package of ${runs.join(', ')}: ${lines.length - unplayed} rounds, ${new Date().toISOString().slice(0, 10)}.\n\n${ledger.ledgerTable(lines, notRun)}\n`
  writeFileSync(join(options.out, 'ledger.md'), markdown)
  console.log(`\n${markdown}\n${ledger.ledgerTotals(lines, notRun)}`)
  process.exitCode =
    violations > 0 || unplayed > 0 || notRun.some(({ failed }) => failed) ? 1 : notRun.length > 0 ? 2 : 0
} finally {
  await server.close()
}

function earlierLines(path) {
  return existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    : []
}

/** The last commit that changed the package: what else is committed makes no difference to what is tested. */
function commit() {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  return `${git('log', '-1', '--format=%h', '--', 'src')}${git('status', '--porcelain', '--', 'src') === '' ? '' : ' with changes'}`
}
