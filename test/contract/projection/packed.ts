/** Tables without an index, whose rows lie in packs of neighbours: they answer as if each row were a record of its own. */
import { describe, expect, test } from 'vitest'
import {
  defineProjection,
  openReadModel,
  runProjection,
  startProjection,
  table,
  verifyReadModel,
  type DeadLetter,
  type QueryOptions,
  type TableReader,
} from 'tidemark'
import { seededRandom } from '../../../src/testing/random.js'
import {
  completed,
  databaseOf,
  dumpDatabase,
  loadDatabase,
  settled,
  withDatabase,
  type StoredDatabase,
} from '../../support/raw-database.js'
import { added, events, newName, type Backend, type Event, type Store } from './model.js'

type Key = string | number | Date
interface Row {
  id: Key
  amount: number
  note: string
}

/** Keys of all kinds, as the text that events have for them. */
const keyOf = (text: string): Key =>
  text.startsWith('n') ? Number(text.slice(1)) : text.startsWith('d') ? new Date(Number(text.slice(1))) : text
const kindOf = (key: Key) => (typeof key === 'number' ? 0 : key instanceof Date ? 1 : 2)
const compare = (left: Key, right: Key) => kindOf(left) - kindOf(right) || (left < right ? -1 : left > right ? 1 : 0)

/** Amounts below 0 delete. Some rows are as heavy as a pack, most are light. */
const rowOf = (id: Key, amount: number): Row => ({
  id,
  amount,
  note: 'x'.repeat(amount % 97 === 0 ? 9_000 : amount % 13),
})
const rows = (version = 1, bad: (position: number) => boolean = () => false) =>
  defineProjection(events, {
    name: 'rows',
    version,
    tables: { rows: table<Row>({ key: 'id' }), log: table<{ position: number; to: string }>({ key: 'position' }) },
    on: {
      Added: async ({ data: { to, amount }, position }, { rows, log }) => {
        if (bad(position)) throw new Error(`bad ${position}`)
        log.put({ position, to })
        if (amount < 0) return rows.delete(keyOf(to))
        // Some are put without a look at what is there.
        if (amount % 2 === 0) return rows.put(rowOf(keyOf(to), amount))
        await rows.update(keyOf(to), () => rowOf(keyOf(to), amount))
      },
    },
    onFailure: () => 'park',
  })
type Definition = ReturnType<typeof rows>
const viewOf = (store: Store, definition: Definition) => openReadModel(store, definition)
type View = Awaited<ReturnType<typeof viewOf>>

const modelOf = (store: string, version = 1) => `${databaseOf(store)}:rows@${version}`

/** The rows as they should be, in the order of their keys. */
class Expected {
  readonly #rows = new Map<string, Row>()
  #inOrder: readonly Row[] | undefined

  add(list: readonly Event[]): void {
    this.#inOrder = undefined
    for (const { type, data } of list) {
      if (type !== 'Added') continue
      if (data.amount < 0) this.#rows.delete(data.to)
      else this.#rows.set(data.to, rowOf(keyOf(data.to), data.amount))
    }
  }

  get rows(): readonly Row[] {
    return (this.#inOrder ??= [...this.#rows.values()].sort((left, right) => compare(left.id, right.id)))
  }

  answer({ range, direction, limit }: QueryOptions): Row[] {
    const { lower, upper, lowerOpen, upperOpen } = (range ?? {}) as {
      lower?: Key
      upper?: Key
      lowerOpen?: boolean
      upperOpen?: boolean
    }
    const found = this.rows.filter(
      ({ id }) =>
        (lower === undefined || (lowerOpen === true ? compare(id, lower) > 0 : compare(id, lower) >= 0)) &&
        (upper === undefined || (upperOpen === true ? compare(id, upper) < 0 : compare(id, upper) <= 0)),
    )
    if (direction === 'prev') found.reverse()
    return found.slice(0, limit)
  }
}

export function packedContract({ name: backend, open, shared, onDevice = shared }: Backend): void {
  describe(`packed tables: ${backend}`, () => {
    const seed = 20261126

    /** Whatever is asked, it is what single records would answer. */
    const assertSame = async (view: View, expected: Expected, random: () => number) => {
      const all = expected.rows
      expect(await view.rows.getAll()).toEqual(all)
      expect(await view.rows.count()).toBe(all.length)
      const anyKey = (): Key =>
        random() < 0.7 && all.length > 0 ? (all[Math.floor(random() * all.length)] as Row).id : keyOf(anyText(random))
      const anyRows: TableReader<Row> = view.rows
      for (let questions = 0; questions < 12; questions += 1) {
        const key = anyKey()
        expect(await view.rows.get(key)).toEqual(all.find(({ id }) => compare(id, key) === 0))
        const [one, other] = [anyKey(), anyKey()].sort(compare) as [Key, Key]
        const range = {
          ...(random() < 0.7 ? { lower: one, lowerOpen: random() < 0.3 } : {}),
          ...(random() < 0.7 ? { upper: other, upperOpen: random() < 0.3 } : {}),
        }
        const options: QueryOptions = {
          range,
          ...(random() < 0.5 ? { direction: 'prev' as const } : {}),
          ...(random() < 0.6 ? { limit: Math.floor(random() * random() * 300) } : {}),
        }
        expect(await anyRows.getAll(options), JSON.stringify(options)).toEqual(expected.answer(options))
        expect(await view.rows.count({ range }), JSON.stringify(range)).toBe(expected.answer({ range }).length)
        expect(await view.rows.getAll({ range: key })).toEqual(expected.answer({ range: { lower: key, upper: key } }))
      }
    }

    const anyText = (random: () => number): string => {
      const at = Math.floor(random() * 500)
      return at < 100 ? `n${at - 50}` : at < 200 ? `d${at * 1000}` : `s${at}`
    }
    const anyEvents = (random: () => number): Event[] => {
      const count = 1 + Math.floor(random() ** 3 * 600)
      const deletes = random() < 0.2 ? 0.9 : 0.2
      return Array.from({ length: count }, () =>
        added(anyText(random), random() < deletes ? -1 : 1 + Math.floor(random() * 1000)),
      )
    }

    test.for([seed, seed + 1, seed + 2])(
      'whatever is put and deleted, by whichever tab, every question is answered as by single records (seed %i)',
      { timeout: 240_000 },
      async (seed) => {
        const random = seededRandom(seed)
        const name = newName()
        const tabs = shared ? [await open(name), await open(name)] : [await open(name)]
        const expected = new Expected()
        const definition = rows()
        const view = await viewOf(tabs[0] as Store, definition)
        for (let step = 0; step < 12; step += 1) {
          const leader = tabs[Math.floor(random() * tabs.length)] as Store
          const runs = random() < 0.5 ? startProjection(leader, definition) : undefined
          for (let commits = 1 + Math.floor(random() * 5); commits > 0; commits -= 1) {
            const list = anyEvents(random)
            const { position } = await (tabs[Math.floor(random() * tabs.length)] as Store).append({
              stream: 's',
              events: list,
            })
            expected.add(list)
            if (runs !== undefined) await runs.caughtUp(position, { timeout: 20_000 })
          }
          if (runs === undefined) await runProjection(leader, definition)
          // Perhaps left in the middle of it; the next one goes on.
          else if (random() < 0.3) await runs.rebuild({ wait: false })
          await runs?.stop()
          await assertSame(view, expected, random)
        }
        expect(await verifyReadModel(tabs[0] as Store, definition)).toMatchObject({ ok: true, defects: [] })
        await view.close()
        for (const tab of tabs) await tab.close()
      },
    )

    test(
      'a table of many rows is filled, read in part, changed here and there by a cold runner, and emptied',
      { timeout: 240_000 },
      async () => {
        const store = await open(newName())
        const expected = new Expected()
        const definition = rows()
        const view = await viewOf(store, definition)
        const random = seededRandom(seed)
        const fold = async (list: readonly Event[]) => {
          await store.append({ stream: 's', events: list })
          expected.add(list)
          await runProjection(store, definition)
          await assertSame(view, expected, random)
        }
        await fold(
          Array.from({ length: 6_000 }, (_, at) =>
            added(`s${String((at * 7919) % 6_000).padStart(5, '0')}`, 2 + (at % 50)),
          ),
        )
        await fold([added('s03000', 4), added('s0', 2), added('z', 2), added('n7', 2)])
        await fold(Array.from({ length: 200 }, (_, at) => added(`s03000-${at}`, 2)))
        await fold(Array.from({ length: 5_000 }, (_, at) => added(`s${String(at).padStart(5, '0')}`, -1)))
        expect(await view.log.count()).toBe(11_204)
        expect(await view.log.getAll({ direction: 'prev', limit: 1 })).toEqual([{ position: 11_204, to: 's04999' }])
        await fold(expected.rows.map(({ id }) => added(id === 7 ? 'n7' : String(id), -1)))
        expect(await view.rows.count()).toBe(0)
        await fold([added('s1', 2)])
        await view.close()
        await store.close()
      },
    )

    test('N21: a dead letter is replayed into packs that its projection goes on with', async () => {
      const store = await open(newName())
      const expected = new Expected()
      const list = Array.from({ length: 300 }, (_, at) => added(`s${at % 150}`, 2 + (at % 40)))
      await store.append({ stream: 's', events: list })
      // The last event of a row that fails leaves the one before it, until it is replayed.
      await runProjection(
        store,
        rows(1, (position) => position === 251),
      )
      const projection = startProjection(store, rows())
      await projection.caughtUp(300, { timeout: 10_000 })
      for await (const letter of projection.deadLetters()) await letter.replay()
      expected.add(list)
      const more = [added('s100', 6), added('s-new', 8)]
      await projection.caughtUp((await store.append({ stream: 's', events: more })).position, { timeout: 10_000 })
      expected.add(more)
      const view = await viewOf(store, rows())
      await assertSame(view, expected, seededRandom(seed))
      await projection.stop()
      await view.close()
      await store.close()
    })

    if (!shared) return

    test(
      'a table too large to remember goes on, packed or not: with new keys after its last, rows that were there, and a last one that was deleted',
      { timeout: 120_000 },
      async () => {
        const count = 10_400
        const name = newName()
        const sum = {
          key: ({ data }: Event) => (data === null ? undefined : keyOf(data.to)),
          evolve: (row: Row | undefined, { data }: Event) =>
            data === null || data.amount < 0 ? null : rowOf(keyOf(data.to), (row?.amount ?? 0) + data.amount),
        }
        const definition = defineProjection(events, {
          name: 'large',
          tables: {
            rows: table<Row>({ key: 'id' }),
            indexed: table<Row>()({ key: 'id', indexes: { amount: 'amount' } }),
          },
          fold: { rows: sum, indexed: sum },
        })
        const sums = new Map<string, number>()
        const fold = async (list: readonly ReturnType<typeof added>[]) => {
          // By a store that was just opened, which remembers nothing.
          const store = await open(name)
          await store.append({ stream: 's', events: list })
          for (const { data } of list) {
            if (data.amount < 0) sums.delete(data.to)
            else sums.set(data.to, (sums.get(data.to) ?? 0) + data.amount)
          }
          await runProjection(store, definition)
          const view = await openReadModel(store, definition)
          const expected = [...sums]
            .map(([to, amount]) => rowOf(keyOf(to), amount))
            .sort((left, right) => compare(left.id, right.id))
          for (const found of [await view.rows.getAll(), await view.indexed.getAll()]) expect(found).toEqual(expected)
          await view.close()
          await store.close()
        }
        const key = (at: number) => `s${String(at).padStart(6, '0')}`
        await fold(Array.from({ length: count }, (_, at) => added(key((at * 7919) % count), 2)))
        // New ones among and behind those that are there, in the same pages.
        await fold(
          Array.from({ length: 600 }, (_, at) =>
            added(at % 3 === 0 ? key(count + at) : at % 3 === 1 ? key(at * 17) : `${key(at)}-new`, 3),
          ),
        )
        await fold([
          added(key(count + 597), -1),
          added(key(count + 597), 4),
          added(key(count + 598), 5),
          added(key(count + 598), -1),
          added(key(count - 1), 6),
        ])
        await fold(Array.from({ length: 40 }, (_, at) => added(key(count + 590 + (at % 20)), at < 20 ? 1 : 2)))
      },
    )

    test('N21: a tab that does not lead replays into rows as they are now, not as it read them before', async () => {
      const name = newName()
      const [leader, other] = [await open(name), await open(name)]
      let isBad = true
      const definition = defineProjection(events, {
        name: 'adding',
        tables: { sums: table<{ name: string; sum: number }>({ key: 'name' }) },
        on: {
          Added: async ({ data: { to, amount } }, { sums }) => {
            const { sum } = (await sums.get(to)) ?? { sum: 0 }
            if (amount === 13 && isBad) throw new Error('unlucky')
            sums.put({ name: to, sum: sum + amount })
          },
        },
        onFailure: () => 'park',
      })
      const leads = startProjection(leader, definition)
      await leads.caughtUp((await leader.append({ stream: 's', events: [added('a', 1), added('a', 13)] })).position, {
        timeout: 10_000,
      })
      const follows = startProjection(other, definition)
      const letters: DeadLetter[] = []
      for await (const letter of follows.deadLetters()) letters.push(letter)
      const [letter] = letters as [DeadLetter]
      await expect(letter.replay()).rejects.toThrow()
      await leads.caughtUp((await leader.append({ stream: 's', events: [added('a', 100)] })).position, {
        timeout: 10_000,
      })
      isBad = false
      await letter.replay()
      const view = await openReadModel(other, definition)
      expect(await view.sums.getAll()).toEqual([{ name: 'a', sum: 114 }])
      await Promise.all([leads.stop(), follows.stop(), view.close()])
      await Promise.all([leader.close(), other.close()])
    })

    /** 300 rows in a few packs. */
    const folded = async () => {
      const name = newName()
      const store = await open(name)
      const list = Array.from({ length: 300 }, (_, at) => added(`s${String(at).padStart(3, '0')}`, 2 + (at % 40)))
      await store.append({ stream: 's', events: list })
      await runProjection(store, rows())
      const expected = new Expected()
      expected.add(list)
      return { name, store, expected }
    }

    if (!onDevice) return

    test('up to 64 rows are one record, and a heavy one has one of its own', async () => {
      const { name, store } = await folded()
      const records = async () => (await dumpDatabase(modelOf(name))).stores['rows']?.rows as Row[][]
      expect((await records()).map(({ length }) => length)).toEqual([64, 64, 64, 64, 44])
      await store.append({ stream: 's', events: [added('s100', 970)] })
      await runProjection(store, rows())
      const sizes = (await records()).map(({ length }) => length)
      expect(sizes.reduce((sum, size) => sum + size)).toBe(300)
      expect(sizes.length).toBeLessThan(10)
      await store.append({ stream: 's', events: [added('s101', 970), added('s102', 970)] })
      await runProjection(store, rows())
      for (const pack of await records()) expect(pack.filter(({ amount }) => amount === 970).length).toBeLessThan(2)
      await store.close()
    })

    test('a read model from before there were packs stays as it is, and goes on', async () => {
      const { name, store, expected } = await folded()
      const { version, stores } = await dumpDatabase(modelOf(name))
      const unpacked: Record<string, StoredDatabase['stores'][string]> = { ...stores }
      for (const [table, keyPath] of [
        ['rows', 'id'],
        ['log', 'position'],
      ] as const) {
        for (const each of [table, `tidemark:other:${table}`])
          unpacked[each] = { keyPath, indexes: {}, rows: (stores[each]?.rows ?? []).flat() }
      }
      const [state] = (stores['tidemark:state']?.rows ?? []) as { fingerprint: string; stamp?: unknown }[]
      expect(state?.fingerprint).toMatch(/^stamped packed /)
      const { stamp: _, ...before } = state ?? {}
      unpacked['tidemark:state'] = {
        ...(stores['tidemark:state'] as StoredDatabase['stores'][string]),
        rows: [{ ...before, fingerprint: state?.fingerprint.slice('stamped packed '.length) }],
      }
      await settled(indexedDB.deleteDatabase(modelOf(name)))
      await loadDatabase(modelOf(name), { version, stores: unpacked })
      const more = Array.from({ length: 100 }, (_, at) => added(`s${at * 5}`, at % 7 === 0 ? -1 : 3))
      await store.append({ stream: 's', events: more })
      expected.add(more)
      await runProjection(store, rows())
      const view = await viewOf(store, rows())
      await assertSame(view, expected, seededRandom(seed))
      expect(await verifyReadModel(store, rows())).toMatchObject({ ok: true })
      expect((await dumpDatabase(modelOf(name))).stores['rows']?.rows).toEqual(expected.rows)
      await view.close()
      await store.close()
    })

    test('H76: packs that were edited by hand are named, and go with a rebuild', async () => {
      const { name, store } = await folded()
      const edited = async (change: (packs: IDBObjectStore) => void | Promise<void>) => {
        const whole = await dumpDatabase(modelOf(name))
        await withDatabase(modelOf(name), async (database) => {
          const transaction = database.transaction('rows', 'readwrite')
          await change(transaction.objectStore('rows'))
          await completed(transaction)
        })
        const { defects } = await verifyReadModel(store, rows())
        await settled(indexedDB.deleteDatabase(modelOf(name)))
        await loadDatabase(modelOf(name), whole)
        return defects
          .slice(0, 3)
          .map(({ kind, table, key }) => [kind, table, key].filter((part) => part !== undefined))
      }
      const put = (store: IDBObjectStore, rows: readonly unknown[], key: IDBValidKey) => void store.put(rows, key)
      const row = (id: string, amount: number) => rowOf(id, amount)
      expect(await edited((packs) => put(packs, [row('s000', 2)], -Infinity))).toEqual([
        ['missing-row', 'rows', 's001'],
        ['missing-row', 'rows', 's002'],
        ['missing-row', 'rows', 's003'],
      ])
      expect(await edited((packs) => put(packs, [row('zzz', 2)], 'zz'))).toEqual([['unexpected-row', 'rows', 'zzz']])
      // Nobody finds a row that is not where it belongs.
      expect(await edited((packs) => put(packs, [row('s000', 2)], 'zz'))).toEqual([['structure', 'rows']])
      expect(await edited((packs) => put(packs, [null], 'zz'))).toEqual([['structure', 'rows']])
      expect(await edited((packs) => put(packs, { no: 'rows' } as never, 'zz'))).toEqual([['structure', 'rows']])
      expect(
        await edited(async (packs) => {
          const [first, second, ...rest] = (await settled(packs.get(-Infinity))) as Row[]
          put(packs, [second, first, ...rest], -Infinity)
        }),
      ).toEqual([
        ['structure', 'rows'],
        ['missing-row', 'rows', 's000'],
      ])
      // A runner that knows where packs are, and no longer finds one of them: what is left are not the rows of others.
      const leads = startProjection(store, rows(), {
        onReport: (report) => void (report.type === 'storage-failed' && reports.push(report.error)),
      })
      const reports: unknown[] = []
      await leads.caughtUp((await store.append({ stream: 's', events: [added('s000', 2)] })).position, {
        timeout: 10_000,
      })
      await withDatabase(modelOf(name), async (database) => {
        const transaction = database.transaction('rows', 'readwrite')
        transaction.objectStore('rows').delete('s128')
        await completed(transaction)
      })
      await store.append({ stream: 's', events: ['s064', 's129', 's299'].map((id) => added(id, 3)) })
      await expect
        .poll(() => reports, { timeout: 10_000 })
        .toContainEqual(expect.objectContaining({ code: 'storage-damaged' }))
      await leads.stop()
      await withDatabase(modelOf(name), async (database) => {
        const transaction = database.transaction('rows', 'readwrite')
        transaction.objectStore('rows').put({ no: 'rows' }, -Infinity)
        await completed(transaction)
      })
      const view = await viewOf(store, rows())
      await expect(view.rows.get('s000')).rejects.toMatchObject({ code: 'storage-damaged' })
      const projection = startProjection(store, rows())
      await projection.rebuild({ wait: false })
      await expect
        .poll(
          () =>
            view.rows.getAll().then(
              ({ length }) => length,
              () => 0,
            ),
          { timeout: 10_000 },
        )
        .toBe(300)
      expect(await verifyReadModel(store, rows())).toMatchObject({ ok: true })
      await projection.stop()
      await view.close()
      await store.close()
    })
  })
}
