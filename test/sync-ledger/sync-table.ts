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
  'stopped',
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

type Group = readonly [name: string, lines: readonly SyncLine[]]

/** The lines by what they have in common, and all of them where there are several groups. */
function groupsBy(lines: readonly SyncLine[], of: (line: SyncLine) => string): readonly Group[] {
  const groups = [...new Set(lines.map(of))].map((name): Group => [name, lines.filter((line) => of(line) === name)])
  return groups.length > 1 ? [...groups, ['all', lines]] : groups
}

const restores = ({ faults }: SyncLine): number | undefined => faults?.['server restored']

export function syncTables(lines: readonly SyncLine[]): string {
  const played = lines.filter(({ unplayed }) => unplayed === undefined)
  const servers = groupsBy(played, ({ server }) => server)
  const work = groupsBy(played, ({ server, engine }) => `${server} | ${engine}`).map(([name, of]) => [
    name === 'all' ? 'all | ' : name,
    of.length,
    sumOf(of, restores),
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
  const faults = kinds.map((kind) => [kind, ...servers.map(([, of]) => sumOf(of, (line) => line.faults?.[kind]))])
  const broken = servers.map(([name, of]) => [
    name,
    ...rules.map((rule) => of.filter(({ violations }) => violations.some((each) => each.rule === rule)).length),
  ])
  const versions = [...new Set(played.map(({ version }) => version))].join(', ')
  const unplayed = lines.filter((line) => line.unplayed !== undefined)
  return [
    versions,
    table(
      [
        'server',
        'engine',
        'rounds',
        'servers restored',
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
    table(['fault', ...servers.map(([name]) => name)], faults),
    table(['rounds with a violation of', ...rules], broken),
    ...unplayed.map(
      ({ engine, server, seed, round, unplayed: why }) =>
        `- ${engine} ${server} ${seed}/${round} was not played: ${why?.split('\n')[0]}`,
    ),
  ].join('\n\n')
}
