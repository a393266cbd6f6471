// The bench of engines still runs, with as little work as there can be. What it measures here is of no use.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { postgresUrl } from '../support/postgres/server.js'
import { workerd } from '../support/workerd/start.js'

const url = await postgresUrl()
const program = fileURLToPath(new URL('../../bench/engines/run.mjs', import.meta.url))

/** The first cell of each line of its tables, by the title of the case. */
async function tablesOf(...args: string[]): Promise<Record<string, string[]>> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, '--small', ...args], { timeout: 400_000 })
  expect(stdout).not.toMatch(/NaN|undefined/)
  const tables: Record<string, string[]> = {}
  let rows: string[] = []
  for (const line of stdout.split('\n')) {
    const [, name] = /^### (.*)/.exec(line) ?? []
    if (name !== undefined) tables[name] = rows = []
    const [, cell] = /^\| ([A-Z][^|]*) \|/i.exec(line) ?? []
    if (cell !== undefined) rows.push(cell)
  }
  return tables
}

test.skipIf(url === undefined)('the bench of engines: every case on PostgreSQL', { timeout: 420_000 }, async () => {
  const tables = await tablesOf('--engines=postgres', `--postgres=${url}`)
  expect(Object.fromEntries(Object.entries(tables).map(([name, rows]) => [name, rows.length]))).toEqual({
    'push: 10,000 events in commits of 5': 6,
    followers: 3,
    hints: 1,
    'projection into rows of PostgreSQL': 9,
    'cost of an event': 6,
    'fleet: devices over logs of ten': 2,
    'storm of writers': 2,
  })
})

test.skipIf(workerd === undefined)(
  'the bench of engines: the fleet on Durable Objects',
  { timeout: 420_000 },
  async () => {
    // It ends with an error unless every log has exactly what was acknowledged.
    const tables = await tablesOf('--engines=durable-object', '--only=fleet:')
    expect(tables).toEqual({ 'fleet: devices over logs of ten': ['engine', 'Durable Object'] })
  },
)
