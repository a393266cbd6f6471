// No push makes the others of its log wait for long.
import { memoryLogStore, serverLog, type LogDecision, type LogStore, type WireCommit } from 'tidemark/server'
import { expect, test } from 'vitest'
import { heapUsed } from '../../support/heap.js'
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

test('of commits that name 20,000 ids and streams those are decided that come before; the first one always', async () => {
  const log = serverLog(memoryLogStore())
  const asked: number[] = []
  const store = memoryLogStore()
  const counting: LogStore = {
    ...store,
    decide: (work, asks) => {
      asked.push((asks?.ids.length ?? 0) + (asks?.streams.length ?? 0))
      return store.decide(work, asks)
    },
    identity: () => store.identity(),
    head: () => store.head(),
  }
  const ids = (from: number, count: number) => Array.from({ length: count }, (_, n) => `id-${from + n}`)
  const commits = Array.from({ length: 100 }, (_, n) =>
    commit(`x${n}`, {
      requires: ids(n * 2000, 1000),
      // An entry is a stream and an id.
      expect: Object.fromEntries(ids(n * 2000 + 1000, 500).map((id) => [`s-${id}`, id])),
    }),
  )
  expect((await push(serverLog(counting), commits)).map(({ id }) => id)).toEqual(
    Array.from({ length: 10 }, (_, n) => `x${n}`),
  )
  expect(asked).toEqual([10 * (1 + 1 + 1000 + 500 + 500) - 9])
  // Those that are refused anyway are asked about by their own ids alone.
  asked.length = 0
  const flawed = Array.from({ length: 30 }, (_, n) => commit(`y${n}`, { requires: ids(n * 2000, 1001) }))
  expect(await push(serverLog(counting), flawed)).toHaveLength(30)
  expect(asked).toEqual([30 + 1])
  expect(await push(log, [commit('z', { requires: ids(0, 1000), expect: {} })])).toHaveLength(1)
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

test('the events that conditions look at are not all in memory with what they say', async () => {
  let kept = 0
  const before = heapUsed()
  const decision = {
    epoch: '',
    head: 400,
    chain: '',
    find: async () => new Map(),
    last: async () => new Map(),
    verdicts: async () => new Map(),
    async *after() {
      for (let n = 1; n <= 400; n += 1) {
        const named = { position: n, id: `x${n}`, stream: 's', type: n === 250 ? 'B' : 'A', version: n }
        yield { ...named, line: JSON.stringify({ ...named, data: `${n}`.padEnd(100_000, '-') }) }
      }
    },
    add: async () => void (kept = heapUsed() - before),
    keep: async () => {},
  }
  const store: Partial<LogStore> = { decide: (work) => work(decision as unknown as LogDecision) }
  const on = (type: string) => ({ condition: { failIfEventsMatch: { types: [type] }, after: null } })
  const answers = await push(serverLog(store as LogStore), [commit('a', on('B')), commit('b', on('C'))])
  expect(answers).toEqual([
    { id: 'a', conflict: { position: 250 } },
    { id: 'b', accepted: 401 },
  ])
  expect(kept).not.toBe(0)
  expect(kept).toBeLessThan(10_000_000)
})
