/** H76: read models that were edited by hand, and sound ones of every kind. */
import { describe, expect, test } from 'vitest'
import {
  defineProjection,
  deleteReadModel,
  deleteEventStore,
  openReadModel,
  runProjection,
  startProjection,
  table,
  verifyReadModel,
  type ReadModelDefect,
} from 'tidemark'
import {
  completed,
  databaseNames,
  databaseOf,
  dumpDatabase,
  loadDatabase,
  settled,
  withDatabase,
} from '../../support/raw-database.js'
import { added, events, newName, other, sums, type Backend, type Store } from './model.js'

const modelOf = (store: string) => `${databaseOf(store)}:sums@1`
const brief = (defects: readonly ReadModelDefect[]) =>
  defects.map(({ kind, position, table, key }) => [kind, position, table, key].filter((part) => part !== undefined))

/** Edits the read model `sums` in one transaction. */
const edit = (
  store: string,
  change: (stores: Record<'sums' | 'letters' | 'state', IDBObjectStore>) => void | Promise<void>,
) =>
  withDatabase(modelOf(store), async (database) => {
    const transaction = database.transaction(['sums', 'tidemark:letters', 'tidemark:state'], 'readwrite')
    await change({
      sums: transaction.objectStore('sums'),
      letters: transaction.objectStore('tidemark:letters'),
      state: transaction.objectStore('tidemark:state'),
    })
    await completed(transaction)
  })
const editState = (store: string, change: (state: any) => unknown) =>
  edit(store, async ({ state }) => {
    const row = await settled(state.get('state'))
    state.put(change(row))
  })

export function readModelVerifyContract({ name: backend, open, shared, onDevice = shared }: Backend): void {
  describe(`H76: verifyReadModel: ${backend}`, () => {
    const sound = async (store: Store, definition = sums()) => {
      const answer = await verifyReadModel(store, definition)
      expect(answer.defects).toEqual([])
      return answer
    }

    test('finds nothing in a model that nobody touched: one that never ran, an empty one, one that is behind, one that is done', async () => {
      const name = newName()
      const store = await open(name)
      expect(await verifyReadModel(store, sums())).toEqual({
        ok: true,
        position: 0,
        head: 0,
        rows: 0,
        defects: [],
        unlisted: 0,
      })
      if (onDevice) expect((await databaseNames()) ?? [], 'looking makes no database').not.toContain(modelOf(name))
      await runProjection(store, sums())
      expect(await verifyReadModel(store, sums())).toMatchObject({ ok: true, position: 0, rows: 0 })
      await store.append({
        stream: 's',
        events: Array.from({ length: 900 }, (_, at) => (at % 3 === 0 ? other() : added(`k${at}`, at))),
      })
      await runProjection(store, sums(), { budget: { maxEvents: 200 } })
      const behind = await sound(store)
      expect([behind.head, behind.position > 0 && behind.position < 900]).toEqual([900, true])
      await runProjection(store, sums())
      expect(await sound(store)).toMatchObject({ position: 900, head: 900, rows: 600 })
      await store.close()
    })

    test('N44: a handler that asks the clock, chance, or what it kept in memory is reported by the rows that came out differently', async () => {
      let called = 0
      const kinds: Record<string, () => number> = {
        clock: () => performance.now(),
        chance: () => Math.random(),
        memory: () => (called += 1),
        event: () => 1,
      }
      for (const [kind, value] of Object.entries(kinds)) {
        const store = await open(newName())
        const definition = defineProjection(events, {
          name: 'sums',
          tables: { sums: table<{ name: string; value: number }>({ key: 'name' }) },
          on: { Added: ({ data: { to } }, { sums }) => sums.put({ name: to, value: value() }) },
        })
        await store.append({ stream: 's', events: [added('a', 1), added('b', 2)] })
        await runProjection(store, definition)
        const { ok, defects } = await verifyReadModel(store, definition)
        expect([kind, ok, brief(defects)]).toEqual([
          kind,
          kind === 'event',
          kind === 'event'
            ? []
            : [
                ['wrong-row', 'sums', 'a'],
                ['wrong-row', 'sums', 'b'],
              ],
        ])
        await store.close()
      }
    })

    test('changes nothing that is stored, and takes no part in leadership', async () => {
      const name = newName()
      const store = await open(name)
      await store.append({ stream: 's', events: [added('a', 1), added('b', 2)] })
      await runProjection(store, sums({ bad: ({ position }) => position === 2, onFailure: () => 'park' }))
      const before = onDevice ? await dumpDatabase(modelOf(name)) : undefined
      const guard = await store.coordinator.acquire('sums@1')
      await sound(store)
      guard.release()
      if (onDevice) expect(await dumpDatabase(modelOf(name))).toEqual(before)
      await store.close()
    })

    test('leaves out what was parked, skipped by policy and skipped by hand, also where the handler would not fail any more', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: 60 }, (_, at) => added(`k${at % 4}`, at)) })
      const parking = sums({ bad: ({ position }) => position === 7 || position === 20, onFailure: () => 'park' })
      await runProjection(store, parking, { budget: { maxEvents: 30 } })
      await sound(store, parking)
      await sound(store, sums())
      const skipping = sums({ bad: ({ position }) => position === 40, onFailure: () => 'skip' })
      await runProjection(store, skipping, { budget: { maxEvents: 15 } })
      await sound(store, skipping)
      const fatal = sums({
        bad: ({ position }) => position === 50 || position === 40,
        onFailure: (retryCount) => (retryCount < 2 ? 'retry' : 'skip'),
      })
      const stopping = sums({ bad: ({ position }) => position === 50 })
      await expect(runProjection(store, stopping)).rejects.toMatchObject({ position: 50 })
      const projection = startProjection(store, stopping)
      await expect.poll(() => projection.status.getSnapshot().phase).toBe('faulted')
      await projection.skip(50)
      await projection.caughtUp(60, { timeout: 10_000 })
      await sound(store, fatal)
      const letters = []
      for await (const letter of projection.deadLetters()) letters.push(letter)
      await letters[0]?.replay()
      await letters[1]?.discard()
      await projection.stop()
      // The first was applied after all; the other one stays out as long as it would fail.
      await sound(store, sums({ bad: ({ position }) => [20, 40].includes(position), onFailure: () => 'park' }))
      await store.close()
    })

    test('leaves out events that cannot be decoded, with the letters that they left', async () => {
      const codec = {
        encode: (data: unknown) => data,
        decode: (stored: unknown) => {
          if ((stored as { amount?: number } | null)?.amount === 13) throw new Error('unlucky')
          return stored
        },
      }
      const store = await open(newName(), { codec })
      await store.append({ stream: 's', events: [added('a', 1), added('a', 13), added('a', 2)] })
      const definition = sums({ onFailure: () => 'park' })
      await runProjection(store, definition)
      await sound(store, definition)
      await store.close()
    })

    test('verifies a model that goes on meanwhile, that is paused, and that is being rebuilt', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: 400 }, (_, at) => added(`k${at % 50}`, at)) })
      const slow = sums()
      const slowly: Store = {
        ...store,
        async readPage(request) {
          await new Promise((resolve) => setTimeout(resolve, 5))
          return store.readPage({ ...request, limit: 10 })
        },
      }
      const projection = startProjection(slowly, slow, { batch: { maxEvents: 10 } })
      const positions = new Set<number>()
      for (let looks = 0; looks < 300 && positions.size < 5; looks += 1) {
        positions.add((await sound(store, slow)).position)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      await projection.caughtUp(400, { timeout: 25_000 })
      await projection.rebuild({ wait: false })
      for (let looks = 0; looks < 3; looks += 1)
        expect(await sound(store, slow)).toMatchObject({ position: 400, rows: 50 })
      await projection.pause()
      await sound(store, slow)
      await projection.stop()
      expect(positions.size).toBeGreaterThan(1)
      await store.close()
    })

    test('rows of every kind that can be stored are compared by what is in them', async () => {
      interface Row {
        id: string
        at: Date
        map: Map<string, Set<number>>
        bytes: Uint8Array
        pattern: RegExp
        nothing?: undefined
        list: (number | bigint)[]
        self?: unknown
      }
      const of = (extra: number) =>
        defineProjection(events, {
          name: 'kinds',
          tables: { rows: table<Row>({ key: 'id' }) },
          on: {
            Added: ({ data: { to, amount } }, { rows }) => {
              const row: Row = {
                id: to,
                at: new Date(amount),
                map: new Map([['a', new Set([amount, Number.NaN])]]),
                bytes: new Uint8Array([1, amount]),
                pattern: /x/gu,
                nothing: undefined,
                list: [-0, 7n, amount + extra],
              }
              row.self = row
              rows.put(row)
            },
          },
        })
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('b', 2)] })
      await runProjection(store, of(0))
      expect(await verifyReadModel(store, of(0))).toMatchObject({ ok: true, rows: 2 })
      expect(brief((await verifyReadModel(store, of(1))).defects)).toEqual([
        ['wrong-row', 'rows', 'a'],
        ['wrong-row', 'rows', 'b'],
      ])
      await store.close()
    })

    test('a handler that is not deterministic, or that was changed, makes another model, and an event that fails for good is named', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('b', 1), added('a', 1)] })
      await runProjection(store, sums())
      const now = sums({ bad: ({ position }) => position === 3 })
      const { defects } = await verifyReadModel(store, now)
      expect(brief(defects)).toEqual([
        ['event', 3],
        ['wrong-row', 'sums', 'a'],
      ])
      expect(defects[0]?.message).toContain('bad 3')
      const failing = () => {
        throw new Error('the policy fails as well')
      }
      for (const onFailure of [() => 'retry' as const, failing]) {
        const another = sums({ bad: ({ position }) => position === 3, onFailure })
        expect(brief((await verifyReadModel(store, another)).defects)).toEqual([
          ['event', 3],
          ['wrong-row', 'sums', 'a'],
        ])
      }
      await store.close()
    })

    test('stops with the reason of its signal, and is refused by a closed store and without a projection', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: 10 }, (_, at) => added('a', at)) })
      await runProjection(store, sums())
      const reason = new Error('enough')
      await expect(verifyReadModel(store, sums(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
      const controller = new AbortController()
      const aborting = sums({ bad: ({ position }) => (position === 5 && controller.abort(reason), false) })
      await expect(verifyReadModel(store, aborting, { signal: controller.signal })).rejects.toBe(reason)
      await expect(verifyReadModel(store, { name: 'plain', apply() {} } as never)).rejects.toMatchObject({
        code: 'invalid-argument',
      })
      await expect(verifyReadModel({} as never, sums())).rejects.toMatchObject({ code: 'invalid-argument' })
      await store.close()
      await expect(verifyReadModel(store, sums())).rejects.toMatchObject({ code: 'closed' })
    })

    if (!onDevice) return

    /** Positions: `a` 1, 3, 5; `b` 2; `c` 4, whose event is parked. */
    const edited = async (change: (name: string) => Promise<unknown>, definition = sums()) => {
      const name = newName()
      const store = await open(name)
      await store.append({
        stream: 's',
        events: [added('a', 1), added('b', 2), added('a', 3), added('c', 4), added('a', 5)],
      })
      await runProjection(store, sums({ bad: ({ position }) => position === 4, onFailure: () => 'park' }))
      await change(name)
      const answer = await verifyReadModel(store, definition)
      // It goes away with a new fold, whatever it was.
      const projection = startProjection(store, sums())
      await projection.rebuild()
      await projection.caughtUp(5, { timeout: 10_000 })
      await expect.poll(() => verifyReadModel(store, sums())).toMatchObject({ ok: true, position: 5, rows: 3 })
      await projection.stop()
      await store.close()
      return answer
    }

    test('names rows that were edited, deleted, added, swapped and moved', async () => {
      expect(
        brief(
          (await edited((name) => edit(name, ({ sums }) => void sums.put({ name: 'b', count: 1, total: 3 })))).defects,
        ),
      ).toEqual([['wrong-row', 'sums', 'b']])
      expect(
        brief(
          (await edited((name) => edit(name, ({ sums }) => void sums.put({ name: 'b', count: 1, total: 2, more: 1 }))))
            .defects,
        ),
      ).toEqual([['wrong-row', 'sums', 'b']])
      expect(brief((await edited((name) => edit(name, ({ sums }) => void sums.delete('a')))).defects)).toEqual([
        ['missing-row', 'sums', 'a'],
      ])
      expect(
        brief(
          (await edited((name) => edit(name, ({ sums }) => void sums.put({ name: 'z', count: 1, total: 1 })))).defects,
        ),
      ).toEqual([['unexpected-row', 'sums', 'z']])
      expect(
        brief(
          (await edited((name) => edit(name, ({ sums }) => void sums.put({ name: ['a'], count: 1, total: 1 }))))
            .defects,
        ),
      ).toEqual([['unexpected-row', 'sums', ['a']]])
      expect(
        brief(
          (
            await edited((name) =>
              edit(name, async ({ sums }) => {
                const [a, b] = (await settled(sums.getAll())) as [object, object]
                sums.put({ ...a, name: 'b' })
                sums.put({ ...b, name: 'a' })
              }),
            )
          ).defects,
        ),
      ).toEqual([
        ['wrong-row', 'sums', 'a'],
        ['wrong-row', 'sums', 'b'],
      ])
      const cleared = await edited((name) => edit(name, ({ sums }) => void sums.clear()))
      expect([brief(cleared.defects), cleared.rows, cleared.ok]).toEqual([
        [
          ['missing-row', 'sums', 'a'],
          ['missing-row', 'sums', 'b'],
        ],
        0,
        false,
      ])
    })

    test('names a checkpoint that was moved: back and on by the rows, beyond the head by itself', async () => {
      expect(brief((await edited((name) => editState(name, (state) => ({ ...state, position: 4 })))).defects)).toEqual([
        ['wrong-row', 'sums', 'a'],
      ])
      expect(brief((await edited((name) => editState(name, (state) => ({ ...state, position: 2 })))).defects)).toEqual([
        ['letter', 4],
        ['wrong-row', 'sums', 'a'],
      ])
      const beyond = await edited((name) => editState(name, (state) => ({ ...state, position: 6 })))
      expect([brief(beyond.defects), beyond.position, beyond.head]).toEqual([[['checkpoint', 6]], 6, 5])
    })

    test('N36: a model whose checkpoint is beyond the head, or that is of another log, is not gone on with: the runner folds it anew', async () => {
      for (const change of [{ position: 900 }, { log: 'another' }]) {
        const name = newName()
        const store = await open(name)
        await store.append({ stream: 's', events: [added('a', 1), added('b', 2)] })
        await runProjection(store, sums())
        await edit(name, ({ sums }) => void sums.put({ name: 'void', count: 1, total: 1 }))
        await editState(name, (state) => ({ ...state, ...change }))
        expect(await runProjection(store, sums())).toMatchObject({ applied: 2, position: 2 })
        expect(await sound(store)).toMatchObject({ position: 2, rows: 2 })
        await store.close()
      }
    })

    test.for<[string, unknown]>([
      ['position', -1],
      ['position', 1.5],
      ['position', '5'],
      ['position', undefined],
      ['epoch', null],
      ['owner', 7],
      ['paused', 'no'],
      ['letters', -1],
      ['log', 5],
      ['shown', 2],
      ['shown', 7],
      ['shown', '0'],
      ['shown', undefined],
      ['skipped', [1, 'x']],
      ['skipped', [0.5]],
      ['skipped', 'all'],
      ['skipped', [2]],
      ['carried', [-1]],
      ['carried', {}],
      ['rebuild', { position: 'x' }],
      ['rebuild', { position: 0, letters: Number.NaN }],
      ['rebuild', null],
      ['fingerprint', null],
      ['handles', 1],
      ['position', Number.NaN],
      ['position', Infinity],
      ['position', 2 ** 53 - 1],
      ['epoch', 0.5],
      ['epoch', Number.NaN],
      ['epoch', 2 ** 53 - 1],
      ['epoch', 2 ** 53],
      ['letters', 0.5],
      ['holds', 'yes'],
      ['fault', 'broken'],
      ['fault', { position: Number.NaN, message: '', time: 0 }],
      ['rebuildFault', { position: 1 }],
      ['unclean', { position: 1, ends: -1 }],
      ['trying', { position: 1, runs: Number.NaN }],
      ['trying', []],
    ])('names a state that says %s is %j, and no run, view or control believes it', async ([property, value]) => {
      const name = newName()
      const store = await open(name)
      await store.append({ stream: 's', events: [added('a', 1)] })
      await runProjection(store, sums())
      await editState(name, (state) => ({ ...state, [property]: value }))
      const { ok, position, defects } = await verifyReadModel(store, sums())
      expect([ok, position, brief(defects)]).toEqual([false, 0, [['state']]])
      expect(defects[0]?.message).toContain(`'${property}'`)
      const integrity = {
        code: 'log-inconsistent',
        message: expect.stringMatching(
          new RegExp(`^The read model 'sums@1' was damaged.*'${property}'.*deleteReadModel`),
        ),
      }
      await expect(openReadModel(store, sums())).rejects.toMatchObject(integrity)
      await expect(runProjection(store, sums())).rejects.toMatchObject({ code: 'projection-failed', cause: integrity })
      const projection = startProjection(store, sums())
      await expect(projection.caughtUp(1, { timeout: 20_000 })).rejects.toMatchObject({
        code: 'projection-failed',
        cause: integrity,
      })
      expect(projection.status.getSnapshot()).toMatchObject({ phase: 'faulted' })
      for (const control of [() => projection.resume(), () => projection.rebuild(), () => projection.skip(1)])
        await expect(control()).rejects.toMatchObject(integrity)
      await projection.stop()
      // What the message says to do.
      await deleteReadModel(store, sums())
      expect(await runProjection(store, sums())).toMatchObject({ applied: 1, position: 1 })
      await sound(store)
      await store.close()
    })

    test('a state that is damaged while a run and a view are at work stops both, with its name', async () => {
      const name = newName()
      const store = await open(name)
      const projection = startProjection(store, sums())
      await projection.caughtUp((await store.append({ stream: 's', events: [added('a', 1)] })).position, {
        timeout: 20_000,
      })
      const view = await openReadModel(store, sums())
      await editState(name, (state) => ({ ...state, shown: 7 }))
      const { position } = await store.append({ stream: 's', events: [added('a', 1)] })
      await expect(projection.caughtUp(position, { timeout: 20_000 })).rejects.toMatchObject({
        cause: { code: 'log-inconsistent' },
      })
      await expect(view.sums.getAll()).rejects.toMatchObject({ code: 'log-inconsistent' })
      await view.close()
      await projection.stop()
      await store.close()
    })

    test('names a state that is gone, that is of other tables, and that is of another log', async () => {
      const name = newName()
      const store = await open(name)
      await store.append({ stream: 's', events: [added('a', 1)] })
      await runProjection(store, sums())
      const found = async () => brief((await verifyReadModel(store, sums())).defects)
      await editState(name, (state) => ({ ...state, log: 'another' }))
      expect(await found()).toEqual([['log', 1]])
      await editState(name, (state) => ({ ...state, fingerprint: '[]' }))
      expect(await found()).toEqual([['tables']])
      await edit(name, ({ state }) => void state.clear())
      expect(await found()).toEqual([['state']])
      await store.close()
    })

    test('names dead letters that are none, that nobody counted, and that are for another event', async () => {
      expect(brief((await edited((name) => edit(name, ({ letters }) => void letters.clear()))).defects)).toEqual([
        ['letter'],
        ['missing-row', 'sums', 'c'],
      ])
      expect(
        brief(
          (
            await edited((name) =>
              edit(
                name,
                ({ letters }) => void letters.put({ position: 2, eventId: 'x', eventType: 'Added', stream: 's' }),
              ),
            )
          ).defects,
        ),
      ).toEqual([['letter'], ['letter', 2], ['unexpected-row', 'sums', 'b']])
      expect(
        brief(
          (await edited((name) => edit(name, ({ letters }) => void letters.put({ position: 6, hello: 'world' }))))
            .defects,
        ),
      ).toEqual([['letter', 6], ['letter']])
      expect(
        brief((await edited((name) => edit(name, ({ letters }) => void letters.put({ position: 4 })))).defects),
      ).toEqual([
        ['letter', 4],
        ['missing-row', 'sums', 'c'],
      ])
      expect(
        brief((await edited((name) => edit(name, ({ letters }) => void letters.put({ position: -1 })))).defects),
      ).toEqual([['letter'], ['letter']])
    })

    test('names a letter where this projection has no event', async () => {
      const name = newName()
      const store = await open(name)
      await store.append({ stream: 's', events: [added('a', 1), other()] })
      await runProjection(store, sums())
      await edit(
        name,
        ({ letters }) => void letters.put({ position: 2, eventId: 'x', eventType: 'Other', stream: 's' }),
      )
      await editState(name, (state) => ({ ...state, letters: 1 }))
      expect(brief((await verifyReadModel(store, sums())).defects)).toEqual([['letter', 2]])
      await store.close()
    })

    test('H43: names every object store and index that is missing, and compares what is there', async () => {
      const name = newName()
      const store = await open(name)
      await store.append({ stream: 's', events: [added('a', 1)] })
      await runProjection(store, sums())
      const whole = await dumpDatabase(modelOf(name))
      const without = async (remove: (stores: Record<string, any>) => void) => {
        const stores = structuredClone(whole.stores)
        remove(stores)
        await settled(indexedDB.deleteDatabase(modelOf(name)))
        await loadDatabase(modelOf(name), { ...whole, stores })
        const { defects } = await verifyReadModel(store, sums())
        return defects.map(({ kind, message }) => `${kind}: ${/'[^']+'(?: of '[^']+')?/.exec(message)?.[0]}`)
      }
      expect(await without(() => {})).toEqual([])
      expect(await without((stores) => delete stores['tidemark:other:sums'])).toEqual([
        "structure: 'tidemark:other:sums'",
      ])
      expect(await without((stores) => delete stores['sums'])).toEqual(["structure: 'sums'"])
      expect(await without((stores) => delete stores['tidemark:state'])).toEqual(["structure: 'tidemark:state'"])
      expect(await without((stores) => delete stores['sums'].indexes.byTotal)).toEqual([
        "structure: 'byTotal' of 'sums'",
      ])
      expect(
        await without((stores) => {
          for (const each of Object.keys(stores)) delete stores[each]
        }),
      ).toHaveLength(5)
      await store.close()
      await deleteEventStore(name)
    })

    test('lists a thousand defects and counts the others', async () => {
      const answer = await edited((name) =>
        edit(name, ({ sums }) => {
          for (let at = 0; at < 1005; at += 1) sums.put({ name: `x${at}`, count: 0, total: 0 })
        }),
      )
      expect([answer.defects.length, answer.unlisted]).toEqual([1000, 5])
    })
  })
}
