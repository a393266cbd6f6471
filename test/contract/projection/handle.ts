/** Projections as an app holds them: status, waiting, pausing, letters, rebuilding, live queries. */
import { describe, expect, test } from 'vitest'
import {
  liveProjection,
  openReadModel,
  runProjection,
  startProjection,
  type DeadLetter,
  type ProjectionHandle,
} from 'tidemark'
import { added, allOf, fold, newName, other, rowsOf, sums, type Backend, type Event } from './model.js'

const soon = { timeout: 25_000 }
const lettersOf = async (projection: ProjectionHandle): Promise<DeadLetter[]> => {
  const letters = []
  for await (const letter of projection.deadLetters()) letters.push(letter)
  return letters
}
const phase = (projection: ProjectionHandle) => projection.status.getSnapshot().phase

export function projectionHandleContract({ name, open, shared, onDevice = shared }: Backend): void {
  describe(`projection handles: ${name}`, () => {
    test('N17, N18: a handler that throws leaves nothing behind, park goes on, and N20: a replay applies it once', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: 100 }, () => added('a', 1)) })
      let broken = true
      const definition = sums({ bad: (event) => broken && event.position === 37, onFailure: () => 'park' })
      expect(await runProjection(store, definition)).toMatchObject({ applied: 99, parked: 1, position: 100 })
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 99, total: 99 }])
      const projection = startProjection(store, definition)
      await projection.caughtUp(100, soon)
      const letters = []
      for await (const letter of projection.deadLetters()) letters.push(letter)
      expect(letters).toMatchObject([
        { position: 37, eventType: 'Added', stream: 's', errorName: 'TypeError', attempts: 1 },
      ])
      await expect(letters[0]?.replay()).rejects.toThrow('bad 37')
      broken = false
      await letters[0]?.replay()
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 100, total: 100 }])
      await expect(letters[0]?.replay()).rejects.toMatchObject({ code: 'invalid-argument' })
      const { position } = await store.append({ stream: 's', events: [added('a', 1)] })
      await projection.caughtUp(position, soon)
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 101, total: 101 }])
      await projection.stop()
      await store.close()
    })
    test('a view has its tables by name, and once more together for generic code', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('b', 5)] })
      await runProjection(store, sums())
      const view = await openReadModel(store, sums())
      expect(view.tables.sums).toBe(view.sums)
      const counts: [string, number][] = []
      for (const [name, table] of Object.entries(view.tables)) counts.push([name, await table.count()])
      expect(counts).toEqual(Object.keys(sums().tables).map((name) => [name, name === 'sums' ? 2 : 0]))
      await view.close()
      await store.close()
    })
    test('N24, N26: read your writes, and a live query follows without losing its identity', async () => {
      const store = await open(newName())
      const definition = sums()
      const projection = startProjection(store, definition)
      const view = await openReadModel(store, definition)
      const live = view.live((tables) => tables.sums.getAll({ index: 'byTotal', direction: 'prev', limit: 2 }))
      let changes = 0
      const unsubscribe = live.subscribe(() => (changes += 1))
      const { position } = await store.append({ stream: 's', events: [added('a', 1), added('b', 5), added('c', 3)] })
      expect(await projection.caughtUp(position, soon)).toMatchObject({ position: 3, stale: false })
      await expect
        .poll(() => live.getSnapshot())
        .toMatchObject({ status: 'ready', data: [{ name: 'b' }, { name: 'c' }] })
      const before = live.getSnapshot()
      const { position: later } = await store.append({ stream: 's', events: [other()] })
      await projection.caughtUp(later, soon)
      expect(live.getSnapshot()).toBe(before)
      expect(changes).toBeGreaterThan(0)
      unsubscribe()
      await view.close()
      await projection.stop()
      await store.close()
    })
    test('N27, N40: paused is stored, says so at once, and resume goes on', async () => {
      const store = await open(newName())
      const definition = sums()
      const first = startProjection(store, definition)
      await first.pause()
      await first.stop()
      const second = startProjection(store, definition)
      const { position } = await store.append({ stream: 's', events: [added('a', 1)] })
      await expect.poll(() => second.status.getSnapshot().phase).toBe('paused')
      await expect(second.caughtUp(position)).rejects.toMatchObject({ message: expect.stringContaining('paused') })
      await second.resume()
      await second.caughtUp(position, soon)
      expect(await rowsOf(store, definition)).toEqual([{ name: 'a', count: 1, total: 1 }])
      await second.stop()
      await store.close()
    })
    test('N24, N25: caughtUp waits through the start, and never answers early', async () => {
      const store = await open(newName())
      const { position } = await store.append({ stream: 's', events: [added('a', 1)] })
      let early: string | undefined = 'nothing yet'
      const held = await store.coordinator.tryAcquire('sums@1')
      const projection = startProjection(store, sums())
      const waiting = projection.caughtUp(position).then(() => (early = undefined))
      await expect.poll(() => phase(projection), soon).toBe('standby')
      expect(early).toBe('nothing yet')
      expect(await rowsOf(store, sums())).toEqual([])
      held?.release()
      await waiting
      expect(await rowsOf(store, sums())).toEqual([{ name: 'a', count: 1, total: 1 }])
      expect(await projection.caughtUp(position)).toMatchObject({ position, stale: false })
      await projection.stop()
      await expect(projection.caughtUp(position + 1)).rejects.toMatchObject({ code: 'closed' })
      await store.close()
    })
    test('N27: where an event failed for good, caughtUp says so at once, with the reason', async () => {
      const store = await open(newName())
      const { position } = await store.append({ stream: 's', events: [added('a', 1), added('a', 2)] })
      const projection = startProjection(store, sums({ bad: (event) => event.position === 2 }))
      await expect(projection.caughtUp(position)).rejects.toMatchObject({
        code: 'projection-failed',
        position: 2,
        cause: { message: 'bad 2' },
      })
      expect(projection.status.getSnapshot()).toMatchObject({
        phase: 'faulted',
        position: 1,
        behind: 1,
        leader: false,
        message: expect.stringContaining('bad 2'),
      })
      await projection.stop()
      await store.close()
    })
    test('N46: of two projections over one log, one stops at an event and the other goes on', async () => {
      const store = await open(newName())
      const broken = startProjection(store, sums({ bad: (event) => event.position === 2 }))
      const whole = startProjection(store, { ...sums(), name: 'others' })
      const { position } = await store.append({ stream: 's', events: [added('a', 1), added('a', 2), added('a', 4)] })
      await whole.caughtUp(position, soon)
      await expect(broken.caughtUp(position, soon)).rejects.toMatchObject({ code: 'projection-failed', position: 2 })
      expect(phase(whole)).toBe('live')
      expect(await rowsOf(store, { ...sums(), name: 'others' })).toEqual([{ name: 'a', count: 3, total: 7 }])
      await broken.stop()
      await whole.stop()
      await store.close()
    })
    test('N28: a handler that waits for its own projection is refused at once; others may ask whenever they like', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('b', 1)] })
      const refused: unknown[] = []
      const base = sums()
      const projection: ProjectionHandle = startProjection(store, {
        ...base,
        on: {
          Added: async () => {
            await projection.caughtUp(5).catch((error: unknown) => refused.push(error))
          },
        },
      })
      // Asked again and again, also in the midst of handlers.
      for (let round = 0; round < 50; round += 1) await projection.caughtUp(2, soon)
      expect(refused).toMatchObject([{ code: 'invalid-argument' }, { code: 'invalid-argument' }])
      await projection.stop()
      await store.close()
    })
    test('N29: a timeout throws with position and head, or answers that it is stale', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1)] })
      const projection = startProjection(store, sums())
      await projection.caughtUp(1, soon)
      await expect(projection.caughtUp(9, { timeout: 1 })).rejects.toMatchObject({
        code: 'caught-up-timeout',
        position: 1,
        head: 1,
      })
      expect(await projection.caughtUp(9, { timeout: 1, onTimeout: 'stale' })).toEqual({
        position: 1,
        head: 1,
        stale: true,
      })
      const controller = new AbortController()
      const waiting = projection.caughtUp(9, { signal: controller.signal })
      controller.abort(new Error('enough'))
      await expect(waiting).rejects.toThrow('enough')
      await projection.stop()
      await store.close()
    })
    test('N41: skip leaves out the event it stopped at, and only that one', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), other(), added('a', 2), added('a', 4)] })
      const projection = startProjection(store, sums({ bad: (event) => event.position === 3 }))
      await expect.poll(() => phase(projection), soon).toBe('faulted')
      for (const position of [1, 2, 4])
        await expect(projection.skip(position)).rejects.toMatchObject({ code: 'invalid-argument' })
      await projection.skip(3)
      await projection.caughtUp(4, soon)
      expect(await rowsOf(store, sums())).toEqual([{ name: 'a', count: 2, total: 5 }])
      await expect(projection.skip(3)).rejects.toMatchObject({ code: 'invalid-argument' })
      await projection.stop()
      await store.close()
    })
    test('resume goes on after a fault, with the handler as it is now', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('a', 2)] })
      let broken = true
      const projection = startProjection(store, sums({ bad: (event) => broken && event.position === 2 }))
      await expect.poll(() => phase(projection), soon).toBe('faulted')
      broken = false
      await projection.resume()
      await projection.caughtUp(2, soon)
      expect(await rowsOf(store, sums())).toEqual([{ name: 'a', count: 2, total: 3 }])
      await projection.stop()
      await store.close()
    })
    test('N31, N32: a rebuild is cut short and goes on; old rows stay until the new ones are complete, with what came in between', async () => {
      const store = await open(newName())
      const append = (times: number) =>
        store.append({ stream: 's', events: Array.from({ length: times }, (_, at) => added(`k${at % 7}`, at)) })
      await append(120)
      await runProjection(store, sums())
      const before = await rowsOf(store, sums())
      const first = startProjection(store, sums())
      await first.caughtUp(120, soon)
      await first.pause()
      await first.rebuild({ wait: false })
      await first.stop()
      await append(40)
      const seen: number[] = []
      // Still paused, as the tab left it; the rebuild is still to be done.
      const second = startProjection(store, sums())
      await expect
        .poll(() => second.status.getSnapshot(), soon)
        .toMatchObject({ phase: 'paused', position: 120, rebuilding: { position: 0 } })
      expect(await rowsOf(store, sums())).toEqual(before)
      await second.stop()
      // Killed in the middle: forty events of the rebuild are stored, and nobody sees them yet.
      const held = await store.coordinator.tryAcquire('sums@1')
      const third = startProjection(store, sums())
      await third.resume()
      await third.stop()
      held?.release()
      await runProjection(store, sums(), {
        batch: { maxEvents: 10 },
        budget: { maxEvents: 40 },
        onReport: (report) => void (report.type === 'committed' && seen.push(report.position)),
      })
      expect(seen).toEqual([10, 20, 30, 40])
      expect(await rowsOf(store, sums())).toEqual(before)
      const fourth = startProjection(store, sums())
      await append(3)
      await fourth.caughtUp(163, soon)
      expect(fourth.status.getSnapshot().rebuilding).toBeUndefined()
      expect(await rowsOf(store, sums())).toEqual(fold(await allOf(store)))
      await fourth.stop()
      await store.close()
    })
    test('N33: a rebuild that fails is given up; the old rows stay, go on being kept, and the status says why', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('a', 2)] })
      let broken = false
      const definition = sums({ bad: (event) => broken && event.position === 2 })
      const projection = startProjection(store, definition)
      await projection.caughtUp(2, soon)
      const live = await openReadModel(store, definition)
      broken = true
      await projection.rebuild({ wait: false })
      await expect
        .poll(() => projection.status.getSnapshot().rebuildFault, soon)
        .toMatchObject({ position: 2, message: expect.stringContaining('bad 2') })
      expect(await live.sums.getAll()).toEqual([{ name: 'a', count: 2, total: 3 }])
      const { position } = await store.append({ stream: 's', events: [added('a', 4)] })
      await projection.caughtUp(position, soon)
      expect(await live.sums.getAll()).toEqual([{ name: 'a', count: 3, total: 7 }])
      broken = false
      await projection.rebuild({ wait: false })
      await expect.poll(() => projection.status.getSnapshot().rebuildFault, soon).toBeUndefined()
      await expect.poll(() => projection.status.getSnapshot().rebuilding, soon).toBeUndefined()
      expect(await live.sums.getAll()).toEqual([{ name: 'a', count: 3, total: 7 }])
      await live.close()
      await projection.stop()
      await store.close()
    })
    test('a rebuild of an empty log ends as well', async () => {
      const store = await open(newName())
      const projection = startProjection(store, sums())
      await expect.poll(() => phase(projection), soon).toBe('live')
      await projection.rebuild({ wait: false })
      await expect.poll(() => projection.status.getSnapshot(), soon).toMatchObject({ phase: 'live', position: 0 })
      await expect.poll(() => projection.status.getSnapshot().rebuilding, soon).toBeUndefined()
      await projection.stop()
      await store.close()
    })
    test(
      'N21: letters of many pages are replayed one after the other, in the order of the log',
      { timeout: 240_000 },
      async () => {
        // Where each is several round trips, two pages of them do; where each is a transaction of a browser, three.
        const [count, replayed] = !shared ? [1000, 300] : onDevice ? [520, 80] : [300, 80]
        // Each is a transaction of its own.
        const patient = { timeout: 200_000 }
        const store = await open(newName())
        await store.append({ stream: 's', events: Array.from({ length: count }, (_, at) => added(`k${at % 3}`, at)) })
        let broken = true
        const definition = sums({ bad: () => broken, onFailure: () => 'park' })
        const projection = startProjection(store, definition)
        await projection.caughtUp(count, patient)
        await expect.poll(() => projection.status.getSnapshot().deadLetterCount, patient).toBe(count)
        broken = false
        const positions: number[] = []
        for await (const letter of projection.deadLetters()) {
          positions.push(letter.position)
          if (positions.length <= replayed) await letter.replay()
          else await letter.discard()
        }
        expect(positions).toEqual(Array.from({ length: count }, (_, at) => at + 1))
        expect(await rowsOf(store, definition)).toEqual(fold((await allOf(store)).slice(0, replayed)))
        expect(await lettersOf(projection)).toEqual([])
        await expect.poll(() => projection.status.getSnapshot().deadLetterCount, patient).toBe(0)
        await projection.stop()
        await store.close()
      },
    )
    test('plain projectors: status, caughtUp, letters, pause and skip work as for read models', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [1, 2, 3].map((amount) => added('a', amount)) })
      const seen: number[] = []
      let broken = true
      const projection = startProjection<Event, never>(store, {
        name: 'plain',
        apply: ({ data }) => {
          const { amount } = data as { amount: number }
          if (broken && amount === 2) throw new Error('two')
          seen.push(amount)
        },
        onFailure: () => 'park',
      })
      await projection.caughtUp(3, soon)
      expect(seen).toEqual([1, 3])
      const [letter] = await lettersOf(projection)
      expect(letter).toMatchObject({ position: 2, message: 'two' })
      await expect(letter?.replay()).rejects.toThrow('two')
      broken = false
      await letter?.replay()
      expect([seen, await lettersOf(projection)]).toEqual([[1, 3, 2], []])
      await projection.pause()
      await expect.poll(() => phase(projection), soon).toBe('paused')
      await store.append({ stream: 's', events: [added('a', 4)] })
      await expect(projection.caughtUp(4)).rejects.toMatchObject({ message: expect.stringContaining('paused') })
      await projection.resume()
      await projection.caughtUp(4, soon)
      expect(seen).toEqual([1, 3, 2, 4])
      await projection.stop()
      await store.close()
    })
    test('liveProjection folds while somebody looks, and goes on from where it was', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: 5000 }, () => added('a', 1)) })
      const total = liveProjection(store, { initial: 0, on: { Added: (sum, event) => sum + event.data.amount } })
      expect(total.getSnapshot()).toEqual({ status: 'loading', stale: false })
      const unsubscribe = total.subscribe(() => {})
      await expect
        .poll(() => total.getSnapshot(), soon)
        .toEqual({ status: 'ready', data: 5000, stale: false, position: 5000 })
      const same = total.getSnapshot()
      await store.append({ stream: 's', events: [other()] })
      await store.append({ stream: 's', events: [added('a', 2)] })
      await expect.poll(() => total.getSnapshot(), soon).toMatchObject({ data: 5002 })
      expect(total.getSnapshot()).not.toBe(same)
      unsubscribe()
      await store.append({ stream: 's', events: [added('a', 3)] })
      total.subscribe(() => {})()
      const stop = total.subscribe(() => {})
      await expect.poll(() => total.getSnapshot(), soon).toMatchObject({ data: 5005, position: 5003 })
      stop()
      await store.close()
    })
    test('liveProjection shows what its fold throws', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1)] })
      const broken = liveProjection(store, {
        initial: 0,
        on: {
          Added: () => {
            throw new Error('no')
          },
        },
      })
      const stop = broken.subscribe(() => {})
      await expect.poll(() => broken.getSnapshot(), soon).toMatchObject({ status: 'error', error: { message: 'no' } })
      stop()
      await store.close()
    })
    test('a live query whose reads fall between two commits is run again, so that what it shows belongs together', async () => {
      const store = await open(newName())
      await store.append({ stream: 's', events: [added('a', 1), added('b', 1)] })
      const projection = startProjection(store, sums())
      await projection.caughtUp(2, soon)
      const view = await openReadModel(store, sums())
      let runs = 0
      const both = view.live(async ({ sums }) => {
        runs += 1
        const a = await sums.get('a')
        if (runs === 1)
          await projection.caughtUp(
            (await store.append({ stream: 's', events: [added('a', 1), added('b', 1)] })).position,
            soon,
          )
        return [a?.total, (await sums.get('b'))?.total]
      })
      const values: unknown[] = []
      const stop = both.subscribe(() => values.push(both.getSnapshot()))
      await expect.poll(() => values.length, soon).toBeGreaterThan(0)
      expect(values[0]).toMatchObject({ status: 'ready', data: [2, 2], position: 4 })
      stop()
      await view.close()
      await projection.stop()
      await store.close()
    })
  })
}
