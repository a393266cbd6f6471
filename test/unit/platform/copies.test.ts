// Two copies of the package in one page, as bundles make them by accident: what works between them works, and else the reason is named.
import { describe, expect, test, vi } from 'vitest'
import * as here from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

vi.resetModules()
const there = await import('tidemark')
const memoryThere = await import('tidemark/memory')

type Event = { type: 'Added'; data: { value: number } }
const added = (value: number): Event => ({ type: 'Added', data: { value } })
const npmLs = expect.stringContaining('another copy of tidemark') as unknown

let count = 0
const media = {
  IndexedDB: () => there.openEventStore({ name: `copies-${(count += 1)}`, events: there.defineEvents<Event>() }),
  memory: () => memoryThere.openEventStore({ name: `copies-${(count += 1)}`, events: there.defineEvents<Event>() }),
} as const

test('they are two', () => {
  expect(there.VersionConflictError).not.toBe(here.VersionConflictError)
})

describe.each(Object.entries(media))('a store of the other copy, in %s', (_, open) => {
  test('conflicts of a command are retried', async () => {
    const store = await open()
    const command = here.defineCommand(here.defineEvents<Event>(), {
      streams: ['s'],
      initial: 0,
      evolve: (sum: number, { data }) => sum + data.value,
      decide: (sum) => [{ stream: 's', type: 'Added', data: { value: sum + 1 } }],
    })
    const between = { ...store }
    let interfered = false
    between.append = async (...asked: [never]) => {
      if (!interfered) {
        interfered = true
        await store.append({ stream: 's', events: [added(10)] })
      }
      return store.append(...asked)
    }
    const retries: unknown[] = []
    const result = await here.execute(between, command, { onRetry: (retry) => retries.push(retry) })
    expect(result).toMatchObject({ type: 'accepted', attempts: 2 })
    expect(retries).toHaveLength(1)
    const values: number[] = []
    for await (const { data } of store.readStream('s')) values.push(data.value)
    expect(values).toEqual([10, 11])
    await store.close()
  })

  test('a refusal made by one is one for the other; an error of the app with such a code is none', async () => {
    const store = await open()
    const refusing = (error: unknown) =>
      here.defineCommand(here.defineEvents<Event>(), {
        streams: ['s'],
        initial: 0,
        evolve: (sum: number) => sum,
        decide: () => {
          throw error
        },
      })
    expect(await here.execute(store, refusing(new there.CommandRefusedError('too late')))).toMatchObject({
      type: 'refused',
      reason: 'too late',
    })
    const own = Object.assign(new Error('mine'), { code: 'command-refused' })
    await expect(here.execute(store, refusing(own))).rejects.toBe(own)
    await store.close()
  })

  test('a plain projector runs over it, is taken over by others, and ends with it', async () => {
    const store = await open()
    await store.append({ stream: 's', events: [added(1), added(2)] })
    let sum = 0
    const projector = { name: 'sum', apply: ({ data }: Event) => void (sum += data.value) }
    await here.runProjection(store as never, projector as never)
    expect(sum).toBe(3)
    // The checkpoint is moved meanwhile: the other copy says so with an error of its own.
    await store.append({ stream: 's', events: [added(4)] })
    const reports: string[] = []
    const moving = {
      name: 'moved',
      apply: async ({ data }: Event) => {
        if (data.value === 1 && reports.length === 0) {
          reports.push('moved')
          await store.checkpoints.save('moved', 1)
        }
      },
    }
    const result = await here
      .runProjection(
        store as never,
        moving as never,
        {
          checkpoint: 'each-event',
          onReport: ({ type }: { type: string }) => type === 'leadership-lost' && reports.push(type),
        } as never,
      )
      .catch((error: unknown) => error)
    expect(result).toMatchObject({ code: 'leadership-lost' })
    // For good, and not tried again for ever.
    const closed = new there.ClosedError('The event store')
    const gone = { ...store, readPage: () => Promise.reject(closed) }
    const ended: unknown = await here
      .runProjection(gone as never, projector as never, { mode: 'continuous' })
      .catch((error: unknown) => error)
    expect(ended).toMatchObject({ code: 'projection-failed', cause: closed })
    // Of a build that this one does not know: no policy may take it away from that build.
    const newer = new there.EventUnreadableError(4, 'too new', undefined, true)
    const ahead = {
      ...store,
      readPage: async () => ({
        events: [{ ...(await store.readPage({ limit: 1 })).events[0], position: 4 }],
        scannedTo: 4,
        head: 4,
      }),
    }
    const failing = {
      name: 'newer',
      apply: () => {
        throw newer
      },
      onFailure: () => 'skip',
    }
    expect(await here.runProjection(ahead as never, failing as never).catch((error: unknown) => error)).toMatchObject({
      code: 'projection-failed',
      cause: newer,
    })
    await store.close()
  })

  test('a read model, and all that looks after a store, says why it cannot', async () => {
    const store = await open()
    const definition = here.defineProjection(here.defineEvents<Event>(), {
      name: 'rows',
      tables: { rows: here.table<{ id: string }>({ key: 'id' }) },
      on: { Added: () => {} },
    })
    for (const attempt of [
      async () => here.runProjection(store as never, definition),
      async () => here.startProjection(store as never, definition).caughtUp(1),
      async () => here.startProjection(store as never, { name: 'plain', apply() {} } as never).caughtUp(1),
      async () => here.openReadModel(store as never, definition),
      async () => here.verifyReadModel(store as never, definition),
      async () => here.deleteReadModel(store as never, definition),
      async () => here.verifyEventStore(store as never),
      async () => here.compactEvents(store as never),
      async () => here.exportEvents(store as never),
      async () => here.importEvents(store as never, []),
      async () => here.importEvents({ ...store } as never, []),
    ])
      await expect(attempt()).rejects.toMatchObject({ code: 'invalid-argument', message: npmLs })
    await store.close()
  })
})

test('a catalogue of the other copy, open or closed, is refused with the reason', async () => {
  for (const catalogue of [there.defineEvents<Event>(), there.defineEvents({ Added: {} })]) {
    await expect(here.openEventStore({ name: 'foreign', events: catalogue as never })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: npmLs,
    })
    await expect(openMemory({ name: 'foreign', events: catalogue as never })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: npmLs,
    })
  }
  for (const none of [{}, null, 7]) {
    await expect(here.openEventStore({ name: 'foreign', events: none as never })).rejects.toMatchObject({
      message: expect.not.stringContaining('another copy') as unknown,
    })
  }
  await expect(here.verifyEventStore({} as never)).rejects.toMatchObject({
    message: expect.not.stringContaining('another copy') as unknown,
  })
})

test('a definition of the other copy is run as one of this', async () => {
  const store = await openMemory({ name: 'definitions', events: here.defineEvents<Event>() })
  const definition = there.defineProjection(there.defineEvents<Event>(), {
    name: 'rows',
    tables: { rows: there.table<{ id: string; value: number }>({ key: 'id' }) },
    on: { Added: ({ id, data }, { rows }) => rows.put({ id, value: data.value }) },
  })
  await store.append({ stream: 's', events: [added(1)] })
  await here.runProjection(store, definition as never)
  const view = (await here.openReadModel(store, definition as never)) as unknown as {
    rows: { getAll(): Promise<{ value: number }[]> }
    close(): Promise<void>
  }
  expect((await view.rows.getAll()).map(({ value }) => value)).toEqual([1])
  await view.close()
  await store.close()
})

test('errors of this copy and of the other have one code', async () => {
  const { hasCode } = await import('../../../src/errors.js')
  expect(
    [new here.ClosedError('a'), new there.ClosedError('a')].map((error) =>
      hasCode(error, 'closed', 'projection-failed'),
    ),
  ).toEqual([true, true])
  expect([undefined, null, 'closed', {}, new Error('closed')].some((error) => hasCode(error, 'closed'))).toBe(false)
})
