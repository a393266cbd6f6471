// What bindings show of queries that are exchanged: laws, over random orders of what may happen.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { show, staleOf, type Shown } from '../../../src/bindings/shown.js'
import { fakeQuery } from '../../bindings/fake-query.js'

/** `unseen`: nothing asks for a snapshot after it. */
type Step = { readonly unseen: boolean } & (
  | { readonly do: 'answer' | 'fail' | 'use'; readonly query: number }
  | { readonly do: 'stop' | 'reopen' }
)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('answer', 'fail', 'use'), query: fc.nat(2), unseen: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('stop', 'reopen'), unseen: fc.boolean() }) },
)

test('what is shown as fresh is of the query that is used, and nothing from before a reopening is shown', () => {
  const seen = { kept: 0, fresh: 0, dropped: 0 }
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const queries = [0, 1, 2].map(() => fakeQuery<{ readonly of: number; readonly user: number }>())
      let user = 0
      let used: number | undefined
      let shown = show<{ readonly of: number; readonly user: number }>(null)
      for (const each of steps) {
        if (each.do === 'answer') queries[each.query]?.answer({ of: each.query, user })
        else if (each.do === 'fail') queries[each.query]?.fail(new Error(String(each.query)))
        else if (each.do === 'use') {
          used = each.query
          if (shown.source !== queries[used]) shown = show(queries[used], shown)
        } else if (each.do === 'stop') {
          used = undefined
          shown = show(null, shown)
        } else {
          user += 1
          for (const query of queries) query.forget()
        }
        if (each.unseen) continue
        const snapshot = shown.getSnapshot()
        expect(shown.getSnapshot()).toBe(snapshot)
        expect(snapshot.status === 'off').toBe(used === undefined)
        const own = used === undefined ? undefined : queries[used]?.getSnapshot()
        if (snapshot.data !== undefined) expect(snapshot.data.user).toBe(user)
        if (own !== undefined && own.status !== 'loading') expect(snapshot).toBe(own)
        else if (snapshot.status === 'ready') {
          expect(snapshot.stale).toBe(true)
          expect(snapshot.data.of).not.toBe(used)
          seen.kept += 1
        } else if (each.do === 'reopen') seen.dropped += 1
        if (snapshot.status === 'ready' && !snapshot.stale) {
          expect(snapshot.data.of).toBe(used)
          seen.fresh += 1
        }
      }
    }),
    { numRuns: 2_000 },
  )
  // What the laws are about happened.
  expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).toBeGreaterThan(20)
})

test('the former answer stays while the next query loads, also over several changes, and is dropped for good', () => {
  const [one, two, three] = [fakeQuery<number>(), fakeQuery<number>(), fakeQuery<number>()]
  one.answer(1)
  const first = show(one)
  const second = show(two, first)
  const kept = second.getSnapshot()
  expect(kept).toMatchObject({ status: 'ready', data: 1, stale: true })
  expect(second.origin()).toBe(one)
  const third: Shown<number> = show(three, second)
  expect(third.getSnapshot()).toBe(kept)
  expect(third.origin()).toBe(one)
  three.answer(3)
  expect(third.getSnapshot()).toBe(three.getSnapshot())
  expect(third.origin()).toBe(three)
  three.forget()
  expect(third.getSnapshot().status).toBe('loading')
})

test('what the former query shows to others after a change of user is never what it showed before', () => {
  const [former, next] = [fakeQuery<string>(), fakeQuery<string>()]
  former.answer('anna')
  const shown = show(next, show(former))
  expect(shown.getSnapshot()).toMatchObject({ data: 'anna', stale: true })
  // Nothing follows this one meanwhile.
  former.forget()
  former.answer('bert')
  expect(shown.getSnapshot()).toMatchObject({ data: 'bert', stale: true })
  expect(shown.getSnapshot()).toBe(shown.getSnapshot())
})

test('a stale snapshot stays the same object, and what has no data becomes no other', () => {
  const query = fakeQuery<number>()
  for (const snapshot of [query.getSnapshot(), show<number>(null).getSnapshot()])
    expect(staleOf(snapshot)).toBe(snapshot)
  query.answer(1)
  const stale = staleOf(query.getSnapshot())
  expect(stale).toEqual({ status: 'ready', data: 1, error: undefined, stale: true, position: 1 })
  expect(staleOf(stale)).toBe(stale)
})
