// A misspelt option would be ignored, and so widen what it should narrow: it is refused wherever something is run, waited for or read.
import { expect, test } from 'vitest'
import {
  defineProjection,
  liveProjection,
  openReadModel,
  runProjection,
  startProjection,
  verifyReadModel,
  type ProjectionOptions,
} from 'tidemark'
import { events, memoryStore, model } from './support.js'

const invalid = (message: string) =>
  expect.objectContaining({
    name: 'InvalidArgumentError',
    code: 'invalid-argument',
    message: expect.stringContaining(message),
  })
const signal = new AbortController()

test.for<[given: unknown, message: string]>([
  [{ Mode: 'continuous' }, "options has no property 'Mode'. It may have poll, batch, budget, retry,"],
  [[], 'options must be an object'],
  [
    { poll: { intervall: 4 } },
    "poll has no property 'intervall'. It may have interval, emptyBackoff, failureBackoff, maxConsecutiveFailures.",
  ],
  [{ retry: { max: 3 } }, "retry has no property 'max'. It may have maxRetries, delay, multiplier, maxDelay, jitter."],
  [{ batch: { maxevents: 3 } }, "batch has no property 'maxevents'. It may have maxEvents, maxCharacters, maxTime."],
  [{ budget: { time: 4 } }, "budget has no property 'time'. It may have maxTime, maxEvents."],
  [{ poll: null }, 'poll must be an object'],
  [{ signal }, 'signal must be an AbortSignal'],
  [{ onReport: 5 }, 'onReport must be a function'],
  [{ clock: 5 }, 'clock must be a Clock'],
])('a run with %o is refused, and leaves nothing behind', async ([given, message]) => {
  const store = await memoryStore(1)
  const config = given as ProjectionOptions
  await expect(runProjection(store, model(), config)).rejects.toEqual(invalid(message))
  expect(() => startProjection(store, model(), config)).toThrow(invalid(message))
  expect(await runProjection(store, model())).toMatchObject({ reason: 'caught-up', applied: 1 })
  await store.close()
})

test('so are the options of a handle, a view, a check and a live projection', async () => {
  const store = await memoryStore(1)
  const projection = startProjection(store, model())
  for (const [options, message] of [
    [{ timeOut: 4 }, "options has no property 'timeOut'. It may have signal, timeout, onTimeout."],
    [{ onTimeout: 'Stale' }, "onTimeout must be 'throw' or 'stale'"],
    [{ signal }, 'signal must be an AbortSignal'],
    [null, 'options must be an object'],
  ] as const)
    await expect(projection.caughtUp(1, options as object)).rejects.toEqual(invalid(message))
  for (const [options, message] of [
    [{ until: 'complete' }, "options has no property 'until'. It may have wait, signal."],
    [{ wait: 1 }, 'wait must be true or false'],
    [{ signal }, 'signal must be an AbortSignal'],
    [null, 'options must be an object'],
  ] as const)
    await expect(projection.rebuild(options as object)).rejects.toEqual(invalid(message))
  await expect(openReadModel(store, model(), { Clock: 1 } as object)).rejects.toEqual(
    invalid("options has no property 'Clock'. It may have clock."),
  )
  await expect(verifyReadModel(store, model(), { signal } as object)).rejects.toEqual(
    invalid('signal must be an AbortSignal'),
  )
  for (const [specification, message] of [
    [{ initial: 0, on: {}, filters: {} }, "has no property 'filters'. It may have initial, on, filter, clock."],
    [{ initial: 0 }, 'on must be { type: fold }'],
    [null, 'must be an object'],
  ] as const)
    expect(() => liveProjection(store, specification as never)).toThrow(invalid(message))
  await projection.stop()
  await store.close()
})

test.for<[given: object, message: string]>([
  [{ on: null }, 'on must be an object'],
  [{ fold: null }, 'fold must be an object'],
  [{ filter: null }, 'filter must be an object'],
  [{ onFailure: 'skip' }, 'onFailure must be a function'],
  [
    { fold: { rows: { key: () => 1, evolve: () => null, filter: {} } } },
    "fold.rows has no property 'filter'. It may have key, evolve.",
  ],
])('and of a definition: %o', ([given, message]) => {
  expect(() =>
    defineProjection(events, { name: 'x', tables: { rows: { key: 'id' } }, on: { Added() {} }, ...given } as never),
  ).toThrow(invalid(message))
})
