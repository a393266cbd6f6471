// What the examples of servers print: where they are, and a line, not a page, when something is not as it should be.
import { spawn } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  durableObjectExample,
  isThere,
  postgresExample,
  type ExampleProgram,
  type PostgresExample,
} from '../support/example-servers.js'

function start(example: ExampleProgram, env: NodeJS.ProcessEnv) {
  const { NODE_OPTIONS: _, ...own } = { ...example.env, ...env }
  const child = spawn(process.execPath, [example.program], {
    cwd: example.folder,
    env: own,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed = { out: '', error: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (printed.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (printed.error += text))
  const ended = new Promise<number | null>((resolve) => void child.once('exit', resolve))
  // Also after a failure.
  onTestFinished(() => void child.kill('SIGTERM'))
  return { child, printed, ended }
}

/** A port that another program has, until the test is over. */
async function takenPort(): Promise<{ port: number; free(): Promise<void> }> {
  const other = createServer()
  await new Promise<void>((resolve) => void other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as AddressInfo
  return { port, free: () => new Promise((resolve) => void other.close(() => resolve())) }
}

describe('the server over PostgreSQL', () => {
  let example: PostgresExample
  beforeAll(async () => void (example = await postgresExample()), 120_000)
  afterAll(() => example.dispose())

  test('says that its port is taken', { timeout: 120_000 }, async () => {
    const { port, free } = await takenPort()
    const { printed, ended } = start(example, { PORT: `${port}` })
    expect(await ended).toBe(1)
    expect(printed.out).toBe('')
    const line = new RegExp(`EADDRINUSE.*:${port}.*PORT`)
    expect(printed.error.trimEnd().split('\n')).toEqual([expect.stringMatching(line)])
    await free()
  })

  test('says that connections were lost', { timeout: 120_000 }, async (context) => {
    if (example.database === undefined) return context.skip('It keeps its log in no PostgreSQL.')
    const { child, printed, ended } = start(example, { PORT: '0' })
    await expect.poll(() => printed.out, { timeout: 60_000 }).toContain('/logs/<household>')
    const admin = new pg.Client({ connectionString: example.database })
    await admin.connect()
    const terminate = `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`
    // At many moments: while they are idle, in use, or just opened.
    for (let each = 0; each < 40; each += 1) await admin.query(terminate)
    // One was idle at last: the others are noticed by what uses them.
    await expect.poll(async () => (await admin.query(terminate)) && printed.error, { timeout: 20_000 }).toContain('\n')
    // It works on, with new ones.
    const [address] = /http:\S+(?=\/logs)/.exec(printed.out) as RegExpExecArray
    const asked = () =>
      fetch(`${address}/logs/home/info`, { headers: { 'Tidemark-Sync': '1', Authorization: 'Bearer anna' } })
    await expect.poll(async () => (await asked()).status, { timeout: 20_000 }).toBe(200)
    await admin.end()
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    for (const line of printed.error.trimEnd().split('\n'))
      expect(line).toMatch(/^A connection to PostgreSQL was lost: .+/)
  })
})

describe.skipIf(!isThere('server-durable-object'))('the server in Durable Objects', () => {
  let example: ExampleProgram
  beforeAll(async () => void (example = await durableObjectExample()), 120_000)
  afterAll(() => example.dispose())

  test('says at which port it is', { timeout: 60_000 }, async () => {
    const { child, printed, ended } = start(example, { PORT: '0' })
    await expect.poll(() => printed.out, { timeout: 30_000 }).toContain('/logs/<household>')
    const [address] = /http:\S+(?=\/logs)/.exec(printed.out) as RegExpExecArray
    const response = await fetch(`${address}/logs/home/info`, {
      headers: { 'Tidemark-Sync': '1', Authorization: 'Bearer anna' },
    })
    expect(await response.json()).toMatchObject({ head: 0, author: 'anna' })
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  })

  test('says that its port is taken, and not that it is there', { timeout: 60_000 }, async () => {
    const { port, free } = await takenPort()
    const { printed, ended } = start(example, { PORT: `${port}` })
    expect(await ended).not.toBe(0)
    expect(printed.out).toBe('')
    expect(printed.error).toMatch(/PORT=/)
    await free()
  })
})
