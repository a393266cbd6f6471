// What the example of a server over PostgreSQL says when something is not as it should be: a line, not a page.
import { spawn } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { postgresExample, type PostgresExample } from '../support/example-servers.js'

let example: PostgresExample
beforeAll(async () => void (example = await postgresExample()), 120_000)
afterAll(() => example.dispose())

function start(env: NodeJS.ProcessEnv) {
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
  return { child, printed, ended }
}

test('that its port is taken', { timeout: 120_000 }, async () => {
  const other = createServer()
  await new Promise<void>((resolve) => void other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as AddressInfo
  const { printed, ended } = start({ PORT: `${port}` })
  expect(await ended).toBe(1)
  expect(printed.out).toBe('')
  expect(printed.error.trimEnd().split('\n')).toEqual([expect.stringMatching(new RegExp(`EADDRINUSE.*:${port}.*PORT`))])
  await new Promise((resolve) => other.close(resolve))
})

test('that connections were lost', { timeout: 120_000 }, async (context) => {
  if (example.database === undefined) return context.skip('It keeps its log in no PostgreSQL.')
  const { child, printed, ended } = start({ PORT: '0' })
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
