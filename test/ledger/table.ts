/** The ledger as Markdown. */
import type { ViolationKind } from './audit.js'
import type { LedgerLine } from './ledger.js'
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

/** Two tables: what was done, and what was found wrong; a row for each engine and one for all. */
export function ledgerTable(all: readonly LedgerLine[]): string {
  const lines = all.filter(({ unplayed }) => unplayed === undefined)
  const engines = [...new Set(lines.map(({ engine }) => engine))]
  const groups = engines.map((engine) => [engine, lines.filter((line) => line.engine === engine)] as const)
  if (engines.length > 1) groups.push(['all', lines])
  const sum = (some: readonly LedgerLine[], of: (line: LedgerLine) => number) => some.reduce((total, line) => total + of(line), 0)
  const count = (value: number) => value.toLocaleString('en-US')
  const done = groups.map(([name, some]) => [
    name, [...new Set(some.map(({ version }) => version))].join(', '), count(some.length),
    ...kills.map((kill) => count(some.filter((line) => line.kill === kill).length)),
    count(sum(some, ({ acknowledged }) => acknowledged.events)),
    count(sum(some, ({ unacknowledged }) => unacknowledged.whole)),
    count(sum(some, ({ unacknowledged }) => unacknowledged.absent)),
    count(sum(some, ({ refused }) => Object.values(refused).reduce((total, each) => total + each, 0))),
  ])
  const wrong = groups.map(([name, some]) => [
    name, ...columns.map(([, kinds]) => count(some.filter(({ violations }) => violations.some(({ kind }) => kinds.includes(kind))).length)),
  ])
  return [
    markdown([
      'engine', 'version', 'rounds', ...kills.map((kill) => `${kill} killed`),
      'events acknowledged', 'unanswered appends found whole', 'unanswered appends absent', 'appends refused',
    ], done),
    '',
    'Rounds in which this was found:',
    '',
    markdown(['engine', ...columns.map(([name]) => name)], wrong),
    ...(all.length > lines.length ? ['', `${all.length - lines.length} rounds could not be played and are not counted.`] : []),
  ].join('\n')
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
