// What a context lacks may be missing, null, or throw when it is asked for: each of them is the same to a store.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  defineEvents,
  defineProjection,
  deleteEventStore,
  openEventStore,
  openReadModel,
  runProjection,
  startProjection,
  table,
  type TidemarkStore,
} from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { given, virtualClock } from 'tidemark/testing'
import { feature } from '../../../src/platform/features.js'
import { nextTask } from '../../../src/platform/tasks.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

type Event = { type: 'Added'; data: { value: number } }
const events = defineEvents<Event>()
const counts = defineProjection(events, {
  name: 'counts',
  version: 2,
  tables: { counts: table<{ id: string; sum: number }>({ key: 'id' }) },
  on: {
    Added: async ({ stream, data }, { counts }) => {
      const before = await counts.get(stream)
      counts.put({ id: stream, sum: (before?.sum ?? 0) + data.value })
    },
  },
})

const replaced: [object, string, PropertyDescriptor | undefined][] = []
/** Sets a property for this test: to a value, or to one that throws. */
function give(owner: object, name: string, value: unknown): void {
  replaced.push([owner, name, Object.getOwnPropertyDescriptor(owner, name)])
  if (value === missing) Reflect.deleteProperty(owner, name)
  else
    Object.defineProperty(owner, name, {
      configurable: true,
      ...(value === throwing
        ? {
            get: () => {
              throw new DOMException('no', 'SecurityError')
            },
          }
        : { value, writable: true }),
    })
}
const missing = Symbol('missing')
const throwing = Symbol('throwing')
const ways = { missing, null: null, throwing } as const

afterEach(() => {
  for (const [owner, name, descriptor] of replaced.splice(0).reverse()) {
    if (descriptor === undefined) Reflect.deleteProperty(owner, name)
    else Object.defineProperty(owner, name, descriptor)
  }
})

let count = 0
/** Everything that asks the context for something. */
async function use(open: typeof openEventStore): Promise<void> {
  const name = `features-${(count += 1)}`
  const store: TidemarkStore<Event> = await open({ name, events })
  const running = startProjection(store, counts)
  const first = await store.append({
    stream: 'a',
    events: [
      { type: 'Added', data: { value: 1 } },
      { type: 'Added', data: { value: 2 } },
    ],
  })
  await running.caughtUp(first.position)
  const view = await openReadModel(store, counts)
  expect(await view.counts.get('a')).toEqual({ id: 'a', sum: 3 })
  await view.close()
  await running.stop()
  await store.append({ stream: 'a', events: [{ type: 'Added', data: { value: 4 } }] })
  await runProjection(store, counts)
  expect(typeof (await store.usage())).toBe('object')
  expect(await store.persist()).toBe('unsupported')
  await store.close()
  if (open === openEventStore) await deleteEventStore(name)
}

const features: [string, (value: unknown) => void][] = [
  ['navigator', (value) => give(globalThis, 'navigator', value)],
  ['navigator.locks', (value) => giveNavigator('locks', value)],
  ['navigator.storage', (value) => giveNavigator('storage', value)],
  ['navigator.userAgent', (value) => giveNavigator('userAgent', value)],
  ['document', (value) => give(globalThis, 'document', value)],
  ['BroadcastChannel', (value) => give(globalThis, 'BroadcastChannel', value)],
  ['MessageChannel', (value) => give(globalThis, 'MessageChannel', value)],
  ['scheduler', (value) => give(globalThis, 'scheduler', value)],
  [
    'crypto.randomUUID',
    (value) =>
      give(globalThis, 'crypto', {
        getRandomValues: (array: Uint32Array) => array.fill(7),
        ...(value === missing
          ? {}
          : {
              randomUUID:
                value === throwing
                  ? () => {
                      throw new Error('insecure')
                    }
                  : value,
            }),
      }),
  ],
  [
    'indexedDB.databases',
    (value) =>
      give(
        globalThis.indexedDB,
        'databases',
        value === throwing
          ? () => Promise.reject(new DOMException('no', 'UnknownError'))
          : value === missing
            ? undefined
            : value,
      ),
  ],
  ['performance', (value) => give(globalThis, 'performance', value)],
  [
    'performance.now',
    (value) =>
      give(
        globalThis,
        'performance',
        value === throwing
          ? {
              now: () => {
                throw new Error('blocked')
              },
            }
          : value === missing
            ? {}
            : { now: value },
      ),
  ],
]
function giveNavigator(name: string, value: unknown): void {
  const navigator = { userAgent: 'test' }
  if (value !== missing) give(navigator, name, value)
  else Reflect.deleteProperty(navigator, name)
  give(globalThis, 'navigator', navigator)
}

for (const [name, set] of features) {
  for (const [way, value] of Object.entries(ways)) {
    test(`${name} is ${way}`, async () => {
      set(value)
      await use(openEventStore)
      await use(openMemory as typeof openEventStore)
    })
  }
}

for (const [way, value] of Object.entries(ways)) {
  test(`indexedDB is ${way}: it is said so, and memory works`, async () => {
    give(globalThis, 'indexedDB', value)
    const error: unknown = await openEventStore({ name: 'none' }).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'storage-unavailable' })
    if (value === throwing) expect(error).toMatchObject({ cause: { name: 'SecurityError' } })
    await expect(deleteEventStore('none')).rejects.toMatchObject({ code: 'storage-unavailable' })
    await use(openMemory as typeof openEventStore)
  })

  test(`crypto is ${way}: it is said what is needed`, async () => {
    vi.resetModules()
    give(globalThis, 'crypto', value)
    // Random words are kept for later ones.
    const { openEventStore: openAgain } = await import('tidemark/memory')
    await expect(openAgain({ name: 'none' })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringContaining('crypto.getRandomValues is missing') as unknown,
    })
  })
}

test('locks that throw when they are asked do not stop a read model from being opened', async () => {
  giveNavigator('locks', {
    request: () => {
      throw new DOMException('no', 'SecurityError')
    },
  })
  const store = await openEventStore({ name: 'no-locks', events })
  const view = await openReadModel(store, counts)
  await view.close()
  await store.close()
})

/** All that Jest and sinon replace, as far as Node has it; but `process.nextTick`, without which no worker of vitest speaks. Nothing here asks for that. */
const timers = [
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'Date',
  'performance',
  'queueMicrotask',
] as const

describe.for([
  ['memory', openMemory as typeof openEventStore],
  ['fake-indexeddb', openEventStore],
] as const)('fake timers that replace everything: %s', ([medium, open]) => {
  beforeEach(() => {
    // The requests of fake-indexeddb are answered with it.
    vi.useFakeTimers({ toFake: medium === 'memory' ? [...timers, 'setImmediate', 'clearImmediate'] : [...timers] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('a store appends, projects, catches up, tells subscribers and live queries, and ends', async () => {
    const store = await open({ name: 'faked', events })
    const heads: number[] = []
    store.subscribe((head) => heads.push(head))
    const running = startProjection(store, counts)
    const view = await openReadModel(store, counts)
    const shown: unknown[] = []
    const live = view.live(({ counts }) => counts.getAll())
    const unsubscribe = live.subscribe(() => {
      const snapshot = live.getSnapshot()
      if (snapshot.status === 'ready') shown.push(snapshot.data)
    })
    for (let n = 1; n <= 3; n += 1) {
      const { position } = await store.append({ stream: 'a', events: [{ type: 'Added', data: { value: n } }] })
      await running.caughtUp(position)
    }
    for (let turns = 0; turns < 100 && JSON.stringify(shown.at(-1)) !== '[{"id":"a","sum":6}]'; turns += 1)
      await nextTask()
    expect(shown.at(-1)).toEqual([{ id: 'a', sum: 6 }])
    expect(heads.at(-1)).toBe(3)
    unsubscribe()
    await running.stop()
    await runProjection(store, counts)
    await view.close()
    await store.close()
  })

  test('a past of the testing kit, and its clock, need no timer', async () => {
    await given<Event>([{ stream: 'a', type: 'Added', data: { value: 1 } }])
      .whenProjected(counts)
      .thenRows({ counts: [{ id: 'a', sum: 1 }] })
    const clock = virtualClock()
    let rung = 0
    clock.schedule(60_000, () => void (rung += 1))
    await clock.advance(60_000)
    expect(rung).toBe(1)
  })

  test('a long projection gives way all the same, with a message channel or without', async () => {
    for (const channel of [undefined, null]) {
      if (channel === null) give(globalThis, 'MessageChannel', null)
      await nextTask()
    }
  })
})

test('a feature is what is found, and nothing where that is null or throws', () => {
  expect(feature(() => 0)).toBe(0)
  expect(feature(() => null)).toBeUndefined()
  expect(
    feature(() => {
      throw new Error('no')
    }),
  ).toBeUndefined()
  expect(feature((here) => here)).toBe(globalThis)
})
