// What runProjection takes: a store, or the three ports.
import { describe, expect, test } from 'vitest'
import { runProjection, startProjection, type EventReader, type PageRequest } from 'tidemark'
import { faulty } from 'tidemark/testing'
import { fakeBackend } from '../projection/fake-backend.js'
import { memoryStore, model } from '../read-model/support.js'

const counting = () => {
  const seen: number[] = []
  return {
    seen,
    projector: { name: 'counting', apply: ({ position }: { position: number }) => void seen.push(position) },
  }
}

describe('a backend of three ports', () => {
  test('runs a plain projector, and keeps its checkpoint', async () => {
    const backend = fakeBackend()
    backend.append(3)
    const { seen, projector } = counting()
    expect(await runProjection(backend, projector)).toMatchObject({ position: 3, applied: 3 })
    expect([seen, backend.positions.get('counting')]).toEqual([[1, 2, 3], 3])
  })

  test('uses its coordinator', async () => {
    const backend = fakeBackend()
    const guard = await backend.coordinator.tryAcquire('counting')
    await expect(runProjection(backend, counting().projector)).rejects.toMatchObject({ code: 'already-running' })
    guard?.release()
    expect(await runProjection(backend, counting().projector)).toMatchObject({ reason: 'caught-up' })
  })

  test('may have a reader that is an instance of a class', async () => {
    const { reader, ...ports } = fakeBackend()
    class Reader implements EventReader {
      readonly #reader = reader
      readPage(request: PageRequest) {
        return this.#reader.readPage(request)
      }
      subscribe(listener: (head: number) => void) {
        return this.#reader.subscribe?.(listener) ?? (() => {})
      }
    }
    ports.append(2)
    expect(await runProjection({ ...ports, reader: new Reader() }, counting().projector)).toMatchObject({ applied: 2 })
  })

  test.for(['checkpoints', 'coordinator'])(
    'is refused before anything is done if %s are not what they should be',
    async (part) => {
      for (const value of [null, undefined, {}])
        await expect(
          runProjection({ ...fakeBackend(), [part]: value } as never, counting().projector),
        ).rejects.toMatchObject({
          code: 'invalid-argument',
        })
    },
  )

  test('runs no read model, and says what does', async () => {
    await expect(runProjection(fakeBackend() as never, model())).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringContaining('openEventStore'),
    })
  })

  test('can be taken from a store, with parts exchanged', async () => {
    const store = await memoryStore(2)
    const { checkpoints, coordinator } = store
    const { seen, projector } = counting()
    await runProjection({ reader: store, checkpoints, coordinator }, projector)
    expect([seen, await checkpoints.load('counting')]).toEqual([[1, 2], 2])
    await store.close()
  })

  test('fails as the test says', async () => {
    const backend = fakeBackend()
    backend.append(1)
    const broken = faulty(backend, {
      failures: [
        { call: 'load', at: 1 },
        { call: 'tryAcquire', at: 2 },
      ],
    })
    await expect(runProjection(broken, counting().projector)).rejects.toMatchObject({ code: 'projection-failed' })
    await expect(runProjection(broken, counting().projector)).rejects.toMatchObject({ code: 'coordination-failed' })
    expect(broken.faults.injected.map(({ call }) => call)).toEqual(['load', 'tryAcquire'])
    expect(await runProjection(broken, counting().projector)).toMatchObject({ applied: 1 })
  })
})

test.for([null, undefined, {}, { readPage: async () => ({}) }])('%o is not a store', async (store) => {
  await expect(runProjection(store as never, counting().projector)).rejects.toMatchObject({ code: 'invalid-argument' })
})

test.for([{ context: 1 }, { checkpoint: 'each-event' }])(
  '%o is an option of plain projectors: a read model refuses it',
  async (options) => {
    const store = await memoryStore(1)
    const refused = {
      code: 'invalid-argument',
      message: expect.stringContaining(`options has no property '${Object.keys(options)[0]}'`),
    }
    await expect(runProjection(store, model(), options as never)).rejects.toMatchObject(refused)
    expect(() => startProjection(store, model(), options as never)).toThrow(expect.objectContaining(refused))
    expect(await runProjection(store, counting().projector, options as never)).toMatchObject({ applied: 1 })
    await store.close()
  },
)

describe('a batch that waits for another runner', () => {
  /** A backend whose lock somebody else has. */
  const taken = async () => {
    const backend = fakeBackend()
    backend.append(3)
    const guard = await backend.coordinator.tryAcquire('counting')
    const run = (budget = {}) =>
      runProjection(backend, counting().projector, { leadership: 'wait', clock: backend.clock, budget })
    return { ...backend, guard, run }
  }

  test('N122: ends when that one has covered the head as of the call, however much is appended meanwhile', async () => {
    const { append, positions, clock, guard, run } = await taken()
    const done = run()
    await clock.advance(10)
    append(5)
    positions.set('counting', 3)
    expect(await clock.runUntil(done)).toMatchObject({ position: 3, applied: 0, reason: 'caught-up' })
    guard?.release()
  })

  test('N122: ends when its time is over, and applies what is left when it gets the lock', async () => {
    const { clock, guard, run } = await taken()
    expect(await clock.runUntil(run({ maxTime: 700 }))).toMatchObject({ position: 0, applied: 0, reason: 'budget' })
    expect(clock.monotonic()).toBe(700)
    const done = run()
    await clock.advance(100)
    guard?.release()
    expect(await clock.runUntil(done)).toMatchObject({ position: 3, applied: 3, reason: 'caught-up' })
  })
})
