// Says in one line how many tests were skipped, and why: a machine without PostgreSQL must not look like one that tested it.
import { relative } from 'node:path'

const elsewhere = 'not meant for their engine or backend'

/** What was skipped in a JSON report of vitest. `root`: files are named from there. */
export function vitestSkipped({ testResults }, root) {
  return testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => ['skipped', 'pending', 'todo'].includes(status))
      .map(({ ancestorTitles, title }) => ({ name: [relative(root, name), ...ancestorTitles, title].join(' > ') })),
  )
}

/** What was skipped in a JSON report of Playwright, with the reason that the test gave. */
export function playwrightSkipped({ suites }) {
  const inSuite = ({ suites = [], specs = [] }) => [
    ...specs.flatMap(({ title, tests }) =>
      tests
        .filter(({ status }) => status === 'skipped')
        .map(({ annotations = [] }) => ({
          name: title,
          why: annotations.find(({ type, description }) => type === 'skip' && description)?.description,
        })),
    ),
    ...suites.flatMap(inSuite),
  ]
  return suites.flatMap(inSuite)
}

/**
 * @param {readonly { name: string, why?: string }[]} skipped
 * @param {readonly { of: RegExp, why: string }[]} lacks what this machine lacks, and the names of tests that need it
 * @returns {string | undefined} nothing if nothing was skipped
 */
export function skippedLine(skipped, lacks) {
  if (skipped.length === 0) return undefined
  const counts = new Map()
  for (const { name, why } of skipped) {
    const reason = why ?? lacks.find(({ of }) => of.test(name))?.why ?? elsewhere
    counts.set(reason, (counts.get(reason) ?? 0) + 1)
  }
  const reasons = [...counts]
    // What applies everywhere is of the least interest.
    .sort(([a, m], [b, n]) => Number(a === elsewhere) - Number(b === elsewhere) || n - m)
    .map(([reason, count]) => `${count} ${reason}`)
  return `${skipped.length} skipped: ${reasons.join('; ')}`
}
