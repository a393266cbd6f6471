// npm run bench:engines [-- --only=text] [--engines=postgres,file] [--small] [--postgres=url] [--rounds=6] [--seconds=60] [--devices=10000]
// What the engines of servers do and cost: PostgreSQL, Durable Objects in workerd, files, memory. Prints Markdown, writes
// bench/results/engines.md and .json. See bench/README.md.
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { createServer as createLoader } from 'vite'
import { readAs } from '../../scripts/builds.mjs'
import { readFlags } from '../../scripts/flags.mjs'
import { cases } from './cases.mjs'
import { Engines } from './engines.mjs'
import { alias, buildPrograms } from './programs.mjs'

const text = { type: 'string' }
const { values } = readFlags(import.meta.url, {
  only: { type: 'string', default: '' },
  engines: text,
  small: { type: 'boolean' },
  postgres: text,
  rounds: text,
  seconds: text,
  devices: text,
  seed: text,
})
const isSmall = values.small === true
const { only } = values
const sizes = {
  events: isSmall ? 200 : 10_000,
  warmUp: isSmall ? 10 : 2000,
  projected: isSmall ? 200 : 50_000,
  /** With the first one, which is discarded unless it is the only one. */
  rounds: Number(values.rounds ?? (isSmall ? 1 : 6)),
  alone: isSmall ? 5 : 300,
  followers: isSmall ? [2] : [10, 50],
  hints: isSmall ? 5 : 200,
  told: isSmall ? 5 : 1000,
  devices: Number(values.devices ?? (isSmall ? 20 : 10_000)),
  seconds: Number(values.seconds ?? (isSmall ? 1 : 60)),
  seed: Number(values.seed ?? 20_261_130),
  isSmall,
}

const loader = await createLoader({
  configFile: false,
  root: fileURLToPath(new URL('../..', import.meta.url)),
  logLevel: 'error',
  appType: 'custom',
  plugins: [readAs('production')],
  resolve: { alias },
  optimizeDeps: { noDiscovery: true },
  server: { middlewareMode: true, hmr: false, watch: null, ws: false },
})
const programs = await buildPrograms()
const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-engines-'))
const engines = new Engines({
  loader,
  folder,
  programs: programs.folder,
  url: values.postgres,
  only: values.engines?.split(','),
})
const say = (line) => console.error(line)
const started = new Date()
const results = []
try {
  for (const { name, run, isLarge } of cases) {
    if (!name.includes(only) || (isSmall && isLarge)) continue
    const before = loadavg()[0]
    say(`── ${name}`)
    const tables = await run({ engines, sizes, say })
    results.push({ name, load: { before, after: loadavg()[0] }, tables })
    await write()
  }
  if (results.length === 0)
    throw new Error(`No case has '${only}' in its name. There are: ${cases.map(({ name }) => name).join('; ')}`)
  console.log(report())
} finally {
  await engines.close()
  await loader.close()
  await programs.remove()
  await rm(folder, { recursive: true, force: true })
}
// Vite's loader keeps the process.
process.exit()

async function write() {
  if (isSmall) return
  const results_ = fileURLToPath(new URL('../results/', import.meta.url))
  await mkdir(results_, { recursive: true })
  await writeFile(
    join(results_, 'engines.json'),
    `${JSON.stringify({ started, commit: commit(), sizes, results }, null, 1)}\n`,
  )
  await writeFile(join(results_, 'engines.md'), `${report()}\n`)
}

function report() {
  const about = `${started.toISOString().slice(0, 16)}, commit ${commit()}, Node ${process.version}, ${engines.versions()}, ${availableParallelism()} processors.`
  return [
    about,
    ...results.flatMap(({ name, load, tables }) => [
      `\n### ${name}\n\nLoad of the machine: ${load.before.toFixed(1)} before, ${load.after.toFixed(1)} after.`,
      ...tables.map(markdown),
    ]),
  ].join('\n')
}

function markdown({ head, rows, notes = [] }) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [
    '',
    line(head),
    `|---|${head
      .slice(1)
      .map(() => '---:|')
      .join('')}`,
    ...rows.map(line),
    ...(notes.length === 0 ? [] : ['', ...notes.map((note) => `- ${note}`)]),
  ].join('\n')
}

function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}
