/** The tables of docs/sync-ledger.md. */
import type { SyncLine } from './sync-ledger.js'

const rules = [
  'replica',
  'one place',
  'preconditions',
  'decided',
  'rows',
  'shown once',
  'drained',
  'no is no',
  'kept',
  'errors',
  'ledger',
] as const

const sumOf = (lines: readonly SyncLine[], of: (line: SyncLine) => number | undefined): number =>
  lines.reduce((sum, line) => sum + (of(line) ?? 0), 0)

const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

/** What must have happened in a long run: else the run proves less than it says. */
export const neverHappened = (lines: readonly SyncLine[], kinds: readonly string[]): string[] =>
  kinds.filter((kind) => sumOf(lines, ({ faults }) => faults?.[kind]) === 0)

export function syncTables(lines: readonly SyncLine[]): string {
  const played = lines.filter(({ unplayed }) => unplayed === undefined)
  const engines = [...new Set(played.map(({ engine }) => engine))]
  const groups: [string, SyncLine[]][] = engines.map((name) => [name, played.filter(({ engine }) => engine === name)])
  if (groups.length > 1) groups.push(['all', played])
  const work = groups.map(([name, of]) => [
    name,
    [...new Set(of.map(({ version }) => version))].join(', '),
    of.length,
    sumOf(of, ({ acknowledged }) => acknowledged),
    sumOf(of, ({ places }) => places?.confirmed),
    sumOf(of, ({ places }) => places?.refused),
    sumOf(of, ({ places }) => places?.discarded),
    sumOf(of, ({ places }) => places?.behind),
    sumOf(of, ({ places }) => places?.cleared),
    sumOf(of, ({ looks }) => looks),
    of.filter(({ violations }) => violations.length > 0).length,
  ])
  const kinds = [...new Set(played.flatMap(({ faults }) => Object.keys(faults ?? {})))].sort()
  const faults = kinds.map((kind) => [kind, ...groups.map(([, of]) => sumOf(of, (line) => line.faults?.[kind]))])
  const broken = groups.map(([name, of]) => [
    name,
    ...rules.map((rule) => of.filter(({ violations }) => violations.some((each) => each.rule === rule)).length),
  ])
  const unplayed = lines.filter((line) => line.unplayed !== undefined)
  return [
    table(
      [
        'engine',
        'version',
        'rounds',
        'commits acknowledged',
        'confirmed',
        'refused',
        'discarded',
        'behind',
        'lost with cleared storage',
        'looks at views',
        'rounds with a violation',
      ],
      work,
    ),
    table(['fault', ...groups.map(([name]) => name)], faults),
    table(['rounds with a violation of', ...rules], broken),
    ...unplayed.map(
      ({ engine, seed, round, unplayed: why }) => `- ${engine} ${seed}/${round} was not played: ${why?.split('\n')[0]}`,
    ),
  ].join('\n\n')
}
