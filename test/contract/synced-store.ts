/** What a synced store does on its device, in memory and on IndexedDB. The server is played by hand. */
import { describe, expect, test } from 'vitest'
import {
  compactEvents,
  defineCommand,
  defineEvents,
  defineProjection,
  execute,
  exportEvents,
  importEvents,
  openReadModel,
  refuse,
  runProjection,
  startProjection,
  table,
  verifyEventStore,
  type Codec,
  type RecordedEvent,
} from 'tidemark'
import { openEventStore as openLocal } from 'tidemark/memory'
import {
  defineCommands,
  exportOutbox,
  readTakenBack,
  SyncRefusedError,
  type SyncedStore,
  type SyncedStoreOptions,
} from 'tidemark/sync'
import { syncPartsOf } from '../../src/sync/sync-parts.js'
import type { OutboxRow } from '../../src/sync/sync-state.js'
import { confirmAll } from './confirming.js'
import { arrive, change, takeBack } from './synced-change.js'

export type SyncedOptions = Partial<SyncedStoreOptions<any>>

export interface SyncedSubject {
  open(options?: SyncedOptions): Promise<SyncedStore>
  /** Whether a second instance may be opened on the same store, and what was closed be opened again. */
  readonly isOnDevice: boolean
}

const added = (value: unknown = 1, id?: string) => ({ type: 'Added', data: { value }, ...(id !== undefined && { id }) })

async function all<T>(events: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const event of events) list.push(event)
  return list
}

const storageOf = (store: SyncedStore<any>) => syncPartsOf(store).storage
const rowsOf = async (store: SyncedStore<any>): Promise<readonly OutboxRow[]> => (await storageOf(store).load()).outbox

const refuseRow = (store: SyncedStore<any>, name: string, code = 'rule') =>
  change(store, (_, draft) => {
    draft.refuse(draft.rows.find((row) => row.name === name) as OutboxRow, code, 'no')
  })

const shape = (events: readonly (RecordedEvent & { pending?: true })[]) =>
  events.map(({ stream, version, position, data, pending }) => [
    stream,
    version,
    position,
    (data as { value: unknown }).value,
    ...(pending === true ? ['pending'] : []),
  ])

export function syncedStoreContract(name: string, open: () => SyncedSubject): void {
  describe(`synced store: ${name}`, () => {
    const opened: SyncedStore<any>[] = []
    const on = (
      title: string,
      run: (store: SyncedStore, open: (options?: SyncedOptions) => Promise<SyncedStore>) => Promise<void>,
      options: SyncedOptions & { onDevice?: true } = {},
    ) => {
      const { onDevice, ...given } = options
      test(title, async (context) => {
        const subject = open()
        if (onDevice === true && !subject.isOnDevice) return context.skip('Only on a device.')
        const openOne = async (more?: SyncedOptions) => {
          const store = await subject.open({ ...given, ...more })
          opened.push(store)
          return store
        }
        try {
          await run(await openOne(), openOne)
        } finally {
          for (const store of opened.splice(0)) await store.close()
        }
      })
    }

    appending(on)
    expecting(on)
    reading(on)
    knowing(on)
    limiting(on)
    ownCommits(on)
    commands(on)
    sharing(on)
    healing(on)
    maintaining(on)
  })
}

type On = (
  title: string,
  run: (store: SyncedStore, open: (options?: SyncedOptions) => Promise<SyncedStore>) => Promise<void>,
  options?: SyncedOptions & { onDevice?: true },
) => void

function appending(on: On): void {
  on('an append is pending: it is no part of the log, and has a provisional version', async (store) => {
    const { commit, versions, ...result } = await store.append('a', [added(1), added(2)])
    expect(result).toEqual({ position: 0, firstPosition: 0, duplicate: false })
    expect({ ...versions }).toEqual({ a: 2 })
    expect(Object.getPrototypeOf(versions)).toBeNull()
    expect(await store.head()).toBe(0)
    expect(await all(store.read())).toEqual([])
    expect(await store.streamVersion('a')).toBe(2)
    const [row] = await rowsOf(store)
    expect(commit).toMatchObject({ id: row?.name, status: 'pending' })
    expect(row?.events.map(({ id }) => id)).toContain(commit?.id)
    expect(row).toMatchObject({ n: 1, expect: [] })
  })

  on('appends have the numbers of their calls', async (store) => {
    await Promise.all(Array.from({ length: 20 }, (_, index) => store.append('a', added(index))))
    const rows = await rowsOf(store)
    expect(rows.map(({ n }) => n)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
    expect(rows.map(({ events }) => JSON.parse(events[0]!.data).value)).toEqual(
      Array.from({ length: 20 }, (_, index) => index),
    )
  })

  on('the position is the confirmed head that it was decided on', async (store) => {
    await arrive(store, ['x', 1], ['x', 2])
    expect(await store.append('a', added())).toMatchObject({ position: 2, firstPosition: 2 })
    await confirmAll(store)
    expect(await store.head()).toBe(3)
  })

  on('an append without events checks its expectations here, and goes nowhere', async (store) => {
    await store.append('a', added())
    const checked = await store.append({ stream: 'a', events: [], expectedVersion: 1 })
    expect(checked).toMatchObject({ position: 0, duplicate: false })
    expect(checked.commit).toBeUndefined()
    expect({ ...checked.versions }).toEqual({ a: 1 })
    await expect(store.append({ stream: 'a', events: [], expectedVersion: 0 })).rejects.toMatchObject({
      code: 'version-conflict',
      actual: 1,
    })
    expect(await rowsOf(store)).toHaveLength(1)
  })

  on(
    'data goes through the codec, and comes back through it',
    async (store) => {
      await store.append('a', added('secret'))
      expect((await rowsOf(store))[0]?.events[0]?.data).toBe('{"~":{"sealed":"{\\"value\\":\\"secret\\"}"}}')
      expect(shape(await all(store.readStream('a')))).toEqual([['a', 1, 1, 'secret', 'pending']])
      expect((await store.outbox())[0]?.events[0]?.data).toEqual({ value: 'secret' })
    },
    { codec: sealing },
  )
}

const sealing: Codec = {
  encode: async (data) => ({ sealed: JSON.stringify(data) }),
  decode: async (stored) => JSON.parse((stored as { sealed: string }).sealed),
}

function expecting(on: On): void {
  on('an expected version becomes the id of the last event, confirmed or pending, and its version', async (store) => {
    await arrive(store, ['a', 1])
    const [foreign] = await all(store.read())
    await store.append('a', added(), { expectedVersion: 1 })
    const first = (await rowsOf(store))[0]
    expect(first?.expect).toEqual([['a', foreign?.id, 1]])
    await store.append([
      { stream: 'a', events: [added()], expectedVersion: 2 },
      { stream: 'b', events: [added()], expectedVersion: 'no-stream' },
      { stream: 'c', events: [], expectedVersion: 0 },
      { stream: 'd', events: [added()] },
    ])
    expect((await rowsOf(store))[1]?.expect).toEqual([
      ['a', first?.events[0]?.id, 2],
      ['b', null, 0],
      ['c', null, 0],
    ])
  })

  on('a stream that has to exist becomes an event that is required', async (store) => {
    await expect(store.append('a', added(), { expectedVersion: 'stream-exists' })).rejects.toMatchObject({
      code: 'version-conflict',
    })
    await store.append('a', added(1, 'first'))
    await store.append('a', added(), { expectedVersion: 'stream-exists' })
    expect((await rowsOf(store))[1]).toMatchObject({ requires: ['first'], expect: [] })
  })

  on('what is known here to contradict is refused here', async (store) => {
    await store.append('a', added())
    await expect(store.append('a', added(), { expectedVersion: 0 })).rejects.toMatchObject({
      code: 'version-conflict',
      expected: 0,
      actual: 1,
    })
    await expect(store.append('a', added(), { expectedVersion: 'no-stream' })).rejects.toMatchObject({ actual: 1 })
    expect(await rowsOf(store)).toHaveLength(1)
  })

  on('what was refused, and what is not wanted any more, does not count', async (store) => {
    await store.append('a', added(1, 'one'))
    await store.append('a', added(2, 'two'))
    await refuseRow(store, 'one')
    expect(await store.streamVersion('a')).toBe(1)
    await store.append('a', added(3), { expectedVersion: 1 })
    expect((await rowsOf(store))[2]?.expect).toEqual([['a', 'two', 1]])
  })

  on('a condition knows what this device has looked at, and its own events that the caller has seen', async (store) => {
    await arrive(store, ['x', 1], ['x', 2])
    const [, last] = await all(store.read())
    await store.append('seat-7', added(1, 'mine'))
    const failIfEventsMatch = { types: ['Added'], streamPrefix: 'seat-' }
    // The pending event has position 3, for now.
    await expect(store.append('b', added(), { condition: { failIfEventsMatch } })).rejects.toMatchObject({
      code: 'condition-failed',
      position: 3,
    })
    await expect(store.append('b', added(), { condition: { failIfEventsMatch, after: 2 } })).rejects.toMatchObject({
      position: 3,
    })
    await store.append('b', added(), { condition: { failIfEventsMatch, after: 3 } })
    expect((await rowsOf(store))[1]?.condition).toEqual({ failIfEventsMatch, after: last?.id, at: 2, except: ['mine'] })
    await expect(
      store.append('b', added(), { condition: { failIfEventsMatch: { streamPrefix: 'x' }, after: 1 } }),
    ).rejects.toMatchObject({ position: 2 })
    expect(await rowsOf(store)).toHaveLength(2)
  })

  on('a condition is stored as it was given, whatever is done with it later', async (store) => {
    const types = ['Added']
    const condition = { failIfEventsMatch: { types }, after: 0 }
    const waits = store.append('a', { type: 'Other', data: 1 })
    const appended = store.append('b', { type: 'Other', data: 1 }, { condition })
    types.push('Other')
    condition.failIfEventsMatch = { types: [] }
    await waits
    await appended
    expect((await rowsOf(store))[1]?.condition?.failIfEventsMatch).toEqual({ types: ['Added'] })
  })

  on('a condition on an empty log', async (store) => {
    const failIfEventsMatch = { streamPattern: 'seat-*' }
    await store.append('b', added(), { condition: { failIfEventsMatch } })
    expect((await rowsOf(store))[0]?.condition).toEqual({ failIfEventsMatch, after: null, at: 0, except: [] })
  })
}

function reading(on: On): void {
  on('a stream is its confirmed events, and behind them the pending ones', async (store) => {
    await arrive(store, ['a', 1], ['b', 1], ['a', 2])
    await store.append([
      { stream: 'b', events: [added('b2')] },
      { stream: 'a', events: [added('a3')] },
    ])
    await store.append('a', [added('a4'), added('a5')])
    const confirmed = [
      ['a', 1, 1, 'foreign'],
      ['a', 2, 3, 'foreign'],
    ]
    const pending = [
      ['a', 3, 5, 'a3', 'pending'],
      ['a', 4, 6, 'a4', 'pending'],
      ['a', 5, 7, 'a5', 'pending'],
    ]
    const whole = [...confirmed, ...pending]
    expect(shape(await all(store.readStream('a')))).toEqual(whole)
    expect(shape(await all(store.readStream('a', { confirmed: true })))).toEqual(confirmed)
    expect(shape(await all(store.readStream('a', { direction: 'backwards' })))).toEqual(whole.toReversed())
    for (const after of [0, 1, 2, 3, 4, 5, 9])
      for (const before of [1, 2, 3, 4, 5, 6, 9])
        for (const limit of [0, 1, 2, 4, 9])
          for (const direction of ['forwards', 'backwards'] as const) {
            const within = whole.filter(([, version]) => (version as number) > after && (version as number) < before)
            const expected = (direction === 'forwards' ? within : within.toReversed()).slice(0, limit)
            const found = shape(await all(store.readStream('a', { after, before, limit, direction })))
            expect(found, JSON.stringify({ after, before, limit, direction })).toEqual(expected)
          }
    expect(await store.streamVersion('a')).toBe(5)
    expect(await store.streamVersion('b')).toBe(2)
    expect(await store.streamVersion('c')).toBe(0)
    expect(shape(await all(store.readStream('c')))).toEqual([])
  })

  on('a stream is as it was when the reading began', async (store) => {
    await store.append('a', added(1))
    await store.append('a', added(2))
    const seen: unknown[] = []
    for await (const event of store.readStream('a')) {
      seen.push((event.data as { value: unknown }).value)
      if (seen.length === 1) await confirmAll(store)
    }
    expect(seen).toEqual([1, 2])
    expect(shape(await all(store.readStream('a')))).toEqual([
      ['a', 1, 1, 1],
      ['a', 2, 2, 2],
    ])
  })

  on('options of readStream are checked', async (store) => {
    expect(() => store.readStream('a', { confirmed: 1 } as never)).toThrow('confirmed')
    expect(() => store.readStream('a', { confirmd: true } as never)).toThrow('confirmd')
  })

  on(
    'pending events are upcast, and validated as others',
    async (store) => {
      await store.append('a', { type: 'Added', data: { value: 1 } })
      expect(shape(await all(store.readStream('a')))).toEqual([['a', 1, 1, 1, 'pending']])
    },
    { events: defineEvents({ Added: {} }) },
  )
}

function knowing(on: On): void {
  on('ids of a pending commit are that commit', async (store) => {
    const first = await store.append('a', [added(1, 'i'), added(2, 'j')])
    const again = await store.append('a', [added(1, 'i'), added(2, 'j')])
    expect(again).toMatchObject({ duplicate: true, commit: { id: 'i', status: 'pending' } })
    expect({ ...again.versions }).toEqual({ ...first.versions })
    expect(await rowsOf(store)).toHaveLength(1)
  })

  on('ids of a confirmed commit are that commit', async (store) => {
    await store.append('a', added(1, 'i'))
    await confirmAll(store)
    const again = await store.append('a', added(1, 'i'))
    expect(again).toMatchObject({ position: 1, firstPosition: 1, duplicate: true, commit: { status: 'confirmed' } })
    expect(await rowsOf(store)).toHaveLength(0)
  })

  on('ids of an event of another device are known as well, and no own commit', async (store) => {
    await arrive(store, ['a', 1])
    const [event] = await all(store.read())
    const again = await store.append('a', { ...added('foreign'), id: event!.id })
    expect(again).toMatchObject({ position: 1, duplicate: true })
    expect(again.commit).toBeUndefined()
  })

  on('ids of a commit that was refused: the append is refused, as often as it is tried', async (store) => {
    await store.append('a', added(1, 'i'))
    await refuseRow(store, 'i', 'seat-taken')
    for (const _ of [1, 2]) {
      const failed: unknown = await store.append('a', added(1, 'i')).catch((error: unknown) => error)
      expect(failed).toBeInstanceOf(SyncRefusedError)
      expect(failed).toMatchObject({ code: 'sync-refused', commit: 'i', refusal: { code: 'seat-taken' } })
    }
  })

  on('an id of another event is refused', async (store) => {
    await store.append('a', [added(1, 'i'), added(2, 'j')])
    await store.append('b', added(3, 'k'))
    const bad = async (events: { type: string; data: unknown; id?: string }[], stream = 'a') =>
      expect(store.append(stream, events)).rejects.toMatchObject({ code: 'invalid-event', outcome: 'not-written' })
    await bad([added('other', 'i'), added(2, 'j')])
    await bad([added(1, 'i'), added(2, 'j')], 'c')
    await bad([added(1, 'i'), added(3, 'k')])
    await bad([added(1, 'i'), added(9, 'new')])
    await bad([{ type: 'Other', data: { value: 1 }, id: 'i' }])
    expect(await rowsOf(store)).toHaveLength(2)
  })
}

function limiting(on: On): void {
  const refused = async (store: SyncedStore, events: readonly { type: string; data: unknown }[], path: string) => {
    await expect(store.append('a', events)).rejects.toMatchObject({ code: 'invalid-event', path })
    expect(await rowsOf(store)).toEqual([])
  }

  on('nothing is stored that a server may find too large', async (store) => {
    await refused(
      store,
      Array.from({ length: 1001 }, () => added()),
      'events[1000]',
    )
    await refused(store, [added(), added('x'.repeat(262_145))], 'events[1]')
    await refused(
      store,
      Array.from({ length: 10 }, () => added('x'.repeat(100_000))),
      'events[9]',
    )
    // Each of these characters has three bytes.
    await refused(
      store,
      Array.from({ length: 5 }, () => added('€'.repeat(80_000))),
      'events[3]',
    )
    let deep: unknown = 1
    for (let depth = 0; depth < 100; depth += 1) deep = depth % 2 === 0 ? [deep] : { deep }
    await refused(store, [added(deep)], 'events[0]')
  })

  on('what is just not too large is stored', async (store) => {
    await store.append(
      'a',
      Array.from({ length: 1000 }, () => added()),
    )
    await store.append('a', added('x'.repeat(262_144 - 12)))
    let deep: unknown = 1
    for (let depth = 0; depth < 99; depth += 1) deep = [deep]
    await store.append('a', added(deep))
    await store.append('a', added(`${'[{'.repeat(200)}"\\"{`))
    expect(await rowsOf(store)).toHaveLength(4)
  })

  on('more streams than a server has to look at are refused', async (store) => {
    const writes = (count: number) =>
      Array.from({ length: count }, (_, index) => ({
        stream: `s${index}`,
        events: index === 0 ? [added()] : [],
        expectedVersion: 0,
      }))
    await expect(store.append(writes(1001))).rejects.toMatchObject({ code: 'invalid-argument' })
    await store.append(writes(1000))
    expect((await rowsOf(store))[0]?.expect).toHaveLength(1000)
  })
}

function ownCommits(on: On): void {
  on('a commit settles when it is confirmed', async (store) => {
    await arrive(store, ['x', 1])
    const { commit } = await store.append('a', [added(1, 'i'), added(2)])
    const settled = commit!.settled()
    await confirmAll(store)
    expect(await settled).toMatchObject({ id: 'i', status: 'confirmed', position: 2 })
    expect((await settled).events.map(({ data }) => data)).toEqual([{ value: 1 }, { value: 2 }])
    expect(await store.outbox()).toEqual([])
    expect(await store.ownCommit('i')).toMatchObject({ id: 'i', status: 'confirmed', position: 2 })
  })

  on('a commit settles when it is refused, with the reason', async (store) => {
    const { commit } = await store.append('a', added(1, 'i'))
    const settled = commit!.settled()
    await refuseRow(store, 'i', 'seat-taken')
    const refusal = { code: 'seat-taken', message: 'no' }
    expect(await settled).toMatchObject({ id: 'i', status: 'refused', refusal })
    expect(await store.outbox()).toMatchObject([{ id: 'i', status: 'refused', refusal }])
  })

  on('what waits for a commit ends with its signal, and with the store', async (store) => {
    const { commit } = await store.append('a', added())
    const end = new AbortController()
    const aborted = commit!.settled({ signal: end.signal })
    const reason = new Error('left')
    end.abort(reason)
    await expect(aborted).rejects.toBe(reason)
    const closed = commit!.settled()
    await store.close()
    // It is stored, and sent at the next opening.
    await expect(closed).rejects.toMatchObject({ code: 'closed', outcome: 'unknown' })
    await expect(store.outbox()).rejects.toMatchObject({ code: 'closed' })
    await expect(store.append('a', added())).rejects.toMatchObject({ code: 'closed', outcome: 'not-written' })
  })

  on('the outbox has its commits in order, with where they are', async (store) => {
    await store.append('a', added(1, 'i'))
    await store.append('b', added(2, 'j'))
    await store.append('c', added(3, 'k'))
    await change(store, (_, draft) => {
      const [first, second] = draft.rows as [OutboxRow, OutboxRow]
      draft.put({ ...first, accepted: 4 })
      draft.put({ ...second, behind: 'gone' })
    })
    expect(await store.outbox()).toMatchObject([
      { id: 'i', status: 'accepted' },
      { id: 'j', status: 'pending', behind: 'gone' },
      { id: 'k', status: 'pending', events: [{ type: 'Added', data: { value: 3 }, stream: 'c', id: 'k' }] },
    ])
  })

  on('a commit is found by any id that it has or had', async (store) => {
    await store.append('a', [added(1, 'i'), added(2, 'j')])
    await change(store, (_, draft) => {
      const [row] = draft.rows as [OutboxRow]
      draft.put({ ...row, events: [{ ...row.events[0]!, id: 'new' }], had: ['i', 'j'] })
    })
    for (const id of ['i', 'j', 'new']) expect(await store.ownCommit(id)).toMatchObject({ id: 'i', status: 'pending' })
    expect(await store.ownCommit('unknown')).toBeUndefined()
    await expect(store.ownCommit(1 as never)).rejects.toMatchObject({ code: 'invalid-argument' })
  })

  on('an event of another device is no own commit, also next to one', async (store) => {
    await arrive(store, ['a', 1])
    const [foreign] = await all(store.read())
    await store.append('a', added(1, 'i'))
    await store.append('a', added(2, 'j'))
    await confirmAll(store)
    expect(await store.ownCommit(foreign!.id)).toBeUndefined()
    expect(await store.ownCommit('i')).toMatchObject({ id: 'i', position: 2, events: [{ id: 'i' }] })
    // Rows of own commits that are neighbours are joined; the log knows where each begins.
    expect(await store.ownCommit('j')).toMatchObject({ id: 'j', position: 3, events: [{ id: 'j' }] })
  })

  on('discarding what never left is the end of it', async (store) => {
    const { commit } = await store.append('a', added(1, 'i'))
    const settled = commit!.settled()
    await commit!.discard()
    expect(await rowsOf(store)).toEqual([])
    expect(await settled).toMatchObject({ id: 'i', status: 'discarded' })
    expect(await store.streamVersion('a')).toBe(0)
    await commit!.discard()
    // Its ids are free.
    expect(await store.append('a', added(1, 'i'))).toMatchObject({ duplicate: false })
  })

  on('what may have left is out of sight, and settles when the server has spoken', async (store) => {
    const { commit } = await store.append('a', added(1, 'i'))
    await change(store, (_, draft) => draft.change({ sentTo: 1 }))
    await commit!.discard()
    expect(await store.outbox()).toEqual([])
    expect(await store.ownCommit('i')).toMatchObject({ id: 'i', status: 'discarded' })
    expect(await all(store.readStream('a'))).toEqual([])
    await expect(store.append('a', added(1, 'i'))).rejects.toMatchObject({ refusal: { code: 'discarded' } })
    const settled = commit!.settled()
    // The server had stored it before the cancel came.
    await confirmAll(store)
    expect(await settled).toMatchObject({ status: 'confirmed', position: 1 })
  })

  on('a refused commit is sent once more, as the newest one and under new ids', async (store) => {
    const { commit } = await store.append('a', added(1, 'i'), { expectedVersion: 0 })
    await store.append('b', added(2))
    await refuseRow(store, 'i')
    const retried = await commit!.retry()
    expect(retried).toMatchObject({ id: 'i', status: 'pending' })
    const row = (await rowsOf(store)).at(-1)
    expect(row).toMatchObject({ n: 3, name: 'i', expect: [], had: ['i'] })
    expect(row?.events[0]?.id).not.toBe('i')
    const settled = retried.settled()
    await confirmAll(store)
    expect(await settled).toMatchObject({ id: 'i', status: 'confirmed' })
  })

  on('a pending commit is not sent twice by retry', async (store) => {
    const { commit } = await store.append('a', added(1, 'i'))
    const before = await rowsOf(store)
    expect(await commit!.retry()).toMatchObject({ id: 'i', status: 'pending' })
    expect(await rowsOf(store)).toEqual(before)
  })
}

const bank = defineEvents({ Added: {} })
const withdraw = defineCommand(bank, (account: string, amount: number) => ({
  streams: [account],
  initial: 0,
  evolve: (balance: number, { data }: { data: unknown }) => balance + (data as { value: number }).value,
  decide: (balance: number) => {
    if (amount === 13) throw new Error('a bug')
    if (balance < amount) return refuse('insufficient funds')
    return amount === 0 ? [] : [{ stream: account, type: 'Added', data: { value: -amount } } as const]
  },
}))
const named = defineCommands({ withdraw })

function commands(on: On): void {
  const decide = async (store: SyncedStore, n: number) => {
    const { decide, storage } = syncPartsOf(store)
    const snapshot = await storage.load()
    return decide(
      snapshot.outbox.find((row) => row.n === n)!,
      snapshot,
    )
  }

  on(
    'a command decides on what is pending, and expects the last event of each stream by its id',
    async (store) => {
      await store.append('account', added(100, 'deposit'))
      const result = await execute(store, named.withdraw('account', 30))
      expect(result).toMatchObject({ type: 'accepted', attempts: 1, position: 0 })
      expect(await execute(store, named.withdraw('account', 71))).toMatchObject({
        type: 'refused',
        reason: 'insufficient funds',
      })
      const [, row] = await rowsOf(store)
      expect(row).toMatchObject({
        expect: [['account', 'deposit', 1]],
        command: { name: 'withdraw', args: '["account",30]' },
      })
    },
    { commands: named },
  )

  on('a command without a name is kept without one', async (store) => {
    await store.append('account', added(100))
    await execute(store, withdraw('account', 30))
    expect((await rowsOf(store))[1]).not.toHaveProperty('command')
  })

  on('another event of the same version is a conflict', async (store) => {
    await store.append('account', added(100, 'mine'))
    let appends = 0
    const meanwhile = {
      ...store,
      async append(...given: Parameters<SyncedStore['append']>) {
        // Between reading and appending the pending event is refused, and a foreign one takes its version.
        if (++appends === 1) {
          await refuseRow(store, 'mine')
          await arrive(store, ['account', 1, { value: 50 }])
        }
        return store.append(...given)
      },
    } as SyncedStore
    const result = await execute(meanwhile, named.withdraw('account', 40))
    expect(result).toMatchObject({ type: 'accepted', attempts: 2 })
    expect((await rowsOf(store)).at(-1)?.expect).toEqual([['account', expect.stringContaining('foreign'), 1]])
    expect(await execute(store, named.withdraw('account', 40))).toMatchObject({ type: 'refused' })
  })

  on(
    'a commit is decided again on what is confirmed and what is pending before it',
    async (store) => {
      await store.append('account', added(100, 'first'))
      await execute(store, named.withdraw('account', 30))
      await store.append('account', added(-1000))
      const before = (await rowsOf(store))[1]!
      await refuseRow(store, 'first')
      await arrive(store, ['account', 1, { value: 40 }])
      const decision = await decide(store, 2)
      const [foreign] = await all(store.read())
      expect(decision).toMatchObject({
        kind: 'decided',
        row: { n: 2, name: before.name, expect: [['account', foreign?.id, 1]] },
      })
      const { row } = decision as { row: OutboxRow }
      expect(row.events.map(({ type, stream, data }) => [type, stream, JSON.parse(data)])).toEqual([
        ['Added', 'account', { value: -30 }],
      ])
      expect(row.events[0]?.id).not.toBe(before.events[0]?.id)
    },
    { commands: named },
  )

  on(
    'a command may refuse, want nothing, fail, or be unknown',
    async (store, open) => {
      await store.append('account', added(100, 'first'))
      await execute(store, named.withdraw('account', 30))
      await refuseRow(store, 'first')
      expect(await decide(store, 2)).toEqual({
        kind: 'refused',
        code: 'command-refused',
        message: 'insufficient funds',
      })
      const args = (amount: number) =>
        change(store, (_, draft) => {
          draft.put({ ...draft.get(2)!, command: { name: 'withdraw', args: `["account",${amount}]` } })
        })
      await args(0)
      expect(await decide(store, 2)).toEqual({ kind: 'nothing' })
      await args(13)
      expect(await decide(store, 2)).toEqual({ kind: 'refused', code: 'command-failed', message: 'a bug' })
      await change(store, (_, draft) => {
        draft.put({ ...draft.get(2)!, command: { name: 'toString', args: '[]' } })
      })
      expect(await decide(store, 2)).toEqual({ kind: 'unknown' })
      void open
    },
    { commands: named },
  )

  on(
    'arguments go through the codec',
    async (store) => {
      await store.append('account', added(100))
      await execute(store, named.withdraw('account', 30))
      expect((await rowsOf(store))[1]?.command).toEqual({
        name: 'withdraw',
        args: '{"~":{"sealed":"[\\"account\\",30]"}}',
      })
      expect(await decide(store, 2)).toMatchObject({ kind: 'decided' })
    },
    { commands: named, codec: sealing },
  )

  on('arguments that are not JSON are refused where the command is made', async () => {
    expect(() => named.withdraw('account', NaN)).toThrow('withdraw')
  })
}

function sharing(on: On): void {
  on(
    'N59: two tabs append: each commit has a number of its own, and none is lost',
    async (store, open) => {
      const other = await open()
      const many = (one: SyncedStore, who: string) =>
        Promise.all(Array.from({ length: 15 }, (_, index) => one.append('a', added(`${who}${index}`))))
      await Promise.all([many(store, 'x'), many(other, 'y')])
      const rows = await rowsOf(store)
      expect(rows.map(({ n }) => n)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1))
      const values = rows.map(({ events }) => JSON.parse(events[0]!.data).value as string)
      expect(new Set(values).size).toBe(30)
      for (const who of ['x', 'y'])
        expect(values.filter((value) => value.startsWith(who))).toEqual(
          Array.from({ length: 15 }, (_, index) => `${who}${index}`),
        )
      expect(await rowsOf(other)).toEqual(rows)
    },
    { onDevice: true },
  )

  on(
    'of two tabs that expect the same version one wins',
    async (store, open) => {
      const other = await open()
      await store.append('a', added())
      await rowsOf(other)
      const outcomes = await Promise.allSettled(
        [store, other, store, other].map((one) => one.append('a', added(), { expectedVersion: 1 })),
      )
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      expect(outcomes.filter((each) => each.status === 'rejected').map(({ reason }) => reason.code)).toEqual(
        Array.from({ length: 3 }, () => 'version-conflict'),
      )
      expect(await store.streamVersion('a')).toBe(2)
    },
    { onDevice: true },
  )

  on(
    'N62: appends while another tab stores what it pulls: all are in the outbox, or in the log once',
    async (store, open) => {
      const other = await open()
      const appended = Array.from({ length: 20 }, (_, index) => store.append('a', added(index, `id-${index}`)))
      for (let round = 1; round <= 5; round += 1) {
        await arrive(other, ['x', round])
        await confirmAll(other)
      }
      await Promise.all(appended)
      await confirmAll(other)
      const events = await all(store.readStream('a'))
      expect(events.map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, index) => `id-${index}`))
      expect(await rowsOf(store)).toEqual([])
    },
    { onDevice: true },
  )

  on(
    'a tab sees what another one appended, discarded and confirmed',
    async (store, open) => {
      const other = await open()
      await store.append('a', added(1, 'i'))
      expect(shape(await all(other.readStream('a')))).toEqual([['a', 1, 1, 1, 'pending']])
      expect(await other.streamVersion('a')).toBe(1)
      const commit = await other.ownCommit('i')
      await confirmAll(store)
      expect(await commit!.settled()).toMatchObject({ status: 'confirmed', position: 1 })
      expect(await other.append('a', added(2), { expectedVersion: 1 })).toMatchObject({ position: 1 })
    },
    { onDevice: true },
  )

  on(
    'a commit that settles in another tab wakes those who wait here',
    async (store, open) => {
      const other = await open()
      const { commit } = await store.append('a', added(1, 'i'))
      const settled = commit!.settled()
      await refuseRow(other, 'i')
      expect(await settled).toMatchObject({ status: 'refused' })
    },
    { onDevice: true },
  )

  on('listeners of the outbox are called by the time that an append resolves', async (store) => {
    const calls: string[] = []
    const { onAppend } = syncPartsOf(store)
    const stop = onAppend(() => void calls.push('append'))
    await store.append('a', added())
    expect(calls).toEqual(['append'])
    stop()
    await store.append('a', added())
    expect(calls).toEqual(['append'])
  })

  on(
    'what was closed is opened again with its outbox',
    async (store, open) => {
      await store.append('a', [added(1, 'i'), added(2)], { expectedVersion: 0 })
      await store.append('b', added(3, 'j'))
      await refuseRow(store, 'j')
      const rows = await rowsOf(store)
      await store.close()
      const again = await open()
      expect(await rowsOf(again)).toEqual(rows)
      expect(await again.outbox()).toMatchObject([
        { id: 'i', status: 'pending' },
        { id: 'j', status: 'refused' },
      ])
      await expect(again.append('b', added(3, 'j'))).rejects.toMatchObject({ code: 'sync-refused' })
      await again.append('a', added(4), { expectedVersion: 2 })
      expect((await rowsOf(again)).map(({ n }) => n)).toEqual([1, 2, 3])
    },
    { onDevice: true },
  )
}

function healing(on: On): void {
  on(
    'a log that was taken back is read as it is now, by every tab',
    async (store, open) => {
      const tabs = [
        store,
        ...(await open().then(
          (other) => [other],
          () => [],
        )),
      ]
      for (const version of [1, 2, 3]) await arrive(store, ['a', version])
      await arrive(store, ['b', 1], ['b', 2])
      for (const tab of tabs) expect(await all(tab.read())).toHaveLength(5)
      await takeBack(store, 2, 'second')
      await arrive(store, ['b', 1, { value: 'again' }], ['a', 3], ['c', 1])
      for (const tab of tabs) {
        await rowsOf(tab)
        expect(shape(await all(tab.read()))).toEqual([
          ['a', 1, 1, 'foreign'],
          ['a', 2, 2, 'foreign'],
          ['b', 1, 3, 'again'],
          ['a', 3, 4, 'foreign'],
          ['c', 1, 5, 'foreign'],
        ])
        expect(await all(tab.readStream('b'))).toHaveLength(1)
        expect(await tab.streamVersion('a')).toBe(3)
      }
    },
    { onDevice: true },
  )

  const taken = async (store: SyncedStore<any>) =>
    (await all(readTakenBack(store))).map(({ log, position, commit, stream, version, data, status }) =>
      [log, position, commit, `${stream}${version}`, (data as { value: unknown }).value, status].join(' '),
    )

  on(
    'N98: what was taken back can be read, as the app wrote it, and says whether it is there again',
    async (store, open) => {
      const first = (await storageOf(store).load()).state.identity
      expect(await taken(store)).toEqual([])
      // One record, of which a part stays in the log.
      const ids = ['i', 'j', 'k', 'l', 'm', 'n']
      for (const id of ids.slice(0, 2)) await store.append('a', added(id, id))
      await store.append('b', [added('k', 'k'), added('l', 'l')])
      for (const id of ids.slice(4)) await store.append('c', added(id, id))
      await confirmAll(store)
      await takeBack(store, 2, 'second')
      const lost = (status: (id: string) => string) => [
        `${first} 3 3 b1 k ${status('k')}`,
        `${first} 4 3 b2 l ${status('l')}`,
        `${first} 5 5 c1 m ${status('m')}`,
        `${first} 6 6 c2 n ${status('n')}`,
      ]
      expect(await taken(store)).toEqual(lost(() => 'missing'))
      await store.append('c', added('again', 'n'))
      expect(await taken(store)).toEqual(lost((id) => (id === 'n' ? 'pending' : 'missing')))
      await confirmAll(store)
      const other = await open().catch(() => store)
      const isSame = (await storageOf(other).load()).state.identity === 'second'
      const tabs = isSame ? [store, other] : [store]
      for (const tab of tabs) expect(await taken(tab)).toEqual(lost((id) => (id === 'n' ? 'confirmed' : 'missing')))
      // And once more: the oldest log first.
      await takeBack(store, 1, 'third')
      const both = [...lost(() => 'missing'), 'second 2 2 a2 j missing', 'second 3 3 c1 again missing']
      for (const tab of tabs) expect(await taken(tab)).toEqual(both)
      await change(store, (_, draft) => draft.change({}, { forget: { attic: [first] } }))
      for (const tab of tabs) expect(await taken(tab)).toEqual(both.slice(4))
    },
    { codec: sealing },
  )

  on('N98: of a log that was taken back as a whole, all of it can be read, page by page', async (store) => {
    for (let commit = 0; commit < 40; commit += 1) {
      await store.append(`s${commit % 3}`, [added(2 * commit), added(2 * commit + 1)])
      // A record each.
      await confirmAll(store)
    }
    await takeBack(store, 0, 'second')
    const events = await all(readTakenBack(store))
    expect(events.map(({ data }) => (data as { value: number }).value)).toEqual(Array.from({ length: 80 }, (_, n) => n))
    expect(events.map(({ position, commit }) => [position, commit])).toEqual(
      Array.from({ length: 80 }, (_, n) => [n + 1, n + 1 - (n % 2)]),
    )
  })

  on('N98: reading what was taken back refuses what is wrong immediately, and ends with its signal', async (store) => {
    await arrive(store, ['a', 1], ['a', 2])
    await takeBack(store, 0, 'second')
    const local = await openLocal({ name: `local-${Math.random()}` })
    expect(() => readTakenBack(local as never)).toThrow('openSyncedStore')
    expect(() => readTakenBack(store, { upTo: 1 } as never)).toThrow('upTo')
    const end = new AbortController()
    const reason = new Error('left')
    const seen: number[] = []
    const reading = async () => {
      for await (const { position } of readTakenBack(store, { signal: end.signal })) {
        seen.push(position)
        end.abort(reason)
      }
    }
    await expect(reading()).rejects.toBe(reason)
    expect(seen).toEqual([1])
    await store.close()
    expect(() => readTakenBack(store)).toThrow(expect.objectContaining({ code: 'closed' }))
    await local.close()
  })

  on('a plain projector continues where the log was taken back', async (store) => {
    const seen: unknown[] = []
    const projector = { name: 'log', apply: (event: RecordedEvent) => void seen.push([event.position, event.stream]) }
    await arrive(store, ['a', 1], ['a', 2])
    await arrive(store, ['a', 3])
    await runProjection(store as never, projector)
    await takeBack(store, 2, 'second')
    await arrive(store, ['b', 1])
    await runProjection(store as never, projector)
    expect(seen).toEqual([
      [1, 'a'],
      [2, 'a'],
      [3, 'a'],
      [3, 'b'],
    ])
  })

  const followed = async (store: SyncedStore, other: SyncedStore) => {
    const seen: unknown[] = []
    let had = (_: number) => {}
    const until = (count: number) =>
      new Promise<void>((resolve) => (had = (size) => size >= count && resolve(undefined))).then(() => seen.slice())
    const loop = async () => {
      for await (const { stream, version, position } of other.follow()) {
        seen.push([position, stream, version])
        had(seen.length)
        if (seen.length === 6) break
      }
    }
    const following = loop()
    const first = until(3)
    await arrive(store, ['a', 1], ['a', 2])
    await arrive(store, ['a', 3])
    const begun = [
      [1, 'a', 1],
      [2, 'a', 2],
      [3, 'a', 3],
    ]
    expect(await first).toEqual(begun)
    await takeBack(store, 2, 'second')
    // The log is shorter than it was, and stays so for a while.
    const second = until(4)
    await arrive(store, ['b', 1])
    expect(await second).toEqual([...begun, [3, 'b', 1]])
    await arrive(store, ['b', 2], ['b', 3])
    await following
    expect(seen.slice(4)).toEqual([
      [4, 'b', 2],
      [5, 'b', 3],
    ])
  }
  on('a loop that follows the log continues where it was taken back', (store) => followed(store, store))
  on(
    'a loop of another tab continues there, too',
    async (store, open) => {
      await followed(store, await open())
    },
    { onDevice: true },
  )

  const streams = defineProjection(defineEvents({ Added: {} }), {
    name: 'streams',
    tables: { seen: table<{ key: string; at: number }>({ key: 'key' }) },
    on: {
      Added: ({ stream, version, position, data }, { seen }) =>
        seen.put({ key: `${stream} ${version} ${(data as { value: string }).value}`, at: position }),
    },
  })
  const keysOf = async (store: SyncedStore) => {
    const view = await openReadModel(store as never, streams)
    const keys = (await view.seen.getAll()).map(({ key, at }) => `${at}: ${key}`)
    await view.close()
    return keys.sort()
  }

  on('rows of what was taken back are made again, and those before it stay', async (store) => {
    await arrive(store, ['a', 1], ['a', 2])
    const running = startProjection(store as never, streams)
    await running.caughtUp(2)
    await takeBack(store, 2, 'second')
    await arrive(store, ['a', 3])
    await running.caughtUp(3)
    await arrive(store, ['b', 1])
    await running.caughtUp(4)
    await takeBack(store, 3, 'third')
    await arrive(store, ['c', 1, { value: 'other' }], ['d', 1])
    await expect
      .poll(() => keysOf(store))
      .toEqual(['1: a 1 foreign', '2: a 2 foreign', '3: a 3 foreign', '4: c 1 other', '5: d 1 foreign'])
    await running.stop()
  })

  on(
    'a run of another tab does not mix two logs',
    async (store, open) => {
      const other = await open()
      await arrive(store, ['a', 1], ['a', 2])
      const running = startProjection(other as never, streams)
      await running.caughtUp(2)
      await takeBack(store, 0, 'second')
      await arrive(store, ['b', 1], ['b', 2], ['b', 3])
      await expect.poll(() => keysOf(store)).toEqual(['1: b 1 foreign', '2: b 2 foreign', '3: b 3 foreign'])
      await running.stop()
    },
    { onDevice: true },
  )

  on('a healthy log is found healthy after it was taken back', async (store) => {
    await arrive(store, ['a', 1], ['a', 2])
    await arrive(store, ['a', 3])
    await takeBack(store, 2, 'second')
    expect(await verifyEventStore(store as never)).toMatchObject({ defects: [] })
  })
}

function maintaining(on: On): void {
  on('an import is refused, and names what to do', async (store) => {
    const line = { position: 1, type: 'Added', data: {}, stream: 'a', version: 1, id: 'i', time: 0 }
    const source = `{"tidemark":"export","format":1,"log":"x","after":0,"head":1}\n${JSON.stringify(line)}\n`
    await expect(importEvents(store as never, source)).rejects.toThrow('Append the events')
    expect(await store.head()).toBe(0)
  })

  on(
    'pending commits are exported behind the log, and imported into a local store with it',
    async (store) => {
      await arrive(store, ['a', 1], ['b', 1])
      await store.append('a', [added('p1', 'p1'), added('p2', 'p2')], { expectedVersion: 1 })
      await store.append([
        { stream: 'c', events: [added('p3', 'p3')] },
        { stream: 'b', events: [added('p4', 'p4')] },
      ])
      await store.append('d', added('refused', 'r'))
      await store.append('a', added('p5', 'p5'))
      await refuseRow(store, 'r')
      const outbox = await all(exportOutbox(store))
      const log = await all(exportEvents(store as never))
      const local = await openLocal({ name: `local-${Math.random()}`, codec: sealing })
      await expect(importEvents(local, outbox)).rejects.toMatchObject({ code: 'invalid-import' })
      expect(await importEvents(local, log)).toMatchObject({ imported: 2, position: 2 })
      expect(await importEvents(local, outbox)).toMatchObject({ imported: 5, skipped: 0, total: 5, position: 7 })
      expect(await importEvents(local, outbox)).toMatchObject({ imported: 0, skipped: 5 })
      const events = await all(local.read({ after: 2 }))
      expect(events.map(({ id, stream, version, data }) => [id, stream, version, data])).toEqual([
        ['p1', 'a', 2, { value: 'p1' }],
        ['p2', 'a', 3, { value: 'p2' }],
        ['p3', 'c', 1, { value: 'p3' }],
        ['p4', 'b', 2, { value: 'p4' }],
        ['p5', 'a', 4, { value: 'p5' }],
      ])
      const exported = await all(exportEvents(local))
      const commits = exported.slice(1).map((text) => (JSON.parse(text) as { commit: number }).commit)
      expect(commits.slice(2)).toEqual([3, 3, 5, 5, 7])
      expect(await rowsOf(store)).toHaveLength(4)
      await local.close()
    },
    { codec: sealing },
  )

  on('what was confirmed between the two exports is imported once', async (store) => {
    await store.append('a', added(1, 'i'))
    await store.append('a', added(2, 'j'))
    const outbox = await all(exportOutbox(store))
    await confirmAll(store)
    const log = await all(exportEvents(store as never))
    const local = await openLocal({ name: `local-${Math.random()}` })
    await importEvents(local, log)
    expect(await importEvents(local, outbox)).toMatchObject({ imported: 0, skipped: 2, position: 2 })
    await local.close()
  })

  on('an empty outbox is an export without events, and what is wrong is refused immediately', async (store) => {
    await arrive(store, ['a', 1])
    const lines = await all(exportOutbox(store))
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0]!)).toMatchObject({ after: 1, head: 1, previous: { stream: 'a' } })
    const local = await openLocal({ name: `local-${Math.random()}` })
    expect(() => exportOutbox(local as never)).toThrow('openSyncedStore')
    expect(() => exportOutbox(store, { upTo: 1 } as never)).toThrow('upTo')
    const end = new AbortController()
    const reason = new Error('left')
    end.abort(reason)
    await expect(all(exportOutbox(store, { signal: end.signal }))).rejects.toBe(reason)
    await local.close()
    await store.close()
    expect(() => exportOutbox(store)).toThrow('closed')
  })

  on('exports, compaction and verification are about confirmed events', async (store) => {
    for (const version of [1, 2, 3]) await arrive(store, ['a', version])
    await store.append('a', added())
    const lines = await all(exportEvents(store as never))
    expect(lines).toHaveLength(4)
    await compactEvents(store as never)
    expect(await verifyEventStore(store as never)).toMatchObject({ defects: [] })
    expect(shape(await all(store.readStream('a')))).toHaveLength(4)
    // A page that is pulled goes behind what was joined.
    await arrive(store, ['a', 4])
    expect((await all(store.read())).map(({ version }) => version)).toEqual([1, 2, 3, 4])
  })
}
