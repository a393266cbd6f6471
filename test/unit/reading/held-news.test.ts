// What a live query keeps of changes while a run of it hangs.
import { expect, test } from 'vitest'
import { table } from 'tidemark'
import { seenIn } from '../../../src/read-model/stamps.js'
import { emptyState, stampOf, type StateRow } from '../../../src/read-model/state.js'
import type { Followed, News, QueryEngine } from '../../../src/reading/engine.js'
import { modelQuery } from '../../../src/reading/model-query.js'

const tables = { rows: table<{ id: string }>({ key: 'id' }), others: table<{ id: string }>({ key: 'id' }) }
const stateAt = (revision: number): StateRow => {
  const state: StateRow = { ...emptyState('log', ''), position: revision }
  return { ...state, stamp: { id: `stamp ${revision}`, revision, of: stampOf(state, false) } }
}
const nothing = () => {}

/** A query whose run reads at `readAt`, and then waits for `release`. */
function hanging(readAt: number) {
  let followed: Followed | undefined
  let runs = 0
  let release: () => void = nothing
  const engine = {
    follow: (query: Followed) => ((followed = query), nothing),
    ask: nothing,
    newest: () => 0,
  } as unknown as QueryEngine
  const source = modelQuery(
    tables,
    async (_, ask) => {
      const value = await ask('rows', { kind: 'count', options: {} })
      await new Promise<void>((resolve) => (release = resolve))
      return value
    },
    { engine, ask: async () => ({ value: 1, state: stateAt(readAt) }), onEnd: () => nothing, end: nothing },
  )
  source.watch(
    () => (runs += 1),
    nothing,
    () => undefined,
  )
  const answer = source.evaluate(nothing)
  return {
    notice: (news: News) => followed?.notice(news),
    async ended() {
      await new Promise((resolve) => setTimeout(resolve))
      release()
      await answer
      return runs
    },
  }
}

/** Changes of a table that the query does not read, each of which counts how often it is looked at. */
function news(revision: number, looked: () => void, of = 'others'): News {
  return {
    to: seenIn(stateAt(revision)),
    get changes() {
      looked()
      return new Map([[of, 'unknown' as const]])
    },
  }
}

test('however many changes come while a run hangs, few are kept', async () => {
  const query = hanging(0)
  let looks = 0
  for (let revision = 1; revision <= 10_000; revision += 1) query.notice(news(revision, () => (looks += 1)))
  looks = 0
  await query.ended()
  expect(looks).toBeLessThan(200)
})

test('after more changes than are kept, the query runs again unless its reads saw the newest of them', async () => {
  for (const [readAt, again] of [
    [0, 1],
    [65, 0],
  ] as const) {
    const query = hanging(readAt)
    for (let revision = 1; revision <= 65; revision += 1)
      query.notice(news(revision, nothing, revision === 1 ? 'rows' : 'others'))
    expect(await query.ended()).toBe(again)
  }
})

test('few changes that do not touch what a run read do not make it run again', async () => {
  const query = hanging(0)
  for (let revision = 1; revision <= 60; revision += 1) query.notice(news(revision, nothing))
  expect(await query.ended()).toBe(0)
})
