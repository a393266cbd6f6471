/** The ledger as Markdown. */
import type { ViolationKind } from './audit.js'
import type { LedgerLine, NotRun } from './ledger.js'
import type { Kill } from './plan.js'

const kills: readonly Kill[] = ['process tree', 'renderer', 'dedicated worker', 'service worker']

/** What is looked for, in the words of the table. */
const columns: readonly (readonly [string, readonly ViolationKind[]])[] = [
  ['lost or moved', ['lost', 'moved']],
  ['twice', ['doubled event']],
  ['half batches', ['torn batch']],
  ['refused, yet written', ['written after all']],
  ['holes in positions or versions', ['positions', 'versions']],
  ['wrong rows', ['rows', 'letters']],
  ['effects twice', ['doubled effect']],
  ['checkpoints ahead or back', ['checkpoint beyond head', 'checkpoint went back']],
  ['anything else', ['contradiction', 'stuck', 'uncaught']],
]

/**
 * Two tables: what was done, and what was found wrong; a row for each engine and one for all. An engine of which no round was played has a
 * row that says why.
 */
export function ledgerTable(all: readonly LedgerLine[], notRun: readonly NotRun[] = []): string {
  const lines = all.filter(isPlayed)
  const engines = [...new Set(lines.map(({ engine }) => engine))]
  const groups = engines.map((engine) => [engine, lines.filter((line) => line.engine === engine)] as const)
  if (engines.length > 1) groups.push(['all', lines])
  const absent = enginesNotRun(all, notRun)
  const early = notRun.filter(({ engine }) => engines.includes(engine))
  const sum = (some: readonly LedgerLine[], of: (line: LedgerLine) => number) =>
    some.reduce((total, line) => total + of(line), 0)
  const count = (value: number) => value.toLocaleString('en-US')
  const done = groups.map(([name, some]) => [
    name,
    [...new Set(some.map(({ version }) => version))].join(', '),
    count(some.length),
    ...kills.map((kill) => count(some.filter((line) => line.kill === kill).length)),
    count(sum(some, ({ acknowledged }) => acknowledged.events)),
    count(sum(some, ({ unacknowledged }) => unacknowledged.whole)),
    count(sum(some, ({ unacknowledged }) => unacknowledged.absent)),
    count(sum(some, ({ refused }) => Object.values(refused).reduce((total, each) => total + each, 0))),
  ])
  const wrong = groups.map(([name, some]) => [
    name,
    ...columns.map(([, kinds]) =>
      count(some.filter(({ violations }) => violations.some(({ kind }) => kinds.includes(kind))).length),
    ),
  ])
  return [
    markdown(
      [
        'engine',
        'version',
        'rounds',
        ...kills.map((kill) => `${kill} killed`),
        'events acknowledged',
        'unacknowledged appends found whole',
        'unacknowledged appends absent',
        'appends refused',
      ],
      [
        ...absent.map(({ engine, reason }) => [
          engine,
          `not run: ${inCell(reason)}`,
          '0',
          ...kills.map(() => ''),
          '',
          '',
          '',
          '',
        ]),
        ...done,
      ],
    ),
    '',
    'Rounds in which this was found:',
    '',
    markdown(
      ['engine', ...columns.map(([name]) => name)],
      [...absent.map(({ engine }) => [engine, 'not run', ...columns.slice(1).map(() => '')]), ...wrong],
    ),
    ...(all.length > lines.length
      ? ['', `${all.length - lines.length} rounds could not be played and are not counted.`]
      : []),
    ...early.flatMap(({ engine, reason }) => ['', `${engine} was not run to its end: ${inCell(reason)}`]),
  ].join('\n')
}

/** The last line of a run. */
export function ledgerTotals(all: readonly LedgerLine[], notRun: readonly NotRun[] = []): string {
  const played = all.filter(isPlayed).length
  const violations = all.reduce((sum, line) => sum + line.violations.length, 0)
  return `${played} rounds, ${violations} violations, ${all.length - played} not played, ${enginesNotRun(all, notRun).length} engines not run`
}

const isPlayed = ({ unplayed }: LedgerLine): boolean => unplayed === undefined

/** Engines without a single round that was played. */
function enginesNotRun(all: readonly LedgerLine[], notRun: readonly NotRun[]): Pick<NotRun, 'engine' | 'reason'>[] {
  const reasons = new Map<string, string>(
    all
      .filter((line) => !isPlayed(line))
      .map(({ engine, unplayed = '' }) => [engine, `no round could be played: ${unplayed}`] as const),
  )
  for (const { engine, reason } of notRun) reasons.set(engine, reason)
  for (const { engine } of all.filter(isPlayed)) reasons.delete(engine)
  return [...reasons].map(([engine, reason]) => ({ engine, reason }))
}

/** In one line, and without the mark that ends a cell. */
const inCell = (text: string): string => (text.split('\n')[0] ?? '').replaceAll('|', '\\|')

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
