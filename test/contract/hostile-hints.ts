/** H63, H68: any script of the origin can post on the channel of a store. Run on fake-indexeddb and in real browsers. */
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import {
  defineEvents,
  defineProjection,
  openEventStore,
  openReadModel,
  runProjection,
  startProjection,
  table,
  type ProjectionReport,
} from 'tidemark'
import { databaseOf } from '../support/raw-database.js'

const seed = 20261125
const payloads = 10_000

/** What a script that knows the protocol may send, and anything else that can be cloned. */
function hostile(): unknown[] {
  const number = fc.oneof(
    fc.constantFrom(Infinity, -Infinity, Number.NaN, -1, -0, 0.5, 2 ** 53, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE),
    fc.maxSafeInteger(),
    fc.double(),
    fc.constantFrom('1', null, undefined, [], {}, true, 1n, new Date(0)),
  )
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom('__proto__', 'constructor', '', 'p', 'p@1', 'x'.repeat(1001), 7, null, undefined, {}),
  )
  const stamp = fc.oneof(
    fc.nat({ max: 9 }).map(String),
    fc.constantFrom('', 'x'.repeat(36), '0:1::0', 'x'.repeat(1001), 7, null, undefined, {}),
  )
  // A list that contains itself, and one that takes for ever to walk through.
  const cyclic: unknown[] = []
  cyclic.push(cyclic, cyclic)
  let wide: unknown = 1
  for (let depth = 0; depth < 60; depth += 1) wide = [wide, wide]
  const part = fc.oneof(number, text, fc.constantFrom<unknown>(cyclic, wide, [1, ['a']], new Uint8Array(2)))
  const row = fc.record(
    {
      key: part,
      keys: fc.oneof(
        part,
        fc.array(fc.tuple(text, fc.array(part))).map((keys) => new Map<unknown, unknown>(keys)),
      ),
    },
    { requiredKeys: [] },
  )
  const changes = fc.oneof(
    fc.constantFrom<unknown>('unknown', new Map(), {}, [], null, undefined, new Set(['streams'])),
    fc
      .array(fc.tuple(fc.constantFrom('streams', '__proto__', 7), fc.oneof(fc.array(row), part)))
      .map((tables) => new Map<unknown, unknown>(tables)),
  )
  const hint = fc.record(
    {
      kind: fc.constantFrom(
        'head',
        'committed',
        'control',
        'hidden-leader',
        'candidate',
        'healing',
        'healed',
        '__proto__',
        'toString',
        7,
      ),
      head: number,
      format: fc.constantFrom(undefined, 0, 1, -1, 'x', Number.NaN),
      position: number,
      projection: fc.oneof({ weight: 9, arbitrary: text }, { weight: 1, arbitrary: fc.constant('counts@1') }),
      tables: fc.oneof(
        fc.array(text),
        fc.constantFrom(
          'tables',
          { length: 5 },
          Array.from({ length: 1001 }, () => 't'),
          null,
        ),
      ),
      revision: number,
      from: stamp,
      to: stamp,
      changes,
    },
    { requiredKeys: [] },
  )
  const anything = fc.anything({
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withBigInt: true,
    withSparseArray: true,
  })
  return fc.sample(fc.oneof({ weight: 3, arbitrary: hint }, { weight: 1, arbitrary: anything }), {
    numRuns: payloads,
    seed,
  })
}

const counts = defineProjection(defineEvents(), {
  name: 'counts',
  tables: { streams: table<{ name: string; events: number }>({ key: 'name' }) },
  fold: {
    streams: {
      key: ({ stream }) => stream,
      evolve: (row, { stream }) => ({ name: stream, events: (row?.events ?? 0) + 1 }),
    },
  },
})

export function hostileHintsContract(): void {
  test(`H63, H68: ${payloads} payloads of a stranger: nothing throws, few reads, true heads only, appends and projections go on (seed ${seed})`, async () => {
    const name = `hostile-${Math.random()}`
    const store = await openEventStore({ name, durability: 'relaxed' })
    const other = await openEventStore({ name, durability: 'relaxed' })
    const heads: number[] = []
    store.subscribe((head) => void heads.push(head))
    const applied: number[] = []
    const reports: ProjectionReport[] = []
    const controller = new AbortController()
    const running = runProjection(
      store,
      { name: 'p', apply: (event) => void applied.push(event.position) },
      {
        mode: 'continuous',
        signal: controller.signal,
        onReport: (report) => void reports.push(report),
      },
    )
    // A read model looks into hints itself, and so does a live query over it in another tab.
    const counted = startProjection(store, counts)
    const view = await openReadModel(other, counts)
    const live = view.live(({ streams }) => streams.get('a'))
    const stopLive = live.subscribe(() => {})
    const append = async (store: typeof other) =>
      (await store.append({ stream: 'a', events: [{ type: 'A', data: null }] })).position
    await append(other)
    await expect.poll(() => [heads.at(-1), applied.at(-1)]).toEqual([1, 1])

    const transactions = vi.spyOn(IDBDatabase.prototype, 'transaction')
    const stranger = new BroadcastChannel(databaseOf(name))
    let sent = 0
    for (const payload of hostile()) {
      try {
        stranger.postMessage(payload)
        sent += 1
      } catch {
        // Not even a stranger can send what cannot be cloned.
      }
      if (sent % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 0))
    }
    const during = await append(store)
    const after = await append(other)
    await expect.poll(() => [heads.at(-1), applied.at(-1)]).toEqual([after, after])
    const opened = transactions.mock.calls.length
    transactions.mockRestore()

    expect(sent).toBeGreaterThan(payloads / 2)
    expect([during, after]).toEqual([2, 3])
    expect(heads.every((head) => head <= 3)).toBe(true)
    expect(applied).toEqual([1, 2, 3])
    await counted.caughtUp(after)
    await expect.poll(() => live.getSnapshot()).toMatchObject({ status: 'ready', data: { name: 'a', events: 3 } })
    stopLive()
    await view.close()
    await counted.stop()
    expect(opened).toBeLessThan(200)
    stranger.close()
    controller.abort()
    expect(await running).toMatchObject({ position: 3, reason: 'aborted' })
    await store.close()
    await other.close()
  })
}
