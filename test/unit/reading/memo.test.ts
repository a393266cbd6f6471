// For how long a live query is the same object: what holds it, and that garbage is collected once nothing does.
import v8 from 'node:v8'
import vm from 'node:vm'
import { expect, test } from 'vitest'
import { openReadModel, runProjection, tidemark, type LiveQuery } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { Memo } from '../../../src/reading/memo.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { events, memoryStore, model } from '../read-model/support.js'

v8.setFlagsFromString('--expose_gc')
const gc = vm.runInNewContext('gc') as () => void

/** Collects garbage until `isGone`, or some times: what was looked at in a task lives until its end. */
async function collected(isGone: () => boolean): Promise<boolean> {
  for (let round = 0; round < 10; round += 1) {
    await new Promise((resolve) => setImmediate(resolve))
    gc()
    if (isGone()) return true
  }
  return false
}

/** An object that nothing holds, made in a function of its own. */
const dropped = (): WeakRef<object> => new WeakRef({})

/** Collects all that nothing holds: until what was dropped now, and then what was dropped after that, is gone. */
async function allCollected(): Promise<void> {
  for (let round = 0; round < 2; round += 1) {
    const witness = dropped()
    expect(await collected(() => witness.deref() === undefined)).toBe(true)
  }
}

/** A memo of plain objects; each look at an object is in a function of its own, so that nothing here holds it. */
function memoOf() {
  const clock = virtualClock()
  const memo = new Memo<{ used(): void }>(clock)
  // A query holds what is to be called after each use, and nothing else does.
  const use = (key: string): WeakRef<{ used(): void }> => new WeakRef(memo.get(key, (used) => ({ used })))
  return { clock, memo, use }
}

/** Those of them that are gone. */
const gone = (refs: readonly WeakRef<object>[]) => refs.flatMap((ref, at) => (ref.deref() === undefined ? [at] : []))

test('a query that nothing else holds is held for 30 s after its last use, and then goes', async () => {
  const { clock, use } = memoOf()
  const first = use('a')
  await clock.advance(20_000)
  expect(use('a').deref()).toBe(first.deref())
  await clock.advance(29_999)
  await allCollected()
  expect(first.deref()).toBeDefined()
  await clock.advance(1)
  expect(await collected(() => first.deref() === undefined)).toBe(true)
  expect(clock.pending).toBe(0)
})

test('256 queries are held, those that were used last, and each by its own time', async () => {
  const { clock, use } = memoOf()
  const refs = Array.from({ length: 258 }, (_, at) => use(`${at}`))
  expect(await collected(() => gone(refs).length >= 2)).toBe(true)
  expect(gone(refs)).toEqual([0, 1])
  // The oldest one is used again, so that the next one goes.
  use('2')
  use('new')
  expect(await collected(() => gone(refs).length >= 3)).toBe(true)
  expect(gone(refs)).toEqual([0, 1, 3])
  await clock.advance(15_000)
  use('200')
  await clock.advance(15_000)
  expect(await collected(() => gone(refs).length >= 257)).toBe(true)
  expect(refs.filter((ref) => ref.deref() !== undefined)).toEqual([refs[200]])
  await clock.advance(15_000)
  expect(await collected(() => gone(refs).length === 258)).toBe(true)
})

test('a memo that is closed holds nothing, and waits for nothing', async () => {
  const { clock, memo, use } = memoOf()
  const ref = use('a')
  memo.close()
  expect(clock.pending).toBe(0)
  expect(await collected(() => ref.deref() === undefined)).toBe(true)
  const later = use('b')
  later.deref()?.used()
  expect(clock.pending).toBe(0)
  expect(await collected(() => later.deref() === undefined)).toBe(true)
})

test('where hundreds of queries are gone, another one is still the same', async () => {
  const { clock, memo, use } = memoOf()
  const kept = memo.get('kept', (used) => ({ used }))
  const refs: WeakRef<object>[] = []
  for (let round = 0; round < 4; round += 1) {
    for (let at = 0; at < 300; at += 1) refs.push(use(`${round} ${at}`))
    await clock.advance(30_000)
    await collected(() => gone(refs).length === refs.length)
  }
  expect(gone(refs)).toHaveLength(1_200)
  expect(memo.get('kept', (used) => ({ used }))).toBe(kept)
})

/** A live query over one row, and whether `make` still returns the first one. */
const queries = [
  [
    'a view',
    async (clock: ReturnType<typeof virtualClock>) => {
      const store = await memoryStore(1)
      await runProjection(store, model())
      const view = await openReadModel(store, model(), { clock })
      return { make: () => view.rows.liveRow('a') as LiveQuery<unknown>, close: () => view.close() }
    },
  ],
  [
    'an app',
    async (clock: ReturnType<typeof virtualClock>) => {
      const app = tidemark({ name: 'memo', events, models: { model: model() }, clock, open: openEventStore })
      return {
        make: () => app.model.rows.liveRow('a') as LiveQuery<unknown>,
        close: () => clock.runUntil(app.close()),
      }
    },
  ],
] as const

test.for(queries)('a live query of %s lives while it has a subscriber, and for 30 s after that', async ([, open]) => {
  const clock = virtualClock()
  const { make, close } = await open(clock)
  const first = () => new WeakRef(make())
  const ref = first()
  let stop: (() => void) | undefined = make().subscribe(() => {})
  await clock.advance(120_000)
  await allCollected()
  expect(ref.deref()).toBeDefined()
  expect(make()).toBe(ref.deref())
  expect(make().getSnapshot().status).toBe('ready')
  await clock.advance(120_000)
  stop()
  stop = undefined
  await clock.advance(29_000)
  await allCollected()
  expect(ref.deref()).toBeDefined()
  await clock.advance(1_000)
  expect(await collected(() => ref.deref() === undefined)).toBe(true)
  await close()
})

test.for(queries)('a render over %s that was thrown away comes back for a query that is ready', async ([, open]) => {
  const clock = virtualClock()
  const { make, close } = await open(clock)
  /** As a component that suspends: shows what is there, or throws the promise. */
  const render = (): Promise<unknown> | 'shown' => {
    const query = make()
    return query.getSnapshot().status === 'ready' ? 'shown' : query.ready()
  }
  const thrown = render()
  expect(thrown).toBeInstanceOf(Promise)
  await clock.runUntil(Promise.resolve(thrown))
  await allCollected()
  expect(render()).toBe('shown')
  // It comes back late: at first for a query that rests, and then for a new one, but not again and again.
  for (const late of [29_000, 60_000]) {
    await clock.advance(late)
    await allCollected()
    let renders = 0
    for (let next = render(); next !== 'shown' && renders < 3; next = render()) {
      renders += 1
      await clock.runUntil(next)
      await allCollected()
    }
    expect(renders).toBeLessThanOrEqual(1)
  }
  await close()
})

test('a query lives while it runs, however long that takes', async () => {
  const clock = virtualClock()
  const store = await memoryStore(1)
  await runProjection(store, model())
  const view = await openReadModel(store, model(), { clock })
  let release = () => {}
  const held = new Promise<void>((resolve) => (release = resolve))
  const make = () =>
    view.live(['slow'], async ({ rows }) => {
      await held
      return rows.count()
    })
  const run = () => {
    const live = make()
    void live.ready()
    return new WeakRef(live)
  }
  const ref = run()
  await clock.advance(29_999)
  await allCollected()
  expect(ref.deref()).toBeDefined()
  release()
  expect(await make().ready()).toBe(1)
  await view.close()
})
