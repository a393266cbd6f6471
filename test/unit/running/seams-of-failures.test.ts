// Where two failures meet, or a failure and somebody who acts at once.
import { describe, expect, test, vi } from 'vitest'
import {
  defineProjection,
  deleteReadModel,
  runProjection,
  startProjection,
  table,
  verifyReadModel,
  type ProjectionHandle,
  type RecordedEvent,
  type TidemarkStore,
} from 'tidemark'
import { MemoryReadModels } from '../../../src/read-model/memory/memory-storage.js'
import { readModelTarget } from '../../../src/running/read-model-target.js'
import { emptyState, rebuildStarted } from '../../../src/read-model/state.js'
import { packStampOf } from '../../../src/read-model/indexeddb/pack-memory.js'
import { storeInternals } from '../../../src/log/open.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import {
  added,
  codeOf,
  events,
  gate,
  indexedDbStore,
  lettersOf,
  memoryStore,
  model,
  plain,
  poison,
  shown,
  type Event,
} from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

/** Begins a rebuild while the handler is at work on an event, which then fails for good; the rebuild finds it mended. */
async function rebuiltWhileFailing(
  store: TidemarkStore<Event>,
  start: (handler: (event: RecordedEvent<Event>) => Promise<void>) => ProjectionHandle,
  failing: number,
) {
  const [begun, fails] = [gate(), gate()]
  let broken = true
  const projection = start(async ({ position }) => {
    if (position !== failing || !broken) return
    begun.open()
    await fails.passed
    poison()
  })
  await begun.passed
  await projection.rebuild({ wait: false })
  broken = false
  fails.open()
  const head = await store.head()
  await shown(projection.status, ({ phase, position }) => phase === 'live' && position === head)
  await projection.stop()
}

describe.for([
  ['memory', memoryStore],
  ['fake-indexeddb', indexedDbStore],
] as const)('%s', ([, open]) => {
  test('N19: an event that no run came to apply, since each was stopped before, is not blamed', async () => {
    const store = await open(5)
    const seen: number[] = []
    const definition = model({ handler: ({ position }) => void seen.push(position) })
    for (let run = 0; run < 8; run += 1) {
      const stopping = new AbortController()
      await runProjection(store, definition, {
        signal: stopping.signal,
        onReport: ({ type }) => (type === 'read' ? stopping.abort() : undefined),
      })
    }
    expect(seen).toEqual([])
    expect(await runProjection(store, definition)).toMatchObject({ position: 5, applied: 5 })
    await store.close()
  })

  test('N41: resume() called by whoever hears of the fault is heard', async () => {
    const store = await open(3)
    let broken = true
    const projection = startProjection(
      store,
      model({ handler: ({ position }) => (position === 2 && broken ? poison() : undefined) }),
    )
    let resumed: Promise<void> | undefined
    projection.status.subscribe(() => {
      if (projection.status.getSnapshot().phase !== 'faulted') return
      broken = false
      resumed ??= projection.resume()
    })
    await vi.waitFor(() => expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3 }), {
      timeout: 5_000,
    })
    await resumed
    await projection.stop()
    await store.close()
  })

  test.for(['resume', 'skip', 'rebuild'] as const)(
    'N41: %s() called by one who was told that the event failed is heard, also before the run has ended',
    async (how) => {
      for (const kind of ['model', 'plain'] as const) {
        for (let turns = 0; turns <= 12; turns += 1) {
          const store = await open(3)
          let broken = true
          const handler = ({ position }: { position: number }) => (position === 2 && broken ? poison() : undefined)
          const act = async () => {
            broken = false
            for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
            if (how !== 'skip') await projection[how]()
            // Refused until the projection has stopped at that event.
            else while ((await codeOf(projection.skip(2))) !== 'fulfilled');
            // With the fault from before, it would reject.
            await projection.caughtUp(3)
          }
          let acted: Promise<string> | undefined
          const onReport = ({ type }: { type: string }) => {
            if (type === 'event-failed') acted ??= codeOf(act())
          }
          const projection: ProjectionHandle =
            kind === 'model'
              ? startProjection(store, model({ handler }), { onReport })
              : startProjection(store, plain(handler), { onReport })
          await vi.waitFor(() => expect(acted).toBeDefined(), { timeout: 5_000, interval: 1 })
          expect(await acted, `${kind}, after ${turns} turns`).toBe('fulfilled')
          await projection.stop()
          await store.close()
        }
      }
    },
  )

  test('P15: a rebuild counts the tries of an event from the first', async () => {
    const store = await open(3)
    let failing = 2
    const counts: number[] = []
    const projection = startProjection(
      store,
      model({
        handler: ({ position }) => (position === 2 && failing-- > 0 ? poison() : undefined),
        onFailure: (retryCount) => (counts.push(retryCount), 'retry'),
      }),
      { retry: { delay: 1 } },
    )
    await projection.caughtUp(3)
    failing = 2
    await projection.rebuild({ wait: false })
    await vi.waitFor(() => expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3 }), {
      timeout: 5_000,
    })
    await vi.waitFor(() => expect(counts).toEqual([0, 1, 0, 1]), { timeout: 5_000 })
    await projection.stop()
    await store.close()
  })

  test('N19: runs that are stopped while they wait for a retry do not make an innocent event look like one that kills', async () => {
    const store = await open(3)
    let broken = true
    const calls: number[] = []
    const definition = model({
      handler: ({ position }) => (calls.push(position), broken && poison()),
      onFailure: () => 'retry',
    })
    for (let run = 0; run < 8; run += 1) {
      const stopping = new AbortController()
      await runProjection(store, definition, {
        signal: stopping.signal,
        retry: { delay: 60_000 },
        onReport: ({ type }) => (type === 'retrying' ? stopping.abort() : undefined),
      })
    }
    expect(calls).toEqual(Array<number>(8).fill(1))
    broken = false
    expect(await runProjection(store, definition)).toMatchObject({ position: 3, applied: 3 })
    await store.close()
  })

  test('N33, N41: an event that fails for good while a rebuild begins does not stop that rebuild', async () => {
    const store = await open(3)
    await rebuiltWhileFailing(store, (handler) => startProjection(store, model({ handler })), 1)
    expect(await verifyReadModel(store, model())).toMatchObject({ ok: true })
    await store.close()
  })

  test('N41: a rebuild leaves out what was skipped, also where its handler is mended, and the rows are what verifyReadModel expects', async () => {
    const store = await open(3)
    let broken = true
    const definition = model({ handler: ({ position }) => (position === 2 && broken ? poison() : undefined) })
    const projection = startProjection(store, definition)
    await shown(projection.status, ({ phase }) => phase === 'faulted')
    await projection.skip(2)
    await projection.caughtUp(3)
    broken = false
    await projection.rebuild({ wait: false })
    await shown(projection.status, ({ phase, rebuilding }) => phase === 'live' && rebuilding === undefined)
    await projection.stop()
    expect(await verifyReadModel(store, definition)).toMatchObject({ ok: true })
    await store.close()
  })

  test('N20: a letter is replayed whatever its rows hold, as long as nobody touches them', async () => {
    const store = await open(0)
    await store.append({ stream: 's', events: [added('a', 1), added('a', 2)] })
    let broken = true
    const definition = defineProjection(events, {
      name: 'exotic',
      tables: {
        rows: table<{ name: string; seen: Map<number, Uint8Array>; pattern: RegExp; days: Set<number> }>({
          key: 'name',
        }),
      },
      on: {
        Added: async ({ position, data }, { rows }) => {
          if (broken && position === 2) poison()
          await rows.update(data.to, (row) => ({
            name: data.to,
            seen: new Map([...(row?.seen ?? []), [position, new Uint8Array([position])]]),
            pattern: /a/,
            days: new Set([position]),
          }))
        },
      },
      onFailure: () => 'park',
    })
    const projection = startProjection(store, definition)
    await projection.caughtUp(2)
    broken = false
    const [letter] = await lettersOf(projection)
    await letter?.replay()
    expect(await lettersOf(projection)).toEqual([])
    await projection.stop()
    expect(await verifyReadModel(store, definition)).toMatchObject({ ok: true })
    await store.close()
  })

  test.for(['a read model', 'a plain projector'])(
    'a letter of %s that is discarded is not counted any more',
    async (kind) => {
      // No time passes, so nothing is looked at now and then.
      const clock = virtualClock()
      const store = await open(2)
      const handler = ({ position }: { position: number }) => position === 1 && poison()
      const onFailure = () => 'park' as const
      const projection =
        kind === 'a read model'
          ? startProjection(store, model({ handler, onFailure }), { clock })
          : startProjection(
              store,
              plain((event) => void handler(event), onFailure),
              { clock },
            )
      await projection.caughtUp(2)
      await shown(projection.status, ({ deadLetterCount }) => deadLetterCount === 1)
      for (const letter of await lettersOf(projection)) await letter.discard()
      await shown(projection.status, ({ deadLetterCount }) => deadLetterCount === 0)
      await projection.stop()
      await store.close()
    },
  )

  test('letters of a plain projector are refused to be replayed and discarded if its checkpoint store cannot remove any', async () => {
    const store = await open(2)
    const { removeDeadLetter: _removeDeadLetter, ...checkpoints } = store.checkpoints
    let broken = true
    let applied = 0
    const projection = startProjection(
      { ...store, checkpoints } as unknown as TidemarkStore<Event>,
      plain(
        ({ position }) => {
          if (position === 1 && broken) poison()
          applied += 1
        },
        () => 'park',
      ),
    )
    await projection.caughtUp(2)
    broken = false
    const [letter] = await lettersOf(projection)
    const refused = { code: 'invalid-argument', message: expect.stringMatching(/removeDeadLetter/) as string }
    await expect(letter?.replay()).rejects.toMatchObject(refused)
    await expect(letter?.discard()).rejects.toMatchObject(refused)
    // Before anything is done: otherwise each replay would apply the event once more.
    expect([applied, (await lettersOf(projection)).length]).toEqual([1, 1])
    await projection.stop()
    await store.close()
  })

  test('N20: letters of one row may be replayed side by side', async () => {
    const store = await open(30)
    let broken = true
    const definition = model({ handler: () => broken && poison(), onFailure: () => 'park' })
    const projection = startProjection(store, definition)
    await projection.caughtUp(30)
    broken = false
    await Promise.all((await lettersOf(projection)).map((letter) => letter.replay()))
    expect(await lettersOf(projection)).toEqual([])
    await projection.stop()
    expect(await verifyReadModel(store, definition)).toMatchObject({ ok: true })
    await store.close()
  })

  test('deleteReadModel() wakes a projection that stands still', async () => {
    const store = await open(3)
    let broken = true
    const definition = model({ handler: ({ position }) => (position === 2 && broken ? poison() : undefined) })
    const projection = startProjection(store, definition)
    await shown(projection.status, ({ phase }) => phase === 'faulted')
    broken = false
    await deleteReadModel(store, definition)
    await shown(projection.status, ({ phase, position }) => phase === 'live' && position === 3)
    await projection.stop()
    await store.close()
  })

  test('N39: what was applied is stored when an abort comes between two pages', async () => {
    const store = await open(5000)
    const stopping = new AbortController()
    /** Where the first page ends: that of a busy machine is short. */
    let end = 0
    const definition = model({ handler: ({ position }) => void (position === end && stopping.abort()) })
    const result = await runProjection(store, definition, {
      signal: stopping.signal,
      batch: { maxEvents: 100_000, maxTime: 600_000 },
      onReport: (report) => void (report.type === 'read' && end === 0 && (end = report.scannedTo)),
    })
    expect(end).toBeLessThan(5000)
    expect(result).toMatchObject({ reason: 'aborted', position: end, applied: end })
    await store.close()
  })
})

test('a plain projector keeps the letters of a rebuild, whatever is parked while the old ones go', async () => {
  const store = await memoryStore(600)
  const removing = {
    ...store,
    checkpoints: {
      ...store.checkpoints,
      removeDeadLetter: async (...given: Parameters<typeof store.checkpoints.removeDeadLetter>) => {
        // The run gets its turn in between.
        await new Promise((resolve) => setTimeout(resolve))
        return store.checkpoints.removeDeadLetter(...given)
      },
    },
  }
  const projection = startProjection(
    removing,
    plain(poison, () => 'park'),
  )
  await projection.caughtUp(600)
  await Promise.all([projection.rebuild({ wait: false }), store.append({ stream: 's', events: [added()] })])
  await shown(projection.status, ({ phase, position }) => phase === 'live' && position === 601)
  await vi.waitFor(async () => expect(await lettersOf(projection)).toHaveLength(601))
  await projection.stop()
})

test('a plain projector that is rebuilt while an event fails begins again', async () => {
  const store = await memoryStore(3)
  await rebuiltWhileFailing(store, (handler) => startProjection(store, plain(handler)), 2)
})

test('N24: a look that began before a rebuild does not end it in the status, so that caughtUp waits for the new rows', async () => {
  const clock = virtualClock()
  const store = await memoryStore(3)
  const [built, slowly] = [gate(), gate()]
  let slow = false
  let rebuilding = false
  const heads: (() => void)[] = []
  const lagging = {
    ...store,
    head: async () => {
      const head = await store.head()
      if (slow) await new Promise<void>((resolve) => heads.push(resolve))
      return head
    },
  }
  const projection = startProjection(
    lagging,
    model({
      handler: async ({ position }) => {
        if (!rebuilding || position !== 3) return
        built.open()
        await slowly.passed
      },
    }),
    { clock },
  )
  await clock.runUntil(projection.caughtUp(3))
  slow = true
  // A hint makes the handle begin its look before the rebuild.
  storeInternals(store).signals.post({ kind: 'control', projection: 'model@1' })
  await clock.advance(0)
  expect(heads).toHaveLength(1)
  slow = false
  rebuilding = true
  const asked = projection.rebuild({ wait: false })
  await clock.runUntil(built.passed)
  const seen: boolean[] = []
  projection.status.subscribe(() => seen.push(projection.status.getSnapshot().rebuilding !== undefined))
  heads[0]?.()
  await clock.advance(0)
  seen.push(projection.status.getSnapshot().rebuilding !== undefined)
  expect(seen).not.toContain(false)
  slowly.open()
  await clock.runUntil(asked)
  await clock.advance(1_000)
  expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3 })
  await clock.runUntil(projection.stop())
})

test('N33: a rebuild that ends where it began is another state of both sides', () => {
  const before = { ...emptyState('log', ''), position: 5, epoch: 7 }
  const building = { ...rebuildStarted(before).after, rebuild: { position: 5, letters: 0 } }
  const { rebuild: _rebuild, ...after } = { ...building, shown: 1 as const }
  for (const side of [0, 1] as const) expect(packStampOf(after, side)).not.toBe(packStampOf(building, side))
})

test('a wait that is refused at once leaves no rejection that nobody hears', async () => {
  const heard: unknown[] = []
  const hear = (reason: unknown) => void heard.push(reason)
  process.on('unhandledRejection', hear)
  const store = await indexedDbStore(1)
  await store.close()
  const projection = startProjection(store, model())
  expect(await codeOf(projection.caughtUp(1, { timeout: -1 }))).toBe('invalid-argument')
  await new Promise((resolve) => setTimeout(resolve, 20))
  process.off('unhandledRejection', hear)
  expect(heard).toEqual([])
  await projection.stop()
})

test('H75: stop() leaves no timer and no listener, also where a handler hangs; a batch that is done lets go when its signal aborts', async () => {
  const clock = virtualClock()
  const store = await memoryStore(1)
  const controller = new AbortController()
  const [add, remove] = [
    vi.spyOn(controller.signal, 'addEventListener'),
    vi.spyOn(controller.signal, 'removeEventListener'),
  ]
  const begun = gate()
  const hanging = startProjection(store, model({ handler: () => (begun.open(), new Promise(() => {})) }), {
    clock,
    signal: controller.signal,
  })
  await begun.passed
  await clock.runUntil(hanging.stop())
  expect(clock.pending).toBe(0)
  expect(remove.mock.calls.length).toBe(add.mock.calls.length)

  const batch = startProjection(store, model(), { mode: 'batch', signal: controller.signal, clock })
  await shown(batch.status, ({ phase }) => phase === 'stopped')
  await batch.pause()
  controller.abort()
  await expect(batch.pause()).rejects.toMatchObject({ code: 'closed' })
  expect(clock.pending).toBe(0)
})

test('N4, N19: a note that was stored although storing it failed is taken back by the run that lives', async () => {
  const definition = model()
  const storage = new MemoryReadModels().open(definition as never, 'log')
  const { move } = storage
  storage.move = async (what, change) => {
    const state = await move.call(storage, what, change)
    if (what === 'noting an event of') throw new Error('nobody knows whether it happened')
    return state
  }
  const target = readModelTarget(definition as never, storage, {
    head: async () => 9,
    event: () => Promise.reject(new Error('not asked for')),
    committed() {},
    changed() {},
  })
  for (const _again of [1, 2]) {
    await target.begin('run')
    await expect(target.tries?.(1)).rejects.toThrow('nobody knows')
  }
  expect(await target.begin('run')).not.toHaveProperty('trying')
})

test.each([
  [1, 'fulfilled', 2],
  [Infinity, 'leadership-lost', 10],
] as const)(
  'N20: a letter whose handler reads a row with a Blob, with a commit in each of %s tries: %s',
  async (commits, outcome, tries) => {
    const store = await indexedDbStore(2)
    let broken = true
    let runs = 0
    const definition = defineProjection(events, {
      name: 'blobs',
      tables: { rows: table<{ name: string; blob: Blob; count: number }>({ key: 'name' }) },
      on: {
        Added: async ({ position, data }, { rows }) => {
          if (broken && position === 2) poison()
          const row = await rows.get(data.to)
          if (position === 2 && (runs += 1) <= commits) {
            const { position: head } = await store.append({ stream: 't', events: [added('b')] })
            await shown(projection.status, ({ position }) => position >= head)
          }
          rows.put({ name: data.to, blob: row?.blob ?? new Blob(['x']), count: (row?.count ?? 0) + 1 })
        },
      },
      onFailure: () => 'park',
    })
    const projection: ProjectionHandle = startProjection(store, definition)
    await projection.caughtUp(2)
    broken = false
    const [letter] = await lettersOf(projection)
    // Two Blobs cannot be compared, so it is not known that the row is the same still.
    expect([await codeOf(letter?.replay() as Promise<void>), runs]).toEqual([outcome, tries])
    expect(await lettersOf(projection)).toHaveLength(outcome === 'fulfilled' ? 0 : 1)
    await projection.stop()
    await store.close()
  },
)
