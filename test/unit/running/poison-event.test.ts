// What becomes of an event that seems to kill whoever applies it, and who is not to be blamed (N19).
import { expect, test, vi } from 'vitest'
import { runProjection, startProjection } from 'tidemark'
import { settle } from '../../../src/projection/config.js'
import { newRun } from '../../../src/projection/batching.js'
import { runMachine } from '../../../src/projection/runner.js'
import { MemoryReadModels } from '../../../src/read-model/memory/memory-storage.js'
import { readModelTarget } from '../../../src/running/read-model-target.js'
import {
  takeOver,
  tried,
  emptyState,
  committed,
  faulted,
  rebuildStarted,
  pausedOrNot,
  type StateRow,
} from '../../../src/read-model/state.js'
import { added, indexedDbStore, memoryStore, model, newName } from '../read-model/support.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const at = (state: Partial<StateRow>): StateRow => ({ ...emptyState('log', ''), position: 36, owner: 'dead', ...state })
const begins = (before: StateRow, how: Partial<Parameters<typeof takeOver>[2]> = {}) =>
  takeOver(before, 'log', { owner: 'new', seen: before, head: 100, ...how }).after

/** As runs leave it that died: two of them while they applied the event alone. */
async function storeWithSuspect(position: number, count: number) {
  const name = newName()
  const store = await indexedDbStore(count, name)
  await runProjection(store, model(), { budget: { maxEvents: position - 1 } })
  const database = await new Promise<IDBDatabase>((resolve) => {
    const request = indexedDB.open(`tidemark:${name}:model@1`)
    request.onsuccess = () => resolve(request.result)
  })
  const state = database.transaction('tidemark:state', 'readwrite').objectStore('tidemark:state')
  await new Promise((resolve) => {
    state.get('state').onsuccess = ({ target }) => {
      state.put({ ...(target as IDBRequest<StateRow>).result, trying: { position, runs: 2 } }).onsuccess = resolve
    }
  })
  database.close()
  return store
}

test('N19: status names the event and says what to do, the log and other projections go on, and resume() tries it again', async () => {
  const store = await storeWithSuspect(3, 5)
  const seen: number[] = []
  const projection = startProjection(store, model({ handler: ({ position }) => void seen.push(position) }))
  await vi.waitFor(() =>
    expect(projection.status.getSnapshot()).toMatchObject({
      phase: 'faulted',
      position: 2,
      message: expect.stringMatching(/position 3 .*resume\(\).*skip\(3\)/s),
      lastError: { cause: { code: 'poison-event', position: 3 } },
    }),
  )
  expect(seen).toEqual([])
  await store.append({ stream: 's', events: [added()] })
  await projection.resume()
  expect(await projection.caughtUp(await store.head())).toMatchObject({ position: 6 })
  expect(seen).toEqual([3, 4, 5, 6])
  await projection.stop()
  await store.close()
})

test('N19: a run that starts later blames it again without calling the handler, until somebody skips it', async () => {
  const store = await storeWithSuspect(3, 5)
  const seen: number[] = []
  const definition = model({ handler: ({ position }) => void seen.push(position) })
  for (let times = 0; times < 3; times += 1)
    await expect(runProjection(store, definition)).rejects.toMatchObject({
      position: 3,
      cause: { code: 'poison-event' },
    })
  expect(seen).toEqual([])
  const projection = startProjection(store, definition)
  await vi.waitFor(() => expect(projection.status.getSnapshot().phase).toBe('faulted'))
  await projection.skip(3)
  await projection.caughtUp(5)
  expect(seen).toEqual([4, 5])
  await projection.stop()
  await store.close()
})

test('N19: with a letter it can be replayed once its handler is mended', async () => {
  const store = await storeWithSuspect(3, 5)
  const projection = startProjection(store, model({ onFailure: () => 'park' }))
  await projection.caughtUp(5)
  expect(projection.status.getSnapshot()).toMatchObject({ position: 5, deadLetterCount: 1 })
  for await (const letter of projection.deadLetters()) {
    expect(letter).toMatchObject({ position: 3, errorName: 'PoisonEventError' })
    await letter.replay()
  }
  await vi.waitFor(() => expect(projection.status.getSnapshot()).toMatchObject({ deadLetterCount: 0 }))
  await projection.stop()
  await store.close()
})

test('N19: ends are counted from the same position, of other runs, that said nothing, with something to do', () => {
  const first = begins(at({}))
  expect(first.unclean).toEqual({ position: 36, ends: 0 })
  const second = begins({ ...first, owner: 'dead' })
  expect(second.unclean).toEqual({ position: 36, ends: 1 })
  expect(begins(second).unclean).toEqual({ position: 36, ends: 1 })
  expect(begins({ ...second, owner: 'dead', fault: { position: 37, message: '', time: 0 } }).unclean).toEqual({
    position: 36,
    ends: 1,
  })
  expect(begins({ ...second, owner: 'dead', position: 40 }).unclean).toEqual({ position: 40, ends: 0 })
  expect(begins({ ...second, owner: 'dead' }, { head: 36 })).not.toHaveProperty('unclean')
})

test('N19: a run that lived through an event takes its suspicion back, also when somebody else was faster', () => {
  const marked = tried('p', at({}), at({}), 37)
  expect(marked.trying).toEqual({ position: 37, runs: 1 })
  expect(tried('p', marked, marked, 37).trying).toEqual({ position: 37, runs: 2 })
  expect(tried('p', marked, marked, 38).trying).toEqual({ position: 38, runs: 1 })
  expect(begins(marked).trying).toEqual(marked.trying)
  expect(begins(marked, { survived: 37 })).not.toHaveProperty('trying')
  expect(begins({ ...marked, position: 37 })).not.toHaveProperty('trying')
  const fault = { position: 37, message: '', time: 0 }
  expect(faulted(marked, marked, fault, 37)?.after).toEqual({ ...at({}), fault })
  expect(faulted(marked, marked, fault)?.after).toEqual({ ...marked, fault })
  expect(() => tried('p', at({ epoch: 2 }), at({ epoch: 1 }), 37)).toThrow(
    expect.objectContaining({ code: 'leadership-lost' }),
  )
})

test('N19: a commit past the event, a rebuild and resume() forget it; pause() does not', () => {
  const marked = tried('p', begins(at({})), begins(at({})), 37)
  const commit = (position: number, caughtUp: boolean, ends?: number) =>
    committed('p', marked, { from: marked, position, caughtUp, ends, rows: new Map(), letters: [] }).after
  expect(commit(37, false)).not.toHaveProperty('trying')
  expect(commit(36, false).trying).toEqual(marked.trying)
  expect(commit(37, false, 2).unclean).toEqual({ position: 37, ends: 2 })
  expect(commit(37, true, 2)).not.toHaveProperty('unclean')
  for (const after of [rebuildStarted(marked).after, pausedOrNot(marked, false)]) {
    expect(after).not.toHaveProperty('trying')
    expect(after).not.toHaveProperty('unclean')
  }
  expect(pausedOrNot(marked, true)).toEqual({ ...marked, paused: true })
  const rebuilding: StateRow = { ...marked, rebuild: { position: 36, letters: 0 } }
  expect(faulted(rebuilding, rebuilding, { position: 37, message: '', time: 0 })?.after).not.toHaveProperty('trying')
})

/** A batch in one more context. */
const contextRun = (target: object, reader: object, holdsLock: (() => boolean) | undefined = () => true) =>
  runMachine(
    {
      target: target as never,
      ports: { reader: reader as never },
      settings: settle({}, 'batch'),
      owner: 'c',
      run: newRun(),
      report() {},
      holdsLock,
    },
    new AbortController().signal,
  )

/** Contexts on one read model in memory, none of which has a lock. */
function contexts(definition = model()) {
  const models = new MemoryReadModels()
  const open = () => models.open(definition as never, 'log')
  const target = () =>
    readModelTarget(definition as never, open(), {
      head: async () => 5,
      event: () => Promise.reject(new Error('not asked for')),
      committed() {},
      changed() {},
    })
  return { target, trying: async () => (await open().state()).trying }
}

test('N19: whoever begins again was not killed, whoever else began meanwhile; whoever fails was not, either', async () => {
  const { target, trying } = contexts()
  const [first, second] = [target(), target()]
  await first.begin('first')
  await first.tries?.(1)
  await second.begin('second')
  expect(await trying()).toEqual({ position: 1, runs: 1 })
  await expect(first.tries?.(1)).rejects.toMatchObject({ code: 'leadership-lost' })
  await second.tries?.(1)
  expect(await trying()).toEqual({ position: 1, runs: 2 })
  await first.begin('first')
  expect(await trying()).toBeUndefined()
  await first.tries?.(1)
  await first.recordFault?.({ position: 1, message: 'threw', time: 0 })
  expect(await trying()).toBeUndefined()
})

test('N19: runs that ended before they applied anything blame no event, however many: closed while loading, or while the storage failed', async () => {
  const store = await memoryStore(5)
  const { target, trying } = contexts()
  for (let runs = 0; runs < 9; runs += 1) await target().begin(`closed-${runs}`)
  const seen = await contextRun(target(), store)
  expect(seen).toMatchObject({ applied: 5, reason: 'caught-up' })
  expect(await trying()).toBeUndefined()
  await store.close()
})

test('N19: who works beside another one, which may only be slow, blames no event and notes none', async () => {
  const store = await memoryStore(5)
  const { target, trying } = contexts()
  for (const owner of ['a', 'b']) {
    const dead = target()
    await dead.begin(owner)
    await dead.tries?.(1)
  }
  const run = (holdsLock?: () => boolean) => contextRun(target(), store, holdsLock)
  await expect(run(() => true)).rejects.toMatchObject({ position: 1, cause: { code: 'poison-event' } })
  expect(await trying()).toEqual({ position: 1, runs: 2 })
  expect(await run(() => false)).toMatchObject({ applied: 5, reason: 'caught-up' })
  expect(await trying()).toBeUndefined()
  await store.close()
})
