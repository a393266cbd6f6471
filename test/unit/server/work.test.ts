// No push makes the others of its log wait for long.
import { memoryLogStore, serverLog, type WireCommit } from 'tidemark/server'
import { expect, test } from 'vitest'
import { commit, event } from './support.js'

const push = async (log: ReturnType<typeof serverLog>, commits: readonly WireCommit[], cancel?: string[][]) =>
  (await log.push({ commits, ...(cancel && { cancel }) }, { author: 'anna' })).answers

test('of a push 1,000 commits are decided; the rest is sent again', async () => {
  const log = serverLog(memoryLogStore())
  const commits = Array.from({ length: 1005 }, (_, n) => commit(`x${n}`))
  const answers = await push(log, commits, [['y']])
  expect(answers).toHaveLength(1001)
  expect(answers.at(-2)).toEqual({ id: 'x999', accepted: 1000 })
  expect(answers.at(-1)).toMatchObject({ id: 'y', refused: { code: 'cancelled' } })
  expect(await push(log, commits.slice(1000))).toHaveLength(5)
})

test('conditions that look at many events end a push early, and never before its first commit', async () => {
  const log = serverLog(memoryLogStore())
  for (let n = 0; n < 9; n += 1)
    await push(log, [{ events: Array.from({ length: 1000 }, (_, m) => event(`${n}-${m}`)) }])
  const on = (failIfEventsMatch: object) => (id: string) =>
    commit(id, { condition: { failIfEventsMatch, after: null } })
  const ids = Array.from({ length: 1000 }, (_, n) => `c${n}`)
  const plain = await push(log, ids.map(on({ types: ['B'] })))
  expect(plain.length).toBeGreaterThan(50)
  expect(plain.length).toBeLessThan(200)
  const patterns = await push(log, ids.slice(plain.length).map(on({ streamPattern: `*${'s'.repeat(200)}x` })))
  expect(patterns).toHaveLength(1)
  // What looks at few events is not held up.
  const near = { condition: { failIfEventsMatch: { types: ['B'] }, after: '8-999' } }
  expect(
    await push(
      log,
      ids.slice(500).map((id) => commit(id, near)),
    ),
  ).toHaveLength(500)
})
