// What the end of a run of everything says of the tests that were skipped.
import { expect, test } from 'vitest'
import { playwrightSkipped, skippedLine, vitestSkipped } from '../../scripts/skipped.mjs'

const vitestTest = (title: string, status: string) => ({
  ancestorTitles: ['the log'],
  title,
  status,
  failureMessages: [],
})

test('one line says how many were skipped, and why', () => {
  const assertionResults = [vitestTest('a', 'passed'), vitestTest('b', 'skipped'), vitestTest('c', 'pending')]
  const skipped = [
    ...vitestSkipped(
      {
        testResults: [
          { name: '/here/test/unit/postgres/storm.test.ts', status: 'passed', assertionResults },
          { name: '/here/test/contract/live.test.ts', status: 'passed', assertionResults },
        ],
      },
      '/here',
    ),
    ...playwrightSkipped({
      suites: [
        {
          specs: [
            { title: 'works', tests: [{ status: 'expected' }] },
            {
              title: 'does not',
              tests: [{ status: 'skipped', annotations: [{ type: 'skip', description: 'without workerd' }] }],
            },
          ],
          suites: [{ specs: [{ title: 'nor this', tests: [{ status: 'skipped' }] }] }],
        },
      ],
    }),
  ]
  expect(skipped.map(({ name }) => name)).toContain('test/unit/postgres/storm.test.ts > the log > b')
  expect(skippedLine(skipped, [{ of: /postgres/i, why: 'without PostgreSQL' }])).toBe(
    '6 skipped: 2 without PostgreSQL; 1 without workerd; 3 not meant for their engine or backend',
  )
})

test('nothing is said where nothing was skipped', () => {
  expect(skippedLine([], [{ of: /postgres/i, why: 'without PostgreSQL' }])).toBeUndefined()
})
