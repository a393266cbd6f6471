/** When views apply pending events again, and when they keep what these made of the rows. */
import fc from 'fast-check'
import { defineEvents, defineProjection, openReadModel, table, type LiveQuery } from 'tidemark'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../../src/running/shared-storage.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { Tab, type TestEvent } from './overlay-device.js'
import type { OverlayBackend } from './overlay-model.js'

type Kind = 'Added' | 'Put' | 'Listed' | 'Placed' | 'Numbered' | 'Marked' | 'Seated' | 'Refused' | 'Drawn' | 'Reset'
type Event = { [K in Kind]: { type: K; data: { key: string; by: number } } }[Kind]

const events = defineEvents<Event>()

interface Row {
  readonly key: string
  readonly sum: number
}

/** The pending events that handlers were called for. */
let calls: string[] = []
/** The key of a row that a handler reads, another one each time. */
let draw: () => string | Promise<string> = () => ''

async function called({ id, pending }: { readonly id: string; readonly pending?: boolean }): Promise<void> {
  if (pending !== true) return
  calls.push(id)
}

const model = defineProjection(events, {
  name: 'kept',
  tables: {
    sums: table<Row>()({ key: 'key', indexes: { bySum: 'sum' } }),
    lists: table<{ key: string; rows: readonly Row[] }>({ key: 'key' }),
    marks: table<{ id: string; of: number | string }>({ key: 'id' }),
    seats: table<{ key: string; seat: number }>()({ key: 'key', indexes: { bySeat: { path: 'seat', unique: true } } }),
    counts: table<{ key: string; times: number }>({ key: 'key' }),
  },
  fold: {
    counts: {
      key: ({ data }) => data.key,
      evolve: (row, { data: { key } }) => ({ key, times: (row?.times ?? 0) + 1 }),
    },
  },
  on: {
    async Added(event, { sums }) {
      await called(event)
      const { key, by } = event.data
      const row = await sums.get(key)
      sums.put({ key, sum: (row?.sum ?? 0) + by })
    },
    async Put(event, { sums }) {
      await called(event)
      sums.put({ key: event.data.key, sum: event.data.by })
    },
    async Listed(event, { sums, lists }) {
      await called(event)
      const { key, by } = event.data
      lists.put({ key, rows: await sums.getAll({ index: 'bySum', range: { lower: by }, limit: 2 }) })
    },
    async Placed(event, { marks }) {
      await called(event)
      marks.put({ id: event.id, of: event.position })
    },
    async Numbered(event, { marks }) {
      await called(event)
      marks.put({ id: event.id, of: event.version })
    },
    async Marked(event, { marks }) {
      await called(event)
      marks.put({ id: event.id, of: event.pending === true ? 'pending' : 'confirmed' })
    },
    async Seated(event, { seats }) {
      await called(event)
      seats.put({ key: event.data.key, seat: event.data.by })
    },
    async Reset({ data: { by } }, { sums }) {
      sums.put({ key: 'own', sum: by })
    },
    async Drawn(event, { sums }) {
      await called(event)
      await sums.get(await draw())
      sums.put({ key: event.data.key, sum: 0 })
    },
    async Refused(event, { sums }) {
      await called(event)
      const row = await sums.get(event.data.key)
      sums.put({ key: event.data.key, sum: -1 })
      if ((row?.sum ?? 0) % 2 === 0) throw new Error('an even sum')
    },
  },
  onFailure: () => 'skip',
})

let serial = 0
const made = (type: Kind, key: string, by = 1, stream = key): TestEvent => ({
  id: `kept-${(serial += 1)}`,
  type,
  stream,
  data: { key, by },
})

export function overlayKept(backend: OverlayBackend): void {
  const opened = async () => {
    const name = `kept-${crypto.randomUUID()}`
    const tab = new Tab(await backend.open({ name, url: 'https://example.com/log', durability: 'relaxed', events }))
    const clock = virtualClock()
    const view = await openReadModel(tab.store as never, model, { clock })
    const { storage, lookout } = await openStorage(tab.store, model as never)
    const log: TestEvent[] = []
    /** Commits of others, or own ones that the server has now, come into the rows. */
    const confirm = async (...commits: TestEvent[][]) => {
      await tab.pull(commits, log)
      log.push(...commits.flat())
      await tab.run(model as never)
    }
    const all = async (of: typeof view) =>
      Promise.all([of.sums.getAll(), of.lists.getAll(), of.marks.getAll(), of.seats.getAll(), of.counts.getAll()])
    calls = []
    return {
      tab,
      view,
      log,
      clock,
      confirm,
      stored: lookout(clock).storage,
      rows: () => all(view),
      /** The same of a view that nobody has read before. */
      fresh: async () => {
        const other = await openReadModel(tab.store as never, model, { clock: virtualClock() })
        const before = calls
        calls = []
        const rows = await all(other)
        calls = before
        await other.close()
        return rows
      },
      close: async () => {
        await view.close()
        storage.close()
        await tab.store.close()
      },
    }
  }
  type Opened = Awaited<ReturnType<typeof opened>>

  const follow = (query: LiveQuery<unknown>) => void query.subscribe(() => {})

  describe(`what pending events made of rows, ${backend.name}`, () => {
    test.for(['reads', 'hints'])(
      'N106: commits of others leave it as it is where they change nothing that its handlers read, found by %s',
      async (how) => {
        const { tab, view, confirm, close } = await opened()
        await confirm([made('Added', 'own', 10), made('Added', 'theirs')])
        const query = view.sums.liveRow('own')
        if (how === 'hints') follow(query)
        for (let at = 0; at < 10; at += 1) await tab.append([made('Added', 'own'), made('Added', `mine-${at}`)])
        expect(await view.sums.get('own')).toEqual({ key: 'own', sum: 20 })
        if (how === 'hints') await query.ready()
        calls = []
        for (let at = 0; at < 10; at += 1) {
          await confirm([made('Added', 'theirs')])
          expect(await view.sums.getMany(['own', 'theirs', 'mine-3'])).toEqual([
            { key: 'own', sum: 20 },
            { key: 'theirs', sum: 2 + at },
            { key: 'mine-3', sum: 1 },
          ])
        }
        expect(calls).toEqual([])
        // What is appended now goes on from it.
        const one = made('Added', 'own')
        await tab.append([one])
        expect(await view.sums.get('own')).toEqual({ key: 'own', sum: 21 })
        expect(calls).toEqual([one.id])
        await close()
      },
    )

    const cases: readonly (readonly [what: string, own: Kind, theirs: TestEvent, again: boolean])[] = [
      ['a row that it read', 'Added', made('Added', 'own'), true],
      ['a row that it overwrote', 'Put', made('Put', 'own'), false],
      ['a row in a range that it read', 'Listed', made('Added', 'between', 3), true],
      ['a row behind what it read of a range', 'Listed', made('Added', 'behind', 9), false],
      ['a row before a range that it read', 'Listed', made('Added', 'before', -9), false],
      ['the place of a seat that it took', 'Seated', made('Seated', 'other', 2), true],
      ['another seat', 'Seated', made('Seated', 'other', 3), false],
      ['the position that it looked at', 'Placed', made('Added', 'theirs'), true],
      ['the version that it looked at', 'Numbered', made('Added', 'theirs', 1, 'stream'), true],
      ['the version of another stream', 'Numbered', made('Added', 'theirs'), false],
      ['a position that it did not look at', 'Marked', made('Added', 'theirs', 1, 'stream'), false],
      ['a row that it read before it failed', 'Refused', made('Added', 'own'), true],
      ['no row that it read before it failed', 'Refused', made('Added', 'theirs'), false],
    ]
    test.for(cases)('N106: events of others that change %s', async ([, own, theirs, again]) => {
      const { tab, view, confirm, rows, fresh, close } = await opened()
      await confirm([made('Added', 'own', 2), made('Added', 'more', 5), made('Seated', 'first', 1)])
      // The count of the key is read by the fold in any case.
      const mine = { ...made(own, 'own', 2, 'stream'), data: { key: 'own', by: 2 } }
      await tab.append([mine])
      await view.sums.count()
      calls = []
      await confirm([theirs])
      expect(await rows()).toEqual(await fresh())
      expect(calls.length > 0).toBe(again || (theirs.data as { key: string }).key === 'own')
      await close()
    })

    test('N106: of rows that no pending event asked for it relies on nothing once commits of others came', async () => {
      const { tab, view, log, confirm, rows, fresh, close } = await opened()
      await confirm([made('Put', 'own', 1), made('Put', 'theirs', 1)])
      // So many reads that the whole table is read.
      for (let at = 0; at < 20; at += 1) await tab.append([made('Added', `mine-${at}`)])
      await tab.append([made('Put', 'own', 9)])
      const high = () => view.sums.count({ index: 'bySum', range: { lower: 5 } })
      expect(await high()).toBe(1)
      await confirm([made('Reset', 'other', 8), made('Added', 'new', 5), made('Added', 'theirs', 5)])
      calls = []
      expect(await high()).toBe(3)
      expect(calls).toEqual([])
      const more = [made('Added', 'new', 1), made('Added', 'theirs', 1)]
      await tab.append(more)
      expect(await view.sums.getMany(['new', 'theirs'])).toEqual([
        { key: 'new', sum: 6 },
        { key: 'theirs', sum: 7 },
      ])
      expect(await rows()).toEqual(await fresh())
      expect(log).toHaveLength(5)
      await close()
    })

    test('N106: a handler that was given up is called again once commits of others came', async () => {
      const { tab, view, clock, confirm, close } = await opened()
      await confirm([made('Added', 'theirs')])
      let settle = () => {}
      draw = () => new Promise((resolve) => (settle = () => resolve('none')))
      const mine = made('Drawn', 'own')
      await tab.append([mine])
      const asked = view.sums.get('own')
      await expect.poll(() => calls, { interval: 1 }).toEqual([mine.id])
      await clock.advance(10_000)
      expect(await asked).toBeUndefined()
      settle()
      draw = () => 'none'
      await confirm([made('Added', 'theirs')])
      expect(await view.sums.get('own')).toEqual({ key: 'own', sum: 0 })
      await close()
    })

    test('N106: live queries over it do not run for a commit that changes nothing that they read', async () => {
      const { tab, view, confirm, close } = await opened()
      await confirm([made('Added', 'own'), made('Added', 'theirs'), made('Added', 'else')])
      const runs: string[] = []
      const queries = ['own', 'theirs', 'else'].map((key) =>
        view.live([key], async ({ sums }) => {
          runs.push(key)
          return sums.get(key)
        }),
      )
      queries.forEach(follow)
      await tab.append([made('Added', 'own')])
      await Promise.all(queries.map((query) => query.ready()))
      runs.length = 0
      for (let sum = 2; sum < 5; sum += 1) {
        await confirm([made('Added', 'theirs')])
        await expect.poll(() => queries[1]?.getSnapshot().data, { interval: 1 }).toEqual({ key: 'theirs', sum })
        expect(queries[0]?.getSnapshot()).toMatchObject({ data: { key: 'own', sum: 2 }, pending: true })
      }
      expect(runs).toEqual(['theirs', 'theirs', 'theirs'])
      await close()
    })

    test('N106: an event that is confirmed is not pending in it any more', async () => {
      const { tab, view, log, confirm, close } = await opened()
      await confirm([made('Added', 'theirs')])
      const mine = [made('Marked', 'a'), made('Marked', 'b')]
      await tab.append(mine.slice(0, 1))
      await tab.append(mine.slice(1))
      const marks = async () => (await view.marks.getAll()).map(({ of }) => of)
      expect(await marks()).toEqual(['pending', 'pending'])
      // The rows come as far as an event of others before it.
      const commits = [[made('Added', 'theirs')], mine.slice(0, 1)]
      await tab.pull(commits, log)
      await tab.run(model as never, 1)
      expect(await marks()).toEqual(['confirmed', 'pending'])
      await close()
    })

    /** Rows are committed each time that a fold has read some, as long as that is so. */
    const moving = ({ stored, confirm }: Opened, theirs: () => TestEvent) => {
      let isAtWork = false
      const { rows } = stored
      const move = { isOn: true, times: 0 }
      Object.assign(stored, {
        // As of a table that is too large.
        wholeTable: async () => undefined,
        rows: async (...given: Parameters<typeof rows>) => {
          const found = await rows.apply(stored, given)
          if (isAtWork || !move.isOn) return found
          isAtWork = true
          move.times += 1
          await confirm([theirs()])
          isAtWork = false
          return found
        },
      })
      return move
    }

    test('N107: a read comes to an end, whatever is committed while pending events read rows', async () => {
      const all = await opened()
      const { tab, view, confirm, rows, fresh, close } = all
      const keys = Array.from({ length: 20 }, (_, at) => `k${at}`)
      await confirm(keys.map((key) => made('Added', key)))
      await tab.append(keys.map((key) => made('Added', key, 100)))
      let next = 0
      const move = moving(all, () => made('Added', keys[(next += 1) % keys.length] as string))
      const sums = (await view.sums.getAll()).map(({ sum }) => sum)
      // Each commit has added one, so all of them are of one moment.
      const added = sums.reduce((total, sum) => total + sum, 0) - 20 * 101
      expect(sums.toSorted()).toEqual(
        keys.map((_, at) => 101 + Math.floor(added / 20) + (at > 20 - 1 - (added % 20) ? 1 : 0)),
      )
      expect(move.times).toBeGreaterThan(0)
      // All of them, as far as a row was read that had moved, and all of them once more.
      expect(calls.length).toBeLessThanOrEqual(60)
      move.isOn = false
      expect(await rows()).toEqual(await fresh())
      await close()
    })

    test('N107: if handlers read other rows each time, and all rows move, a read ends with an error', async () => {
      const all = await opened()
      const { tab, view, confirm, close } = all
      await confirm([made('Added', 'theirs')])
      let drawn = 0
      draw = () => `drawn-${(drawn += 1)}`
      await tab.append([made('Drawn', 'own')])
      const move = moving(all, () => made('Added', 'theirs'))
      await expect(view.sums.getAll()).rejects.toMatchObject({ code: 'storage-busy' })
      move.isOn = false
      expect(await view.sums.getAll()).toContainEqual({ key: 'own', sum: 0 })
      await close()
    })

    test('N106: after any commits it is what pending events make of rows that nobody has read before', async () => {
      let kept = 0
      const kinds: readonly Kind[] = ['Added', 'Put', 'Listed', 'Placed', 'Numbered', 'Marked', 'Seated', 'Refused']
      const small = fc.integer({ min: 0, max: 4 })
      const event = fc.record({ kind: fc.constantFrom(...kinds), key: small, by: small, stream: small })
      const step = fc.record({
        what: fc.constantFrom('append', 'append', 'theirs', 'theirs', 'theirs', 'confirm', 'discard'),
        events: fc.array(event, { minLength: 1, maxLength: 3 }),
        at: small,
        maxEvents: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined, freq: 2 }),
      })
      const property = fc.asyncProperty(fc.array(step, { maxLength: 16 }), async (steps) => {
        const { tab, log, rows, fresh, close } = await opened()
        const mine = new Map<string, TestEvent>()
        for (const { what, events, at, maxEvents } of steps) {
          const some = events.map(({ kind, key, by, stream }) => made(kind, `k${key}`, by, `s${stream}`))
          const { outbox } = await tab.snapshot()
          const one = outbox[at % Math.max(1, outbox.length)]
          if (what === 'append') {
            await tab.append(some)
            for (const each of some) mine.set(each.id, each)
          } else if (what === 'discard') await tab.changeRows((row) => (row.n === one?.n ? undefined : row))
          else {
            const own = what === 'confirm' ? one : undefined
            const commit = own?.events.map(({ id }) => mine.get(id) as TestEvent) ?? some
            await tab.pull([commit], log)
            log.push(...commit)
          }
          await tab.run(model as never, maxEvents)
          calls = []
          const seen = await rows()
          // What is provisional is as it was until the rows are those of the whole log.
          if (maxEvents !== undefined) await tab.run(model as never)
          const now = maxEvents === undefined ? seen : await rows()
          const { outbox: left } = await tab.snapshot()
          if (what === 'theirs' && left.length > 0 && calls.length === 0) kept += 1
          expect(now).toEqual(await fresh())
        }
        await close()
      })
      await fc.assert(property, { numRuns: backend.shared ? 15 : 60 })
      // Few runs may be without such a commit.
      if (!backend.shared) expect(kept).toBeGreaterThan(0)
    })
  })
}
