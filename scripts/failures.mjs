// Names what failed, with the first line of its error: for the end of a log of which only the end may be kept.
import { relative } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

/** A property that failed says in its second line how to repeat it. */
const firstLine = /^[^\n]*(?:\n\{ seed: [^\n]*)?/
const longest = 300

function named(name, message = 'no error is reported') {
  const [line] = firstLine.exec(stripVTControlCharacters(message).trim())
  return `${name}: ${line.replace('\n', ' ').slice(0, longest)}`
}

/** What failed in a JSON report of vitest. `root`: files are named from there. */
export function vitestFailures({ testResults }, root) {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(root, name)
    const failed = assertionResults.filter((test) => test.status === 'failed')
    // A file may fail on its own: while it is loaded, or in a hook.
    if (failed.length === 0) return status === 'failed' ? [named(file, message)] : []
    return failed.map(({ ancestorTitles, title, failureMessages }) =>
      named([file, ...ancestorTitles, title].join(' > '), failureMessages[0]),
    )
  })
}

/** What failed in a JSON report of Playwright, and what passed only when it was tried again. */
export function playwrightFailures({ suites, errors = [] }) {
  const inSuite =
    (titles) =>
    ({ title, suites = [], specs = [] }) => {
      const path = [...titles, title]
      return [...specs.flatMap((spec) => inSpec(path, spec)), ...suites.flatMap(inSuite(path))]
    }
  const inSpec = (path, { title, tests }) =>
    tests
      .filter(({ status }) => status === 'unexpected' || status === 'flaky')
      .map(({ projectName, results }) =>
        named([projectName, ...path, title].join(' > '), results.map(({ error }) => error?.message).find(Boolean)),
      )
  return [...errors.map(({ message }) => named('Playwright', message)), ...suites.flatMap(inSuite([]))]
}
