// A misspelt option is refused everywhere: ignored, it would widen what it should narrow.
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  compactEvents,
  defineEvents,
  defineProjection,
  execute,
  exportEvents,
  importEvents,
  liveProjection,
  openEventStore,
  runProjection,
  startProjection,
  verifyEventStore,
  verifyReadModel,
  type ProjectionHandle,
  type TidemarkStore,
} from 'tidemark'
import { faulty, virtualClock } from 'tidemark/testing'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'

fakeIndexedDB()

const events = defineEvents({ A: {} })
const definition = defineProjection(events, { name: 'p', tables: { t: { key: 'id' } }, on: { A() {} } })
const command = { streams: ['s'], initial: 0, evolve: (state: number) => state, decide: () => [] }
let store: TidemarkStore<never>
let handle: ProjectionHandle

beforeAll(async () => {
  store = (await openEventStore({ name: 'options', events })) as never
  handle = startProjection(store, definition as never)
})
afterAll(async () => {
  await handle.stop()
  await store.close()
})

const misspelt: Record<string, () => unknown> = {
  'a creator': () => events.A(1, { ID: 'a' } as never),
  'a creator of any event': () => defineEvents().A!(1, { ID: 'a' } as never),
  'a creator that is called by map': () => [1].map(events.A as never),
  'a definition of an event': () => defineEvents({ A: { schem: {} } as never }),
  execute: () => execute(store, command as never, { durabilty: 'strict' } as never),
  'the retries of execute': () => execute(store, command as never, { retry: { maxAttempt: 1 } as never }),
  'no command': () => execute(store, null as never),
  'a command': () => execute(store, { ...command, discovr: () => ['t'] } as never),
  liveProjection: () => liveProjection(store, { initial: 0, on: {}, filtr: {} } as never),
  'liveProjection without folds': () => liveProjection(store, { initial: 0 } as never),
  runProjection: () => runProjection(store, definition as never, { mod: 'batch' } as never),
  startProjection: () => startProjection(store, definition as never, { leadershp: 'try' } as never),
  ...Object.fromEntries(
    ['poll', 'retry', 'batch', 'budget'].map((part) => [
      `${part} of a run`,
      () => runProjection(store, definition as never, { [part]: { maxx: 1 } } as never),
    ]),
  ),
  'readStream backwards': () => store.readStream('s', { direction: 'backwards', from: 1 } as never),
  follow: () => store.follow({ limit: 1 } as never),
  caughtUp: () => handle.caughtUp(0, { timeot: 1 } as never),
  'what caughtUp does late': () => handle.caughtUp(0, { onTimeout: 'Stale' as never }),
  rebuild: () => handle.rebuild({ weit: false } as never),
  virtualClock: () => virtualClock({ sed: 1 } as never),
  'runUntil of a clock': () => virtualClock().runUntil(Promise.resolve(), { max: 1 } as never),
  faulty: () => faulty(store, { failure: [] } as never),
  'a fault': () => faulty(store, { failures: [{ call: 'append', at: 1, sid: 'after' } as never] }),
  'how likely faulty fails': () => faulty(store, { probabilities: { append: { befor: 1 } as never } }),
}

test.for(Object.entries(misspelt))('an option that there is none of is refused: %s', async ([, call]) => {
  await expect((async () => call())()).rejects.toMatchObject({ code: 'invalid-argument' })
})

const noSignal = { signal: new AbortController() as never }
const signals: Record<string, () => unknown> = {
  execute: () => execute(store, command as never, noSignal),
  runProjection: () => runProjection(store, definition as never, noSignal),
  startProjection: () => startProjection(store, definition as never, noSignal),
  exportEvents: () => exportEvents(store, noSignal),
  importEvents: () => importEvents(store, '', noSignal),
  compactEvents: () => compactEvents(store, noSignal),
  verifyEventStore: () => verifyEventStore(store, noSignal),
  verifyReadModel: () => verifyReadModel(store, definition as never, noSignal),
  caughtUp: () => handle.caughtUp(0, noSignal),
  rebuild: () => handle.rebuild(noSignal),
}

test.for(Object.entries(signals))('a controller in place of its signal is refused: %s', async ([, call]) => {
  await expect((async () => call())()).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringMatching(/^signal must be an AbortSignal\./),
  })
})

test('what is to be called is a function', async () => {
  await expect(execute(store, command as never, { onRetry: 1 as never })).rejects.toMatchObject({
    code: 'invalid-argument',
  })
  await expect(execute(store, { ...command, discover: ['t'] } as never)).rejects.toMatchObject({
    code: 'invalid-argument',
  })
  await expect(importEvents(store, '', { onProgress: 1 as never })).rejects.toMatchObject({ code: 'invalid-argument' })
  await expect(runProjection(store, definition as never, { onReport: 'x' as never })).rejects.toMatchObject({
    code: 'invalid-argument',
  })
})

test('a command that is an instance of a class may hold what it likes', async () => {
  class Nothing {
    readonly account = 's'
    readonly streams = [this.account]
    readonly initial = 0
    evolve(state: number) {
      return state
    }
    decide() {
      return []
    }
  }
  await expect(execute(store, new Nothing() as never)).resolves.toMatchObject({ type: 'accepted' })
})
