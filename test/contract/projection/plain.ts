/** Plain projectors over a store of ours: the rules of the runner, with checkpoints that are stored. */
import { describe, expect, test } from 'vitest'
import { runProjection, startProjection, type FailureStrategy, type ProjectionReport, type Projector } from 'tidemark'
import { virtualClock } from 'tidemark/testing'
import { added, newName, type Backend, type Event } from './model.js'

export function plainProjectorContract({ name, open, shared }: Backend): void {
  describe(`plain projectors: ${name}`, () => {
    const fill = async (amounts: number) => {
      const store = await open(newName())
      await store.append({ stream: 's', events: Array.from({ length: amounts }, (_, index) => added('a', index + 1)) })
      return store
    }
    const collector = (
      fails: (amount: number, attempt: number) => boolean = () => false,
      strategy: (retryCount: number) => FailureStrategy = () => 'fatal',
    ) => {
      const seen: number[] = []
      const counts: number[] = []
      let calls = 0
      const projector: Projector<Event> = {
        name: 'collector',
        filter: { types: ['Added'] },
        apply: (event) => {
          calls += 1
          const { amount } = event.data as { amount: number }
          if (fails(amount, calls)) throw new Error(`no ${amount}`)
          seen.push(amount)
        },
        onFailure: ({ retryCount }) => {
          counts.push(retryCount)
          return strategy(retryCount)
        },
      }
      return { projector, seen, counts, calls: () => calls }
    }
    const quick = { retry: { delay: 1 } }

    test('P1, P11: a batch applies everything once, and a second run nothing', async () => {
      const store = await fill(5)
      const first = collector()
      expect(await runProjection(store, first.projector)).toMatchObject({
        applied: 5,
        position: 5,
        reason: 'caught-up',
      })
      expect(first.seen).toEqual([1, 2, 3, 4, 5])
      expect(await runProjection(store, collector().projector)).toMatchObject({ applied: 0, position: 5 })
      await store.close()
    })
    test('P6: a held lock is a leadership error, and nothing is applied', async () => {
      const store = await fill(1)
      const guard = await store.coordinator.tryAcquire('collector')
      const { projector, seen } = collector()
      await expect(runProjection(store, projector)).rejects.toMatchObject({ code: 'already-running' })
      expect(seen).toEqual([])
      guard?.release()
      await store.close()
    })
    test('P13, N6: fatal keeps what came before and says everything about the event', async () => {
      const store = await fill(5)
      const first = collector((amount) => amount === 3)
      await expect(runProjection(store, first.projector)).rejects.toMatchObject({
        code: 'projection-failed',
        position: 3,
        stream: 's',
        eventType: 'Added',
        attempts: 1,
        cause: { message: 'no 3' },
      })
      expect(first.seen).toEqual([1, 2])
      const second = collector((amount) => amount === 3)
      await expect(runProjection(store, second.projector)).rejects.toMatchObject({ position: 3 })
      expect(second.seen).toEqual([])
      await store.close()
    })
    test('P14: skip goes on, for good', async () => {
      const store = await fill(5)
      const { projector, seen } = collector(
        (amount) => amount === 3,
        () => 'skip',
      )
      expect(await runProjection(store, projector)).toMatchObject({ applied: 4, skipped: 1 })
      expect(seen).toEqual([1, 2, 4, 5])
      await store.close()
    })
    test('P15, P19: retries are counted from 0, and the checkpoint stays before the event', async () => {
      const store = await fill(5)
      const run = collector(
        (amount) => amount === 3,
        () => 'retry',
      )
      await expect(runProjection(store, run.projector, quick)).rejects.toMatchObject({ attempts: 4 })
      expect(run.counts).toEqual([0, 1, 2, 3])
      expect(run.calls()).toBe(6)
      expect(await store.checkpoints.load('collector')).toBe(2)
      await store.close()
    })
    test('P20: what works at last is a success', async () => {
      const store = await fill(3)
      const { projector, seen } = collector(
        (amount, calls) => amount === 2 && calls <= 3,
        () => 'retry',
      )
      expect(await runProjection(store, projector, quick)).toMatchObject({ applied: 3 })
      expect(seen).toEqual([1, 2, 3])
      await store.close()
    })
    test('P26: reads that always fail end a batch after 6 of them', async () => {
      const store = await fill(1)
      let reads = 0
      const broken = { ...store, readPage: () => Promise.reject(new Error(`read ${(reads += 1)}`)) }
      await expect(runProjection(broken, collector().projector, { poll: { failureBackoff: 1 } })).rejects.toMatchObject(
        { code: 'projection-failed', cause: { message: 'read 6' } },
      )
      expect(reads).toBe(6)
      await store.close()
    })
    test('V19: a configuration outside its range is refused', async () => {
      const store = await fill(1)
      for (const config of [
        { retry: { multiplier: 0.5 } },
        { retry: { delay: Number.NaN } },
        { poll: { maxConsecutiveFailures: 0 } },
      ]) {
        await expect(runProjection(store, collector().projector, config)).rejects.toMatchObject({
          code: 'invalid-argument',
        })
      }
      await store.close()
    })
    // Neither clock moves: only what one tells the other can wake it.
    const two = async () => {
      const storeName = newName()
      const store = await open(storeName)
      const other = shared ? await open(storeName) : store
      const seen: number[] = []
      const plain = (): Projector<Event> => ({ name: 'told', apply: ({ position }) => void seen.push(position) })
      const stopping = new AbortController()
      const reports: ProjectionReport['type'][] = []
      const running = runProjection(store, plain(), {
        mode: 'continuous',
        signal: stopping.signal,
        clock: virtualClock(),
        onReport: ({ type }) => void reports.push(type),
      })
      await expect.poll(() => reports).toContain('idle')
      const handle = startProjection(other, plain(), { clock: virtualClock() })
      await expect.poll(() => handle.status.getSnapshot().phase).toBe('standby')
      return {
        store,
        seen,
        handle,
        async end() {
          await handle.stop()
          stopping.abort()
          expect(await running).toMatchObject({ reason: 'aborted' })
          await store.close()
          if (other !== store) await other.close()
        },
      }
    }
    test('commits of runProjection are told: a handle elsewhere follows without looking', async () => {
      const { store, handle, end } = await two()
      const { position } = await store.append({ stream: 's', events: [added('a', 1)] })
      expect(await handle.caughtUp(position)).toMatchObject({ position })
      const later = await store.append({ stream: 's', events: [added('a', 1)] })
      await expect.poll(() => handle.status.getSnapshot().position).toBe(later.position)
      await end()
    })
    test('a handle that stopped at an event goes on once another one has left it out', async () => {
      const store = await fill(3)
      const { projector, seen } = collector((amount) => amount === 2)
      const [first, second] = [startProjection(store, projector), startProjection(store, projector)]
      for (const each of [first, second]) await expect(each.caughtUp(3)).rejects.toMatchObject({ position: 2 })
      await second.skip(2)
      for (const each of [first, second]) await each.caughtUp(3)
      await expect
        .poll(() => [first, second].map(({ status }) => status.getSnapshot().phase).sort())
        .toEqual(['live', 'standby'])
      await second.stop()
      await first.caughtUp((await store.append({ stream: 's', events: [added('a', 4)] })).position)
      expect(seen).toEqual([1, 3, 4])
      await first.stop()
      await store.close()
    })
    test('runProjection hears what a handle elsewhere asks for: a rebuild begins at once', async () => {
      const { store, seen, handle, end } = await two()
      await store.append({ stream: 's', events: [added('a', 1), added('a', 2)] })
      await expect.poll(() => seen).toEqual([1, 2])
      await expect.poll(() => store.checkpoints.load('told')).toBe(2)
      await handle.rebuild({ wait: false })
      await expect.poll(() => seen).toEqual([1, 2, 1, 2])
      await end()
    })
    test.for([Number.NaN, 0.5, -1, '3', {}])(
      'a stored checkpoint that is %j is an integrity error, with its name',
      async (stored) => {
        const store = await fill(3)
        const damaged = { ...store, checkpoints: { ...store.checkpoints, load: async () => stored as number } }
        const { projector, seen } = collector()
        const error = {
          code: 'projection-failed',
          cause: { code: 'log-inconsistent', message: expect.stringContaining("'collector'") },
        }
        await expect(runProjection(damaged, projector)).rejects.toMatchObject(error)
        const handle = startProjection(damaged, projector)
        await expect(handle.caughtUp(3, { timeout: 20_000 })).rejects.toMatchObject(error)
        await handle.stop()
        expect(seen).toEqual([])
        await store.close()
      },
    )
  })
}
