// What the end of a log says of the tests that failed.
import { expect, test } from 'vitest'
import { playwrightFailures, vitestFailures } from '../../scripts/failures.mjs'

const vitestTest = (title: string, ...failureMessages: string[]) => ({
  ancestorTitles: ['the log'],
  title,
  status: failureMessages.length > 0 ? 'failed' : 'passed',
  failureMessages,
})

test('a test that failed is named by file, suites and title, with the first line of its error', () => {
  const report = {
    testResults: [
      {
        name: '/here/test/a.test.ts',
        status: 'failed',
        message: '',
        assertionResults: [
          vitestTest('works'),
          vitestTest('does not', '\u001b[31mError: no\u001b[39m\n    at here\n    at there'),
        ],
      },
      { name: '/here/test/b.test.ts', status: 'passed', message: '', assertionResults: [vitestTest('works too')] },
    ],
  }
  expect(vitestFailures(report, '/here')).toEqual(['test/a.test.ts > the log > does not: Error: no'])
})

test('a file that fails on its own is named, whether or not it has tests', () => {
  const report = {
    testResults: [
      { name: '/here/test/a.test.ts', status: 'failed', message: 'SyntaxError: what?\nat here', assertionResults: [] },
      { name: '/here/test/b.test.ts', status: 'failed', assertionResults: [vitestTest('works too')] },
    ],
  }
  expect(vitestFailures(report, '/here')).toEqual([
    'test/a.test.ts: SyntaxError: what?',
    'test/b.test.ts: no error is reported',
  ])
})

test('a property that failed is named with its seed, and a long line is cut', () => {
  const report = (message: string) => ({
    testResults: [{ name: '/here/a.test.ts', status: 'failed', assertionResults: [vitestTest('law', message)] }],
  })
  expect(
    vitestFailures(
      report('Error: Property failed after 9 tests\n{ seed: 7, path: "8:4" }\nCounterexample: […]'),
      '/here',
    ),
  ).toEqual(['a.test.ts > the log > law: Error: Property failed after 9 tests { seed: 7, path: "8:4" }'])
  expect(vitestFailures(report('x'.repeat(10_000)), '/here')[0]?.length).toBeLessThan(400)
})

test('of Playwright also what passed only at a second try, and what failed outside of tests', () => {
  const playwrightTest = (status: string, ...messages: (string | undefined)[]) => ({
    projectName: 'chromium-sqlite',
    status,
    results: messages.map((message) => (message === undefined ? {} : { error: { message } })),
  })
  const report = {
    errors: [{ message: 'Error: the server did not start\nat here' }],
    suites: [
      {
        title: 'appends.spec.ts',
        specs: [
          { title: 'works', tests: [playwrightTest('expected', undefined)] },
          { title: 'works at last', tests: [playwrightTest('flaky', 'Error: once\nat here', undefined)] },
        ],
        suites: [
          {
            title: 'frozen',
            specs: [
              { title: 'does not', tests: [playwrightTest('unexpected', 'Error: never'), playwrightTest('skipped')] },
            ],
          },
        ],
      },
    ],
  }
  expect(playwrightFailures(report)).toEqual([
    'Playwright: Error: the server did not start',
    'chromium-sqlite > appends.spec.ts > works at last: Error: once',
    'chromium-sqlite > appends.spec.ts > frozen > does not: Error: never',
  ])
})
