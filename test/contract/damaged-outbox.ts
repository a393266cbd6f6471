/** Stores of the other kind, and rows of a synced store that were edited by hand: an error with a name, nothing changed, nothing lost. */
import { describe, expect, test, vi } from 'vitest'
import { exportEvents, importEvents, openEventStore } from 'tidemark'
import { openSyncedStore, startSync, syncOnce, type SyncedStore } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'
import { OutboxDraft } from '../../src/sync/rules/outbox-draft.js'
import { syncPartsOf } from '../../src/sync/sync-parts.js'
import { completed, databaseOf, dumpDatabase, settled, withDatabase } from '../support/raw-database.js'
import { confirmAll } from './confirming.js'

let count = 0
const nextName = () => `damaged-${(count += 1)}-${Math.random()}`
const url = 'http://127.0.0.1:9/'
const open = (name: string) => openSyncedStore({ name, url })
const added = (value: number, id = `id-${value}`) => ({ type: 'Added', data: { value }, id })

async function idsOf(store: Pick<SyncedStore, 'readStream'>, stream: string): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of store.readStream(stream)) ids.push(id)
  return ids
}

type Rows = { readonly [store in 'sync' | 'outbox' | 'own']: IDBObjectStore }

const edit = (name: string, work: (rows: Rows) => void | Promise<void>): Promise<void> =>
  withDatabase(databaseOf(name), async (database) => {
    const transaction = database.transaction(['sync', 'outbox', 'own'], 'readwrite')
    const [sync, outbox, own] = ['sync', 'outbox', 'own'].map((store) => transaction.objectStore(store))
    await work({ sync, outbox, own } as Rows)
    await completed(transaction)
  })

const editState = (name: string, change: object) =>
  edit(name, async ({ sync }) => void sync.put({ ...(await settled(sync.get('state'))), ...change }))
const editRow = (name: string, change: (row: any) => object) =>
  edit(name, async ({ outbox }) => {
    const row = await settled(outbox.get(1))
    outbox.put({ ...row, ...change(row) })
  })

const isDamaged = { code: 'storage-damaged' }
/** The text is that of the development build. */
const isNewer = {
  code: 'unsupported-format',
  reason: 'newer',
  outcome: 'not-written',
  message: expect.stringContaining('Reload the page'),
}
const event = (change: object) => (row: any) => ({ events: [{ ...row.events[0], ...change }] })

const states: readonly [string, object][] = [
  ['a turn that is a text', { turn: '5' }],
  ['a turn at which adding 1 changes nothing', { turn: 2 ** 53 }],
  ['a largest number of the same kind', { largestN: 2 ** 53 - 1 }],
  ['a number that was sent below 0', { sentTo: -1 }],
  ['a cursor without a chain', { cursor: { at: 0 } }],
  ['a cursor between two positions', { cursor: { at: 0.5, chain: '' } }],
  ['no identity', { identity: undefined }],
  ['marks that are no list', { marks: {} }],
  ['a mark of null', { marks: [null] }],
  ['identities without an end', { left: [{ identity: 'a' }] }],
  ['a server without an author', { remote: { log: 'a', epoch: 'b' } }],
]

const rows: readonly [string, (row: any) => object][] = [
  ['no events', () => ({ events: [] })],
  ['events that are a text', () => ({ events: 'none' })],
  ['an event of null', () => ({ events: [null] })],
  ['data that is no JSON', event({ data: '{' })],
  ['data that is no text', event({ data: { value: 1 } })],
  ['meta that is no JSON', event({ meta: '{' })],
  ['an event without a stream', event({ stream: undefined })],
  ['an event without a time', event({ time: '7' })],
  ['no name', () => ({ name: 7 })],
  ['an expectation without an id', () => ({ expect: [['a']] })],
  ['no expectations', () => ({ expect: undefined })],
  ['needs that are no ids', () => ({ requires: [7] })],
  ['a condition without a filter', () => ({ condition: { after: null, at: 0, except: [] } })],
  ['a command without arguments', () => ({ command: { name: 'a' } })],
  ['arguments that are no JSON', () => ({ command: { name: 'a', args: '[' } })],
  ['a refusal of null', () => ({ refused: null })],
  ['places that are no numbers', () => ({ was: { a: 'b' } })],
  ['an accepted position that is a text', () => ({ accepted: '1' })],
]

const owns: readonly [string, object][] = [
  ['of more events than the log has', { at: 1, n: 1e9 }],
  ['of no events', { at: 1, n: 0 }],
  ['at 0', { at: 0, n: 1 }],
  ['at a text', { at: 'a', n: 1 }],
  ['with needs that are no ids', { at: 1, n: 1, needs: 'x' }],
  ['that overlaps the one behind it', { at: 2, n: 1, needs: ['x'] }],
]

export function damagedOutboxContract(): void {
  otherKinds()

  describe.each(['cold', 'warm'] as const)('N62: rows of a synced store edited by hand, %s', (when) => {
    /** A commit that is pending; the store is opened before or after the edit. */
    async function edited(work: (name: string) => Promise<void>) {
      const name = nextName()
      const store = await open(name)
      await store.append('a', added(1))
      await store.append('a', added(2))
      if (when === 'warm') {
        await work(name)
        // What this tab believes ends with a change of another one.
        await edit(name, async ({ sync }) => {
          const state = await settled(sync.get('state'))
          if (Number.isSafeInteger(state?.turn)) sync.put({ ...state, turn: state.turn + 1 })
        })
        return { name, store }
      }
      await store.close()
      await work(name)
      return { name, store: await open(name) }
    }

    /** Whatever is tried, ends with the error, and the database is as it was. */
    async function expectDamaged({ name, store }: { name: string; store: SyncedStore }, damaged: object = isDamaged) {
      const before = await dumpDatabase(databaseOf(name))
      try {
        await expect(store.outbox()).rejects.toMatchObject(damaged)
        await expect(store.append('a', added(3))).rejects.toMatchObject(damaged)
        await expect(idsOf(store, 'a')).rejects.toMatchObject(damaged)
        await expect(store.ownCommit('id-1')).rejects.toMatchObject(damaged)
        expect(await dumpDatabase(databaseOf(name))).toEqual(before)
        // What is confirmed can be read.
        expect(await store.head()).toBe(0)
      } finally {
        await store.close()
      }
    }

    test.for(states)('a state with %s', async ([, change]) => {
      await expectDamaged(await edited((name) => editState(name, change)))
    })

    test('no state', async () => {
      await expectDamaged(await edited((name) => edit(name, ({ sync }) => void sync.clear())))
    })

    test.for(rows)('a commit with %s', async ([, change]) => {
      await expectDamaged(await edited((name) => editRow(name, change)))
    })

    // Of a newer build, which means by them what this one does not know.
    test('a state of a later format', async () => {
      await expectDamaged(await edited((name) => editState(name, { format: 2, cursor: 'another' })), isNewer)
    })

    test('a commit of a later format', async () => {
      await expectDamaged(
        await edited((name) => editRow(name, () => ({ format: 2, events: { packed: 'x' } }))),
        isNewer,
      )
    })

    test('a later format that this tab learns of only when it syncs', async () => {
      const { name, store } = await edited((name) => editRow(name, () => ({ format: 7 })))
      const before = await dumpDatabase(databaseOf(name))
      const sync = startSync(store)
      await vi.waitUntil(() => sync.status.getSnapshot().status === 'waiting', { interval: 5 })
      expect(sync.status.getSnapshot()).toMatchObject({
        reason: 'newer-format',
        message: expect.stringContaining('Reload the page'),
      })
      await expect(syncOnce(store)).rejects.toMatchObject(isNewer)
      await sync.stop()
      expect(await dumpDatabase(databaseOf(name))).toEqual(before)
      await store.close()
    })

    test.for<[string, IDBValidKey]>([
      ['2 ** 53', 2 ** 53],
      ['1.5', 1.5],
      ['a text', 'x'],
      ['a list', [1]],
    ])('a commit whose number is %s', async ([, n]) => {
      await expectDamaged(
        await edited((name) =>
          edit(name, async ({ outbox }) => void outbox.put({ ...(await settled(outbox.get(1))), n })),
        ),
      )
    })
  })

  test('N62: an append behind a commit of a newer build, that this tab does not know of yet, is refused', async () => {
    const name = nextName()
    const store = await open(name)
    await store.append('a', added(1))
    await edit(name, async ({ outbox }) => {
      const row = await settled(outbox.get(1))
      outbox.put({ ...row, n: 2, format: 2, events: 'packed', more: true })
    })
    const before = await dumpDatabase(databaseOf(name))
    await expect(store.append('a', added(3))).rejects.toMatchObject(isNewer)
    expect(await dumpDatabase(databaseOf(name))).toEqual(before)
    await store.close()
  })

  test.for<[string, (rows: Rows) => Promise<void>]>([
    [
      'a turn that goes back',
      async ({ sync }) => {
        const state = await settled(sync.get('state'))
        sync.put({ ...state, turn: state.turn - 1 })
      },
    ],
    [
      'a largest number that goes back, where no commit is',
      async ({ sync, outbox }) => {
        sync.put({ ...(await settled(sync.get('state'))), largestN: 0 })
        outbox.delete(3)
      },
    ],
  ])('%s ends a look with an error, and the store works after it is opened again', async ([, work]) => {
    const name = nextName()
    const store = await open(name)
    await store.append('a', added(1))
    await (await store.append('a', added(9))).commit!.discard()
    await store.append('a', added(2))
    await edit(name, work)
    await expect(store.outbox()).rejects.toMatchObject(isDamaged)
    await expect(idsOf(store, 'a')).rejects.toMatchObject(isDamaged)
    await store.close()
    const again = await open(name)
    await again.append('a', added(3))
    expect(await idsOf(again, 'a')).toContain('id-3')
    expect(await idsOf(again, 'a')).toContain('id-1')
    await again.close()
  })

  test.for(owns)('an own row %s: those who ask for it get an error, appends work', async ([, row]) => {
    const name = nextName()
    const store = await open(name)
    // They are one row: it begins at 1.
    await store.append('a', added(1))
    await store.append('a', added(2))
    await confirmAll(store)
    await store.close()
    await edit(name, ({ own }) => void own.put(row))
    const again = await open(name)
    let lines = 0
    for await (const line of exportEvents(again as never)) lines += Number(line.includes('Added'))
    expect(lines).toBe(2)
    await expect(again.ownCommit('id-1')).rejects.toMatchObject(isDamaged)
    await again.append('a', added(3))
    expect(await idsOf(again, 'a')).toEqual(['id-1', 'id-2', 'id-3'])
    await again.close()
  })

  test('what is confirmed can be exported although the outbox is damaged', async () => {
    const name = nextName()
    const store = await open(name)
    await store.append('a', added(1))
    await confirmAll(store)
    await store.append('a', added(2))
    await store.close()
    await edit(name, ({ outbox }) => void outbox.put({ n: 2, events: [] }))
    const again = await open(name)
    const lines: string[] = []
    for await (const line of exportEvents(again as never)) lines.push(line)
    const local = await openEventStore({ name: nextName() })
    expect(await importEvents(local, lines)).toMatchObject({ imported: 1, position: 1 })
    await local.close()
    await again.close()
  })

  test('a commit that is put there while a change is being stored stops the change', async () => {
    const name = nextName()
    const store = await open(name)
    await store.append('a', added(1))
    const { storage } = syncPartsOf(store)
    const from = await storage.load()
    await edit(name, ({ outbox }) => void outbox.put({ n: 7, events: 'none' }))
    const changed = storage.change(from, (snapshot) => {
      const draft = new OutboxDraft(snapshot)
      draft.remove(snapshot.outbox[0]!)
      return draft.change()
    })
    await expect(changed).rejects.toMatchObject(isDamaged)
    expect(Object.values((await dumpDatabase(databaseOf(name))).stores['outbox']!.rows)).toHaveLength(2)
    await store.close()
  })

  test('syncing a damaged store sends nothing, and says so', async () => {
    const server = testSyncServer()
    const name = nextName()
    const first = await open(name)
    await first.append('a', added(1))
    await first.close()
    await editRow(name, () => ({ events: [null] }))
    const store = await openSyncedStore({ name, url: server.url, fetch: server.connection().fetch })
    const sync = startSync(store)
    await expect.poll(() => sync.status.getSnapshot()).toMatchObject({ status: 'waiting', reason: 'storage-failed' })
    expect(await server.log()).toEqual([])
    await sync.stop()
    await store.close()
  })
}

function otherKinds(): void {
  describe.each(['closed', 'open'] as const)('a store of the other kind, %s', (when) => {
    test('openSyncedStore refuses the name of a local store, says what to do, and leaves it as it is', async () => {
      const name = nextName()
      const local = await openEventStore({ name })
      await local.append('a', added(1))
      if (when === 'closed') await local.close()
      const before = await dumpDatabase(databaseOf(name))
      const refused = open(name)
      await expect(refused).rejects.toMatchObject({ code: 'invalid-argument' })
      await expect(refused).rejects.toThrow(/^name .+another name.+adoptStore/)
      expect(await dumpDatabase(databaseOf(name))).toEqual(before)
      const again = when === 'closed' ? await openEventStore({ name }) : local
      await again.append('a', added(2))
      expect(await idsOf(again as never, 'a')).toEqual(['id-1', 'id-2'])
      await again.close()
    })

    test('N114: openEventStore refuses the name of a synced store, says what to do, and leaves it as it is', async () => {
      const name = nextName()
      const synced = await open(name)
      await synced.append('a', added(1))
      if (when === 'closed') await synced.close()
      const before = await dumpDatabase(databaseOf(name))
      const refused = openEventStore({ name })
      await expect(refused).rejects.toMatchObject({
        code: 'unsupported-format',
        reason: 'synced',
        outcome: 'not-written',
      })
      await expect(refused).rejects.toThrow(/openSyncedStore\(\) of tidemark\/sync/)
      expect(await dumpDatabase(databaseOf(name))).toEqual(before)
      const again = when === 'closed' ? await open(name) : synced
      await again.append('a', added(2))
      expect(await idsOf(again, 'a')).toEqual(['id-1', 'id-2'])
      await again.close()
    })
  })
}
