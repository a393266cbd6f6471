/** What a synced store keeps of its log, its outbox and its cursor, in memory and on IndexedDB: the port alone. */
import { describe, expect, test } from 'vitest'
import type { OutboxRow, PulledEvents, SyncChange, SyncState } from '../../src/sync/sync-state.js'
import type { Changed, SyncStorage } from '../../src/sync/sync-storage.js'

export interface StorageSubject {
  readonly storage: SyncStorage
  /** A second instance on the same store, where there can be one. */
  another?(): Promise<SyncStorage>
  /** What readers of the log see. */
  events(): Promise<{ stream: string; version: number; position: number; id: string; data: unknown }[]>
  /** The id of the log. */
  identity(): Promise<string>
  close(): Promise<void>
}

const text = (stream: string, id: string, data: unknown = 1, more: { time?: number; schema?: number } = {}) => ({
  type: 'Added',
  stream,
  id,
  idGiven: true,
  time: 1_700_000_000_000,
  schema: 1,
  data: JSON.stringify(data),
  meta: undefined,
  ...more,
})

/** Events of streams 'a', 'b', …: 'a1' is version 1 of stream a. A bar begins a commit. */
function page(at: number, words: string): PulledEvents {
  const starts = new Set<number>([0])
  const events: ReturnType<typeof text>[] = []
  const versions: number[] = []
  for (const commit of words.split('|')) {
    starts.add(events.length)
    for (const word of commit.trim().split(' ')) {
      events.push(text(word.slice(0, 1), `id-${word}`, word))
      versions.push(Number(word.slice(1)))
    }
  }
  return { at, events, versions, starts }
}

const row = (n: number, more: Partial<OutboxRow> = {}): OutboxRow => ({
  n,
  name: `own-${n}`,
  time: 1,
  events: [text('a', `own-${n}`)],
  expect: [['a', null]],
  ...more,
})

/** A change that counts the turn, and moves the cursor behind what it pulls. */
function change(
  from: SyncState,
  more: Omit<Partial<SyncChange>, 'state'> & { state?: Partial<SyncState> } = {},
): SyncChange {
  const { state, ...rest } = more
  const cursor = rest.pulled && {
    at: rest.pulled.at + rest.pulled.events.length - 1,
    chain: String(rest.pulled.at).padStart(32, '0'),
  }
  return { ...rest, state: { ...from, turn: from.turn + 1, ...(cursor && { cursor }), ...state } as SyncState }
}

/** Stores a change that does not depend on what was appended since. */
const apply = async (storage: SyncStorage, change: SyncChange, state: SyncState): Promise<Changed['kind']> =>
  (await storage.change({ state, outbox: [] }, () => change)).kind

export function syncStorageContract(name: string, open: () => Promise<StorageSubject>): void {
  describe(`sync storage: ${name}`, () => {
    const on = (title: string, run: (storage: SyncStorage, subject: StorageSubject) => Promise<void>) =>
      test(title, async () => {
        const subject = await open()
        try {
          await run(subject.storage, subject)
        } finally {
          await subject.close()
        }
      })

    const pull = async (
      storage: SyncStorage,
      at: number,
      words: string,
      more: Omit<Partial<SyncChange>, 'state'> = {},
    ) => {
      const { state } = await storage.load()
      const pulled = page(at, words)
      return apply(storage, change(state, { pulled, ...more }), state)
    }

    on('a new store is at the beginning of an unknown log', async (storage, { identity }) => {
      const { state, outbox } = await storage.load()
      expect(outbox).toEqual([])
      expect(state).toMatchObject({ cursor: { at: 0, chain: '0'.repeat(32) }, turn: 0, isFresh: false, largestN: 0 })
      expect(state.remote).toBeUndefined()
      expect(state.identity).toBe(await identity())
    })

    on('an own commit is kept as it is, by its number', async (storage, { events }) => {
      const { state } = await storage.load()
      const second = row(2, { condition: { failIfEventsMatch: { types: ['X'] }, after: null, at: 0, except: ['i'] } })
      expect(await storage.append(row(1), state, 'strict')).toBe('stored')
      expect(await storage.append(second, state, 'relaxed')).toBe('stored')
      expect((await storage.load()).outbox).toEqual([row(1), second])
      expect((await storage.load()).state).toEqual(state)
      expect(await events()).toEqual([])
    })

    on('a number that was used is refused, and so is an append on an old turn', async (storage) => {
      const { state } = await storage.load()
      await storage.append(row(1), state, 'strict')
      expect(await storage.append(row(1, { name: 'other' }), state, 'strict')).toBe('moved')
      expect(await apply(storage, change(state), state)).toBe('stored')
      expect(await storage.append(row(2), state, 'strict')).toBe('moved')
      expect((await storage.load()).outbox).toEqual([row(1)])
    })

    on('a rule is called with what was appended since, and with nothing older', async (storage) => {
      const { state } = await storage.load()
      await storage.append(row(1), state, 'strict')
      const from = await storage.load()
      await storage.append(row(2), state, 'strict')
      const seen: number[][] = []
      const changed = await storage.change({ ...from, outbox: [row(1, { behind: 'x' })] }, (snapshot) => {
        seen.push(snapshot.outbox.map(({ n }) => n))
        expect(snapshot.outbox[0]).toEqual(row(1, { behind: 'x' }))
        return change(snapshot.state, { put: [row(2, { behind: 'y' })] })
      })
      // It may be called before the transaction, to know what that needs.
      expect(seen.at(-1)).toEqual([1, 2])
      expect(changed).toMatchObject({ kind: 'stored', snapshot: await storage.load() })
      expect((await storage.load()).outbox).toEqual([row(1), row(2, { behind: 'y' })])
    })

    on('a rule that changes nothing stores nothing', async (storage) => {
      const from = await storage.load()
      expect(await storage.change(from, () => undefined)).toEqual({ kind: 'unchanged', snapshot: from })
      expect(await storage.load()).toEqual(from)
    })

    on('a number does not come twice, also after its row left', async (storage) => {
      const { state } = await storage.load()
      await storage.append(row(1), state, 'strict')
      await apply(storage, change(state, { remove: [1], state: { largestN: 1 } }), state)
      const now = (await storage.load()).state
      expect(await storage.append(row(1), now, 'strict')).toBe('moved')
      expect(await storage.append(row(2), now, 'strict')).toBe('stored')
    })

    on('a change is stored once: the second one that was made of the same state is not', async (storage) => {
      const { state } = await storage.load()
      expect(await apply(storage, change(state, { put: [row(1)], state: { head: 5 } }), state)).toBe('stored')
      expect(await apply(storage, change(state, { put: [row(2)], state: { head: 7 } }), state)).toBe('moved')
      const now = await storage.load()
      expect(now.state).toMatchObject({ turn: 1, head: 5 })
      expect(now.outbox).toEqual([row(1)])
    })

    on('rows are put, replaced and removed together, and are in the order of their numbers', async (storage) => {
      const { state } = await storage.load()
      await apply(storage, change(state, { put: [row(3), row(-2), row(10)] }), state)
      const now = (await storage.load()).state
      await apply(storage, change(now, { put: [row(3, { accepted: 7 })], remove: [10, 99] }), now)
      expect((await storage.load()).outbox).toEqual([row(-2), row(3, { accepted: 7 })])
    })

    on('what was pulled is in the log as it was recorded, and the cursor behind it', async (storage, { events }) => {
      expect(await pull(storage, 1, 'a1 a2 | b1')).toBe('stored')
      expect(await pull(storage, 4, 'a3')).toBe('stored')
      expect(
        (await events()).map(({ stream, version, position, id, data }) => [stream, version, position, id, data]),
      ).toEqual([
        ['a', 1, 1, 'id-a1', 'a1'],
        ['a', 2, 2, 'id-a2', 'a2'],
        ['b', 1, 3, 'id-b1', 'b1'],
        ['a', 3, 4, 'id-a3', 'a3'],
      ])
      expect((await storage.load()).state.cursor.at).toBe(4)
    })

    on('times, schemas and the commits of what was pulled are kept', async (storage) => {
      const { state } = await storage.load()
      const events = [text('a', 'x', 1, { time: 5, schema: 3 }), text('a', 'y', 2, { time: 9 }), text('b', 'z')]
      const pulled = { at: 1, events, versions: [1, 2, 1], starts: new Set([0, 2]) }
      expect(await apply(storage, change(state, { pulled }), state)).toBe('stored')
      const confirmed = await storage.confirmed(0, 10)
      expect([...confirmed.starts]).toEqual([1, 3])
      expect(confirmed.events.map(({ id, time, schema }) => [id, time, schema])).toEqual([
        ['x', 5, 3],
        ['y', 9, undefined],
        ['z', 1_700_000_000_000, undefined],
      ])
    })

    on(
      'an id that the log has already is no reason to look: the server makes sure of ids',
      async (storage, { events }) => {
        await pull(storage, 1, 'a1')
        const { state } = await storage.load()
        const pulled = { at: 2, events: [text('b', 'id-a1')], versions: [1], starts: new Set([0]) }
        expect(await apply(storage, change(state, { pulled }), state)).toBe('stored')
        expect(await events()).toHaveLength(2)
      },
    )

    on('a position or a version that is not the next one stores nothing', async (storage, { events }) => {
      await pull(storage, 1, 'a1 | b1')
      const before = await storage.load()
      const own = [{ at: 3, n: 1 }]
      for (const [at, words] of [
        [2, 'a2'],
        [4, 'a2'],
        [3, 'a3'],
        [3, 'a1'],
        [3, 'a2 | a2'],
        [3, 'a2 c2'],
      ] as const)
        expect(await pull(storage, at, words, { own, put: [row(1)] }), `${at}: ${words}`).toBe('inconsistent')
      expect(await storage.load()).toEqual(before)
      expect((await storage.loadOwn(0)).own).toEqual([])
      expect(await events()).toHaveLength(2)
    })

    on('a page on an old turn is not stored', async (storage, { events }) => {
      const { state } = await storage.load()
      await pull(storage, 1, 'a1')
      expect(await apply(storage, change(state, { pulled: page(1, 'a1') }), state)).toBe('moved')
      expect(await events()).toHaveLength(1)
    })

    on('own commits in the log are found behind a position; neighbours without needs are joined', async (storage) => {
      await pull(storage, 1, 'a1 a2 | a3', {
        own: [
          { at: 3, n: 1 },
          { at: 1, n: 2 },
        ],
      })
      await pull(storage, 4, 'a4 | b1 | a5 | a6', {
        own: [
          { at: 4, n: 1 },
          { at: 6, n: 1, needs: ['id-a4'] },
          { at: 7, n: 1 },
        ],
      })
      await pull(storage, 8, 'a7', { own: [{ at: 8, n: 1, name: 'first' }] })
      const all = [
        { at: 1, n: 4 },
        { at: 6, n: 1, needs: ['id-a4'] },
        { at: 7, n: 1 },
        { at: 8, n: 1, name: 'first' },
      ]
      expect((await storage.loadOwn(0)).own).toEqual(all)
      expect((await storage.loadOwn(3)).own).toEqual(all)
      expect((await storage.loadOwn(4)).own).toEqual(all.slice(1))
      expect((await storage.loadOwn(8)).own).toEqual([])
      expect((await storage.loadOwn(0)).state.turn).toBe(3)
    })

    on('confirmed events come in parts', async (storage) => {
      await pull(storage, 1, 'a1 | a2 a3 | b1')
      const ids = async (after: number, limit: number) =>
        (await storage.confirmed(after, limit)).events.map(({ id }) => id)
      expect(await ids(0, 2)).toEqual(['id-a1', 'id-a2'])
      expect(await ids(2, 2)).toEqual(['id-a3', 'id-b1'])
      expect(await ids(4, 2)).toEqual([])
    })

    on('taking back ends the log where a commit ended, and gives it a new identity', async (storage, subject) => {
      await pull(storage, 1, 'a1 | b1', {
        own: [
          { at: 1, n: 1 },
          { at: 2, n: 1 },
        ],
      })
      await pull(storage, 3, 'a2 | a3 b2', { own: [{ at: 3, n: 1, needs: ['x'] }] })
      const { state } = await storage.load()
      const left = [{ identity: state.identity, upTo: 1 }]
      const next = { cursor: { at: 1, chain: 'c' }, identity: 'another', left }
      expect(await apply(storage, change(state, { takeBack: { upTo: 1 }, put: [row(-1)], state: next }), state)).toBe(
        'stored',
      )
      expect(await subject.identity()).toBe('another')
      expect((await subject.events()).map(({ id }) => id)).toEqual(['id-a1'])
      expect((await storage.loadOwn(0)).own).toEqual([{ at: 1, n: 1 }])
      expect((await storage.load()).outbox).toEqual([row(-1)])
      // Versions and positions are given out again.
      expect(await pull(storage, 2, 'a2 | b1')).toBe('stored')
      expect((await subject.events()).map(({ id, version }) => [id, version])).toEqual([
        ['id-a1', 1],
        ['id-a2', 2],
        ['id-b1', 1],
      ])
    })

    on('versions follow those of the pages before, also of other contexts', async (storage, subject) => {
      await pull(storage, 1, 'a1 b1')
      expect(await pull(storage, 3, 'a2 | c1')).toBe('stored')
      for (const wrong of ['a4', 'a2', 'b1', 'c1', 'd2', 'a3 a3'])
        expect(await pull(storage, 5, wrong)).toBe('inconsistent')
      const other = await subject.another?.()
      expect(await pull(other ?? storage, 5, 'a3 d1')).toBe('stored')
      for (const wrong of ['a3', 'd1']) expect(await pull(storage, 7, wrong)).toBe('inconsistent')
      // A change that is not about the log leaves it as it is.
      const { state } = await storage.load()
      await apply(storage, change(state, { put: [row(1)] }), state)
      expect(await pull(storage, 7, 'a4 | d2 b2')).toBe('stored')
      expect((await subject.events()).map(({ stream, version }) => `${stream}${version}`).join(' ')).toBe(
        'a1 b1 a2 c1 a3 d1 a4 d2 b2',
      )
    })

    on('rows leave the outbox, neighbours and others, and no other row does', async (storage) => {
      const { state } = await storage.load()
      const all = [-3, -2, 1, 2, 3, 5, 8, 9, 20]
      await apply(storage, change(state, { put: all.map((n) => row(n)), state: { largestN: 20 } }), state)
      const next = (await storage.load()).state
      await apply(storage, change(next, { remove: [9, 2, -3, 1, 20, 5, 4], put: [row(9)] }), next)
      expect((await storage.load()).outbox.map(({ n }) => n)).toEqual([-2, 3, 8, 9])
    })

    on('N97: what own commits were decided on is forgotten up to a position', async (storage) => {
      await pull(storage, 1, 'a1 | a2 | a3 | a4', {
        own: [
          { at: 1, n: 1, needs: ['x'] },
          { at: 2, n: 1, needs: ['y'], name: 'named' },
          { at: 3, n: 1, needs: ['z'] },
          { at: 4, n: 1, needs: ['w'] },
        ],
      })
      const { state } = await storage.load()
      expect(await apply(storage, change(state, { forget: { needsUpTo: 3, attic: ['none'] } }), state)).toBe('stored')
      expect((await storage.loadOwn(0)).own).toEqual([
        { at: 1, n: 1 },
        { at: 2, n: 1, name: 'named' },
        { at: 3, n: 1 },
        { at: 4, n: 1, needs: ['w'] },
      ])
      // Neighbours of which nothing is to be known are one row.
      const next = (await storage.load()).state
      await pull(storage, 5, 'a5 | a6', {
        own: [
          { at: 5, n: 1 },
          { at: 6, n: 1, needs: ['v'] },
        ],
      })
      const last = (await storage.load()).state
      expect(next.turn).toBeLessThan(last.turn)
      expect(await apply(storage, change(last, { forget: { needsUpTo: 6 } }), last)).toBe('stored')
      expect((await storage.loadOwn(0)).own).toEqual([
        { at: 1, n: 1 },
        { at: 2, n: 1, name: 'named' },
        { at: 3, n: 4 },
      ])
    })

    on('taking back everything, or nothing', async (storage, subject) => {
      await pull(storage, 1, 'a1 | b1')
      const all = (await storage.load()).state
      expect(await apply(storage, change(all, { takeBack: { upTo: 2 }, state: { identity: 'second' } }), all)).toBe(
        'stored',
      )
      expect(await subject.events()).toHaveLength(2)
      const now = (await storage.load()).state
      expect(await apply(storage, change(now, { takeBack: { upTo: 0 }, state: { identity: 'third' } }), now)).toBe(
        'stored',
      )
      expect(await subject.events()).toEqual([])
      expect(await subject.identity()).toBe('third')
    })

    on('taking back a half of a commit is refused, and nothing is changed', async (storage, subject) => {
      await pull(storage, 1, 'a1 a2 | b1')
      const before = await storage.load()
      const taking = apply(
        storage,
        change(before.state, { takeBack: { upTo: 1 }, state: { identity: 'x' } }),
        before.state,
      )
      await expect(taking).rejects.toMatchObject({ code: 'log-inconsistent' })
      expect(await storage.load()).toEqual(before)
      expect(await subject.events()).toHaveLength(3)
    })
  })
}
