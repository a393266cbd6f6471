// Where two failures meet, or a failure and somebody who acts at once.
import 'fake-indexeddb/auto'
import { describe, expect, test, vi } from 'vitest'
import { runProjection, startProjection } from 'tidemark'
import { MemoryReadModels } from '../../../src/read-model/memory-storage.js'
import { readModelTarget } from '../../../src/read-model/target.js'
import { indexedDbStore, memoryStore, model, poison } from './support.js'

describe.for([['memory', memoryStore], ['fake-indexeddb', indexedDbStore]] as const)('%s', ([, open]) => {
  test('N19: an event that no run came to apply, since each was stopped before, is not blamed', async () => {
    const store = await open(5)
    const seen: number[] = []
    const definition = model({ handler: ({ position }) => void seen.push(position) })
    for (let run = 0; run < 8; run += 1) {
      const stopping = new AbortController()
      await runProjection(definition, store, { signal: stopping.signal, onEvent: ({ type }) => (type === 'read' ? stopping.abort() : undefined) })
    }
    expect(seen).toEqual([])
    expect(await runProjection(definition, store)).toMatchObject({ position: 5, applied: 5 })
    await store.close()
  })

  test('N41: resume() called by whoever hears of the fault is heard', async () => {
    const store = await open(3)
    let broken = true
    const projection = startProjection(model({ handler: ({ position }) => (position === 2 && broken ? poison() : undefined) }), store)
    let resumed: Promise<void> | undefined
    projection.status.subscribe(() => {
      if (projection.status.getSnapshot().phase !== 'faulted') return
      broken = false
      resumed ??= projection.resume()
    })
    await vi.waitFor(() => expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3 }), { timeout: 5_000 })
    await resumed
    await projection.stop()
    await store.close()
  })

  test('P15: a rebuild counts the tries of an event from the first', async () => {
    const store = await open(3)
    let failing = 2
    const counts: number[] = []
    const projection = startProjection(model({
      handler: ({ position }) => (position === 2 && failing-- > 0 ? poison() : undefined),
      onError: (retryCount) => (counts.push(retryCount), 'retry'),
    }), store, { retry: { delay: 1 } })
    await projection.caughtUp(3)
    failing = 2
    await projection.rebuild()
    await vi.waitFor(() => expect(projection.status.getSnapshot()).toMatchObject({ phase: 'live', position: 3 }), { timeout: 5_000 })
    await vi.waitFor(() => expect(counts).toEqual([0, 1, 0, 1]), { timeout: 5_000 })
    await projection.stop()
    await store.close()
  })
})

test('N4, N19: a note that was stored although storing it failed is taken back by the run that lives', async () => {
  const definition = model()
  const storage = new MemoryReadModels().open(definition as never, 'log')
  const { tries } = storage
  vi.spyOn(storage, 'tries').mockImplementation(async (...given) => {
    await tries.apply(storage, given)
    throw new Error('nobody knows whether it happened')
  })
  const target = readModelTarget(definition as never, storage, { head: async () => 9, event: () => Promise.reject(new Error('not asked for')), committed() {}, changed() {} })
  for (const _again of [1, 2]) {
    await target.begin('run')
    await expect(target.tries?.(1)).rejects.toThrow('nobody knows')
  }
  expect(await target.begin('run')).not.toHaveProperty('trying')
})
