/** A misspelt option would be ignored, and so widen what it should narrow: it is refused wherever options are taken. */
import { afterEach, expect, test } from 'vitest'
import {
  defineEvents,
  defineProjection,
  execute,
  liveProjection,
  openReadModel,
  runProjection,
  startProjection,
  table,
  type ProjectionHandle,
} from '../../src/index.js'
import { openEventStore } from '../../src/memory/index.js'

type Added = { type: 'Added'; data: { n: number } }
const events = defineEvents<Added>()
const board = defineProjection(events, {
  name: 'board',
  tables: { rows: table<{ id: number }>({ key: 'id' }) },
  on: { Added: () => {} },
})
const command = { streams: ['s'], initial: 0, evolve: () => 0, decide: () => [] }
const projector = { name: 'plain', apply: () => {} }

const running: ProjectionHandle[] = []
afterEach(async () => {
  for (const handle of running.splice(0)) await handle.stop()
})

const started = async () => {
  const handle = startProjection(await openEventStore<Added>({ name: 'm' }), board)
  running.push(handle)
  return handle
}

test.each<[string, () => Promise<unknown>, string]>([
  [
    'an event type',
    async () => defineEvents({ Added: { shema: {} } } as never),
    "events.Added has no property 'shema'. It may have schema, version, upcast.",
  ],
  [
    'a creator',
    async () => events.Added({ n: 1 }, { ids: 'x' } as never),
    "options has no property 'ids'. It may have id, meta.",
  ],
  [
    'execute',
    async () => execute(await openEventStore({ name: 'm' }), command, { signals: 1 } as never),
    "options has no property 'signals'.",
  ],
  [
    'execute, within retry',
    async () => execute(await openEventStore({ name: 'm' }), command, { retry: { maxAttempts: 1 } } as never),
    "retry has no property 'maxAttempts'.",
  ],
  [
    'runProjection',
    async () => runProjection(await openEventStore({ name: 'm' }), projector, { leader: 'wait' } as never),
    "options has no property 'leader'.",
  ],
  [
    'runProjection, within poll',
    async () => runProjection(await openEventStore({ name: 'm' }), projector, { poll: { backoff: 1 } } as never),
    "poll has no property 'backoff'.",
  ],
  [
    'runProjection, within retry',
    async () => runProjection(await openEventStore({ name: 'm' }), projector, { retry: { attempts: 1 } } as never),
    "retry has no property 'attempts'.",
  ],
  [
    'startProjection, within batch',
    async () => startProjection(await openEventStore<Added>({ name: 'm' }), board, { batch: { events: 1 } } as never),
    "batch has no property 'events'.",
  ],
  [
    'startProjection, within budget',
    async () => startProjection(await openEventStore<Added>({ name: 'm' }), board, { budget: { time: 1 } } as never),
    "budget has no property 'time'.",
  ],
  [
    'caughtUp',
    async () => (await started()).caughtUp(0, { timeOut: 1 } as never),
    "options has no property 'timeOut'.",
  ],
  [
    'rebuild',
    async () => (await started()).rebuild({ until: 'complete' } as never),
    "options has no property 'until'.",
  ],
  [
    'liveProjection',
    async () =>
      liveProjection(await openEventStore<Added>({ name: 'm' }), { initial: 0, on: {}, filters: {} } as never),
    "projection has no property 'filters'.",
  ],
  [
    'openReadModel',
    async () => openReadModel(await openEventStore<Added>({ name: 'm' }), board, { clocks: 1 } as never),
    "options has no property 'clocks'.",
  ],
])('%s refuses an option that there is none of', async (_, act, message) => {
  await expect(act()).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringContaining(message) as unknown,
  })
})
