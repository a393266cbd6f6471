/** N22: letters that hold their streams. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  runProjection,
  startProjection,
  verifyReadModel,
  type DeadLetter,
  type ProjectionHandle,
  type RecordedEvent,
} from 'tidemark'
import { added, allOf, fold, newName, rowsOf, sums, type Backend, type Event } from './model.js'

const soon = { timeout: 25_000 }
async function lettersOf(projection: ProjectionHandle): Promise<DeadLetter[]> {
  const letters = []
  for await (const letter of projection.deadLetters()) letters.push(letter)
  return letters
}
const positionsOf = async (projection: ProjectionHandle) =>
  (await lettersOf(projection)).map(({ position }) => position)

/** What is left for letters when the first bad event of a stream holds it. */
function held(log: readonly RecordedEvent<Event>[], isBad: (event: RecordedEvent<Event>) => boolean) {
  const streams = new Set<string>()
  const letters: RecordedEvent<Event>[] = []
  const rest: RecordedEvent<Event>[] = []
  for (const event of log) {
    if (streams.has(event.stream) || isBad(event)) {
      streams.add(event.stream)
      letters.push(event)
    } else rest.push(event)
  }
  return { letters, rest }
}

export function heldStreamsContract({ name, open, shared }: Backend): void {
  describe(`held streams: ${name}`, () => {
    /** Streams `s` and `t` by turns, six events each; the second of `s` fails while `broken`. */
    const setUp = async () => {
      const store = await open(newName())
      for (let at = 0; at < 6; at += 1)
        await store.append([
          { stream: 's', events: [added('s', 1)] },
          { stream: 't', events: [added('t', 1)] },
        ])
      const state = { broken: true, lasts: 0 }
      const bad = ({ position }: { readonly position: number }) => {
        if (position === 12) state.lasts += 1
        return state.broken && position === 3
      }
      const definition = sums({ bad, onFailure: () => 'park-stream' })
      return { store, state, definition }
    }

    test('N22: later events of the stream are parked in order without being tried, and other streams go on', async () => {
      const { store, state, definition } = await setUp()
      const projection = startProjection(store, definition)
      await projection.caughtUp(12, soon)
      const letters = await lettersOf(projection)
      expect(letters).toMatchObject(
        [3, 5, 7, 9, 11].map((position) => ({
          position,
          stream: 's',
          holdsStream: true,
          attempts: position === 3 ? 1 : 0,
        })),
      )
      expect(letters.map(({ errorName }) => errorName)).toEqual([
        'TypeError',
        ...Array<string>(4).fill('StreamBlockedError'),
      ])
      expect(await rowsOf(store, definition)).toEqual([
        { name: 's', count: 1, total: 1 },
        { name: 't', count: 6, total: 6 },
      ])

      // The same run, and one that begins anew, know of it.
      const { position } = await store.append([
        { stream: 's', events: [added('s', 1)] },
        { stream: 't', events: [added('t', 1)] },
      ])
      await projection.caughtUp(position, soon)
      await projection.stop()
      await store.append([
        { stream: 't', events: [added('t', 1)] },
        { stream: 's', events: [added('s', 1)] },
      ])
      state.broken = false
      const again = startProjection(store, definition)
      await again.caughtUp(16, soon)
      expect(await positionsOf(again)).toEqual([3, 5, 7, 9, 11, 13, 16])
      expect(await rowsOf(store, definition)).toMatchObject([{ count: 1 }, { count: 8 }])
      expect(await verifyReadModel(store, definition)).toMatchObject({ ok: true, position: 16 })
      await again.stop()
      await store.close()
    })

    test('N22: a replay drains the stream in order, out of order it is refused, and then the stream is free', async () => {
      const { store, state, definition } = await setUp()
      const projection = startProjection(store, definition)
      await projection.caughtUp(12, soon)
      const [first, second] = await lettersOf(projection)
      await expect(first?.replay()).rejects.toThrow('bad 3')
      await expect(second?.replay()).rejects.toMatchObject({
        code: 'invalid-argument',
        message: expect.stringContaining('position 3'),
      })
      state.broken = false
      await first?.replay()
      // Whoever comes now still waits behind the others.
      const { position } = await store.append({ stream: 's', events: [added('s', 100)] })
      await projection.caughtUp(position, soon)
      const order: number[] = []
      for await (const letter of projection.deadLetters()) {
        order.push(letter.position)
        await letter.replay()
      }
      expect(order).toEqual([5, 7, 9, 11, 13])
      await projection.caughtUp((await store.append({ stream: 's', events: [added('s', 1)] })).position, soon)
      expect(await positionsOf(projection)).toEqual([])
      expect(await rowsOf(store, definition)).toEqual(fold(await allOf(store)))
      expect(await verifyReadModel(store, definition)).toMatchObject({ ok: true })
      await projection.stop()
      await store.close()
    })

    test('N22: discarding its last letter frees a stream for the run that goes on', async () => {
      const { store, definition } = await setUp()
      const projection = startProjection(store, definition)
      await projection.caughtUp(12, soon)
      for (const letter of await lettersOf(projection)) await letter.discard()
      await projection.caughtUp((await store.append({ stream: 's', events: [added('s', 1)] })).position, soon)
      expect(await positionsOf(projection)).toEqual([])
      expect(await rowsOf(store, definition)).toMatchObject([{ name: 's', count: 2 }, { count: 6 }])
      await projection.stop()
      await store.close()
    })

    test('N22: a rebuild decides anew: with a handler that still fails it holds the stream, with one that was mended it does not', async () => {
      const { store, state, definition } = await setUp()
      const projection = startProjection(store, definition)
      await projection.caughtUp(12, soon)
      const rebuilt = async () => {
        const { lasts } = state
        await projection.rebuild({ wait: false })
        await expect
          .poll(() => [state.lasts > lasts, projection.status.getSnapshot().rebuilding], soon)
          .toEqual([true, undefined])
      }
      await rebuilt()
      expect(await positionsOf(projection)).toEqual([3, 5, 7, 9, 11])
      state.broken = false
      await rebuilt()
      expect(await positionsOf(projection)).toEqual([])
      await projection.caughtUp((await store.append({ stream: 's', events: [added('s', 1)] })).position, soon)
      expect(await rowsOf(store, definition)).toEqual(fold(await allOf(store)))
      await projection.stop()
      await store.close()
    })

    test(
      'N22: whatever fails, in runs of any length, letters are a stream from its first bad event on, and rows the fold of the rest',
      { timeout: 120_000 },
      async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(fc.record({ stream: fc.constantFrom('a', 'b', 'c', 'd'), bad: fc.integer({ min: 0, max: 9 }) }), {
              minLength: 1,
              maxLength: 40,
            }),
            fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 8 }),
            async (list, budgets) => {
              const store = await open(newName())
              for (const { stream, bad } of list)
                await store.append({ stream, events: [added(stream, bad === 0 ? 13 : 1)] })
              let broken = true
              const isBad = (event: RecordedEvent<Event>) => event.type === 'Added' && event.data.amount === 13
              const definition = sums({ bad: (event) => broken && isBad(event), onFailure: () => 'park-stream' })
              for (const maxEvents of budgets) await runProjection(store, definition, { budget: { maxEvents } })
              await runProjection(store, definition)
              const log = await allOf(store)
              const { letters, rest } = held(log, isBad)
              const projection = startProjection(store, definition)
              await projection.caughtUp(log.length, soon)
              expect(await positionsOf(projection)).toEqual(letters.map(({ position }) => position))
              expect(await rowsOf(store, definition)).toEqual(fold(rest))
              broken = false
              for (const letter of await lettersOf(projection)) await letter.replay()
              expect(await rowsOf(store, definition)).toEqual(fold(log))
              await projection.stop()
              await store.close()
            },
          ),
          { numRuns: shared ? 15 : 60 },
        )
      },
    )
  })
}
