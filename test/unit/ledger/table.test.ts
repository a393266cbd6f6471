// The ledger says what it did not do: an engine that was asked for is in the table, whatever became of it.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { LedgerEngine } from '../../ledger/browser.js'
import { keepLedgers, type LedgerLine } from '../../ledger/ledger.js'
import { ledgerTable, ledgerTotals } from '../../ledger/table.js'

const line = (engine: string, unplayed?: string): LedgerLine => ({
  engine,
  version: `${engine} 1.0`,
  seed: 1,
  profile: 0,
  round: 0,
  kill: 'process tree',
  moment: { after: 'acknowledgements', count: 1, delay: 0 },
  contexts: [],
  ms: 1,
  how: '',
  late: false,
  acknowledged: { batches: 1, events: 5 },
  unacknowledged: { whole: 0, absent: 0 },
  refused: {},
  turns: {},
  head: 5,
  checkpoint: 5,
  letters: 0,
  violations: [],
  ...(unplayed === undefined ? {} : { unplayed }),
})
const rowsOf = (table: string) =>
  table
    .split('\n')
    .filter((row) => row.startsWith('| '))
    .map((row) =>
      row
        .slice(2, -2)
        .split(' | ')
        .map((cell) => cell.trim()),
    )

test('an engine that was not run is a row with the reason, and is counted', () => {
  const notRun = [{ engine: 'webkit', reason: 'it did not start | at all\n  at somewhere', failed: true }]
  const table = ledgerTable([line('firefox')], notRun)
  const rows = rowsOf(table).filter(([name]) => name === 'webkit')
  expect(rows[0]?.slice(0, 2)).toEqual(['webkit', 'not run: it did not start \\| at all'])
  expect(table).not.toContain('at somewhere')
  expect(rows[1]?.slice(0, 2)).toEqual(['webkit', 'not run'])
  expect(ledgerTotals([line('firefox')], notRun)).toBe('1 rounds, 0 violations, 0 not played, 1 engines not run')
  // All rows of a table have as many cells.
  for (const part of table.replaceAll('\\|', '').split('\n\n'))
    expect(
      new Set(
        part
          .split('\n')
          .filter((row) => row.startsWith('|'))
          .map((row) => row.split('|').length),
      ).size,
    ).toBeLessThan(2)
})

test('so is one of which no round could be played; one that broke later keeps its rounds', () => {
  const lines = [line('firefox'), line('webkit', 'Error: gone'), line('webkit', 'Error: gone')]
  expect(rowsOf(ledgerTable(lines)).find(([name]) => name === 'webkit')?.[1]).toBe(
    'not run: no round could be played: Error: gone',
  )
  expect(ledgerTotals(lines)).toBe('1 rounds, 0 violations, 2 not played, 1 engines not run')
  const broke = [{ engine: 'firefox', reason: 'no tab opens', failed: true }]
  const table = ledgerTable([line('firefox')], broke)
  expect(
    rowsOf(table)
      .filter(([name]) => name === 'firefox')
      .map((cells) => cells[1]),
  ).toEqual(['firefox 1.0', '0'])
  expect(table).toContain('firefox was not run to its end: no tab opens')
  expect(ledgerTotals([line('firefox')], broke)).toBe('1 rounds, 0 violations, 0 not played, 0 engines not run')
})

test('every engine that is asked for is run or named: missing, not starting, out of time', async () => {
  let starts = 0
  const profiles: string[] = []
  const engine = (name: string): LedgerEngine => ({
    name,
    kills: [['process tree', 1]],
    start: async (profile) => {
      starts += 1
      profiles.push(profile)
      throw new Error('its version took too long')
    },
    assertStorage: async () => {},
  })
  const common = { url: 'http://localhost:1/', seed: 1, rounds: 30, record: () => {} }
  const whyMissing = (name: string) => (name === 'absent' ? 'install it' : undefined)
  expect(
    await keepLedgers([engine('absent'), engine('slow')], whyMissing, {
      ...common,
      signal: new AbortController().signal,
    }),
  ).toEqual([
    { engine: 'absent', reason: 'install it', failed: false },
    { engine: 'slow', reason: 'it did not start, 3 times: its version took too long', failed: true },
  ])
  expect(starts).toBe(3)
  // Asked by path: the shared folder may hold files of others whose names are the end of one of ours.
  expect(profiles).toHaveLength(3)
  expect(profiles.filter((profile) => existsSync(profile))).toEqual([])
  expect(await keepLedgers([engine('late')], whyMissing, { ...common, signal: AbortSignal.abort() })).toEqual([
    { engine: 'late', reason: 'it was told to end before its first round', failed: false },
  ])
})

test('the table of the browser suites counts the engines that were not run', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-no-engine-'))
  try {
    const script = join(import.meta.dirname, '../../../scripts/test-engines.mjs')
    const run = promisify(execFile)(process.execPath, [script, 'firefox'], {
      env: { ...process.env, TIDEMARK_FIREFOX: join(folder, 'nowhere') },
    })
    const ended = await run.catch((error: { code: number; stdout: string }) => error)
    expect(ended).toMatchObject({ code: 2 })
    expect(ended.stdout).toMatch(/firefox .*not run: TIDEMARK_FIREFOX/)
    expect(ended.stdout.trimEnd().split('\n').at(-1)).toBe('0 passed, 0 failed, 1 engines not run')
  } finally {
    await rm(folder, { recursive: true })
  }
})
