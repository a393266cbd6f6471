/** Replays of letters while the projection goes on: rows are compared, whatever is in them. */
import { describe, expect, test } from 'vitest'
import {
  defineProjection,
  openReadModel,
  startProjection,
  table,
  type DeadLetter,
  type ProjectionHandle,
} from 'tidemark'
import { added, events, newName, type Backend, type Store } from './model.js'

const soon = { timeout: 25_000 }

interface Row {
  id: string
  total: number
  kept: unknown
}

const itself = () => {
  const row: { self?: unknown; list: unknown[] } = { list: [1] }
  row.self = row
  row.list.push(row)
  return row
}
const kinds: [string, (extra: number) => unknown][] = [
  [
    'a Map',
    (extra) =>
      new Map<unknown, unknown>([
        ['a', { b: [extra] }],
        [1, new Set([1, 'x'])],
      ]),
  ],
  ['a Set', (extra) => new Set([1, extra])],
  ['bytes', (extra) => new Uint8Array([1, 2, extra])],
  ['a buffer', (extra) => new Uint8Array([1, extra]).buffer],
  ['a part of a buffer', (extra) => new Int16Array(new Int16Array([7, 8, extra]).buffer, 2)],
  ['a pattern', (extra) => new RegExp(`a${extra}`, 'g')],
  ['a Date', (extra) => new Date(extra)],
  ['plain data', (extra) => ({ a: [1, { b: extra }], length: Number.NaN })],
  ['itself', (extra) => ({ extra, row: itself() })],
]

export function replayedContract({ name, open }: Backend): void {
  describe(`letters replayed while others commit: ${name}`, () => {
    /** Event 2 is parked. When it is replayed, `meanwhile` runs between what its handler reads and its transaction. */
    const parked = async (kept: (extra: number) => unknown, indexed: boolean) => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('a', 10), added('b', 0)] })
      const state = { replaying: false, tries: 0, meanwhile: async (_store: Store) => {} }
      const definition = defineProjection(events, {
        name: 'kept',
        tables: {
          rows: indexed ? table<Row>()({ key: 'id', indexes: { byTotal: 'total' } }) : table<Row>({ key: 'id' }),
        },
        on: {
          Added: async ({ position, data: { to, amount } }, { rows }) => {
            const row = await rows.get(to)
            if (position === 2) {
              if (!state.replaying) throw new Error('not yet')
              state.tries += 1
              await state.meanwhile(store)
            }
            rows.put({
              id: to,
              total: (row?.total ?? 0) + amount,
              kept: kept(to === 'a' ? (row?.total ?? 0) + amount : 0),
            })
          },
        },
        onFailure: () => 'park',
      })
      const projection = startProjection(store, definition)
      await projection.caughtUp(3, soon)
      const view = await openReadModel(store, definition)
      state.replaying = true
      return {
        state,
        view,
        /** Appends, and waits until the rows have it: by the view, as a handler must not wait for its own projection. */
        async commit(to: string, amount: number) {
          const { position } = await store.append({ stream: 's', events: [added(to, amount)] })
          await expect.poll(() => view.position(), soon).toBe(position)
        },
        letter: async () => (await lettersOf(projection))[0] as DeadLetter,
        async end() {
          await view.close()
          await projection.stop()
          await store.close()
        },
      }
    }
    const lettersOf = async (projection: ProjectionHandle) => {
      const letters: DeadLetter[] = []
      for await (const letter of projection.deadLetters()) letters.push(letter)
      return letters
    }

    for (const indexed of [false, true]) {
      test.for(kinds)(
        `a row with %s is the same while other rows change${indexed ? ' (indexed)' : ''}: one try`,
        async ([, kept]) => {
          const { state, view, commit, letter, end } = await parked(kept, indexed)
          state.meanwhile = () => commit('b', 5)
          await (await letter()).replay()
          expect([state.tries, await view.rows.get('a'), (await view.rows.get('b'))?.total]).toEqual([
            1,
            { id: 'a', total: 11, kept: kept(11) },
            5,
          ])
          await end()
        },
      )
      test.for(kinds)(
        `a row with %s that was changed in between begins again${indexed ? ' (indexed)' : ''}`,
        async ([, kept]) => {
          const { state, view, commit, letter, end } = await parked(kept, indexed)
          state.meanwhile = async () => {
            if (state.tries === 1) await commit('a', 100)
          }
          await (await letter()).replay()
          expect([state.tries, await view.rows.get('a')]).toEqual([2, { id: 'a', total: 111, kept: kept(111) }])
          await end()
        },
      )
    }
    test('one whose row is changed each time is given up after ten tries, and its letter stays', async () => {
      const { state, view, commit, letter, end } = await parked(() => null, false)
      state.meanwhile = () => commit('a', 1)
      await expect((await letter()).replay()).rejects.toMatchObject({ code: 'leadership-lost' })
      expect([state.tries, (await view.rows.get('a'))?.total, (await letter()).position]).toEqual([10, 11, 2])
      await end()
    })
  })
}
