/**
 * Processes that write to a log and are killed. A longer run: `TIDEMARK_KILL_ROUNDS=1000 npx vitest run --project servers
 * test/unit/file/kill.test.ts`.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LogFileInUseError, openFileLogStore } from 'tidemark/file'
import { build } from 'vite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readAs } from '../../../scripts/builds.mjs'
import { seededRandom } from '../../../src/testing/random.js'
import { alias } from '../../../vite.config.js'
import { allOf, newPath } from './support.js'

const rounds = Number(process.env['TIDEMARK_KILL_ROUNDS'] ?? 8)
let built = ''
let script = ''

beforeAll(async () => {
  built = await mkdtemp(join(tmpdir(), 'tidemark-killed-'))
  await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { alias },
    plugins: [readAs('development')],
    build: {
      outDir: built,
      minify: false,
      ssr: fileURLToPath(new URL('./killed.ts', import.meta.url)),
      rollupOptions: { output: { entryFileNames: 'killed.mjs' } },
    },
  })
  script = join(built, 'killed.mjs')
})

afterAll(() => rm(built, { recursive: true, force: true }))

interface Said {
  readonly ids?: readonly string[]
  readonly kept?: readonly string[]
  readonly operations?: number
}

/** Runs the process; resolves when it has ended. `isEnough` kills it, after each line that it wrote. */
function runKilled(
  path: string,
  run: string,
  end: string,
  isEnough: (lines: number) => boolean = () => false,
): Promise<{ said: Said[]; signal: string | null; errors: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, path, run, end], { stdio: ['ignore', 'pipe', 'pipe'] })
    let [text, errors] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part
      if (isEnough(text.split('\n').length - 1)) child.kill('SIGKILL')
    })
    child.stderr.setEncoding('utf8').on('data', (part: string) => (errors += part))
    child.on('error', reject)
    child.on('close', (_code, signal) => {
      // A line that was cut off was said, but which one is not known.
      const said = text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Said)
      resolve({ said, signal, errors })
    })
  })
}

/** Opens the log: all that was acknowledged is there, once, and nothing contradicts itself. */
async function audit(path: string, acknowledged: readonly Said[]): Promise<number> {
  const store = await openFileLogStore({ path, create: acknowledged.length === 0, log: 'log-1' })
  const commits = await allOf(store, 100)
  const events = commits.flatMap((commit) => commit.events)
  expect(events.map(({ position }) => position)).toEqual(events.map((_, index) => index + 1))
  const versions = new Map<string, number>()
  for (const { stream, version } of events) {
    expect(version).toBe((versions.get(stream) ?? 0) + 1)
    versions.set(stream, version)
  }
  let chain = '0'.repeat(32)
  for (const commit of commits) {
    const hash = createHash('sha256').update(chain)
    for (const { line } of commit.events) hash.update(line)
    chain = hash.digest('hex').slice(0, 32)
    expect(commit.chain).toBe(chain)
  }
  const ids = events.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  const stored = new Set(commits.map((commit) => commit.events.map(({ id }) => id).join()))
  const kept = acknowledged.flatMap((each) => each.kept ?? [])
  expect(acknowledged.filter((each) => each.ids !== undefined && !stored.has(each.ids.join()))).toEqual([])
  await store.decide(async (log) => {
    expect([...(await log.verdicts('anna', kept)).keys()]).toEqual(kept)
    expect([...(await log.find(ids)).values()]).toEqual(events)
    const last = await log.last([...versions.keys()])
    expect(new Map([...last].map(([stream, { version }]) => [stream, version]))).toEqual(versions)
  })
  await store.close()
  expect((await readdir(dirname(path))).filter((name) => name.includes('.lock') || name.endsWith('.new'))).toEqual([])
  return events.length
}

test(
  'killed under load, again and again: what was acknowledged is there, once, and without holes',
  async () => {
    const seed = Number(process.env['TIDEMARK_SEED'] ?? Date.now() % 1e6)
    console.log(`seed ${seed}`)
    const random = seededRandom(seed)
    let path = ''
    let acknowledged: Said[] = []
    for (let round = 0; round < rounds; round += 1) {
      // A log that grows is read whole in each round.
      if (round % 20 === 0) {
        path = await newPath()
        acknowledged = []
      }
      const most = 1 + Math.floor(random() * 60)
      const { said, signal, errors } = await runKilled(path, `${seed}-${round}`, 'signal', (lines) => lines >= most)
      expect([signal, errors]).toEqual(['SIGKILL', ''])
      acknowledged.push(...said)
      await audit(path, acknowledged)
    }
    expect(acknowledged.length).toBeGreaterThan(rounds % 20)
  },
  60_000 + rounds * 10_000,
)

test.each(['before', 'within', 'after'])(
  'ended %s each of its operations on files, with a power cut too: what was acknowledged is there, once',
  async (how) => {
    const whole = await runKilled(await newPath(), 'whole', 'none')
    expect([whole.signal, whole.errors]).toEqual([null, ''])
    const operations = whole.said.at(-1)?.operations ?? 0
    expect(operations).toBeGreaterThan(15)
    let ended = 0
    // The whole of opening, and then every fifth.
    for (let at = 1; at <= operations; at += at < 10 || rounds > 8 ? 1 : 5) {
      const path = await newPath()
      const { said, signal, errors } = await runKilled(path, 'a', `${how}@${at}${at % 2 === 0 ? '+power' : ''}`)
      expect(errors).toBe('')
      if (signal === 'SIGKILL') ended += 1
      await audit(
        path,
        said.filter((each) => each.operations === undefined),
      )
      // And the process itself can go on.
      const again = await runKilled(path, 'b', 'none')
      expect([again.signal, again.errors]).toEqual([null, ''])
      await audit(
        path,
        [...said, ...again.said].filter((each) => each.operations === undefined),
      )
    }
    expect(ended).toBeGreaterThan(8)
  },
  60_000 + rounds * 10_000,
)

test('while a process has the file open no other one opens it, and both are right about it', async () => {
  const path = await newPath()
  const refused: unknown[] = []
  let isFirst = true
  const { said } = await runKilled(path, 'a', 'signal', (lines) => {
    if (lines > 0 && isFirst) {
      isFirst = false
      openFileLogStore({ path }).then(
        () => refused.push('opened'),
        (error: unknown) => refused.push(error),
      )
    }
    return refused.length > 0
  })
  expect(refused).toEqual([expect.any(LogFileInUseError)])
  expect(said.length).toBeGreaterThan(0)
  await audit(path, said)
})
