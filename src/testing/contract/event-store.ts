/**
 * What every event store must do, whatever it is stored in. Runs under any test runner:
 *
 * `for (const { name, run } of eventStoreContract(open)) test(name, run)`
 *
 * Typed reads and attempts to change an event have no case here.
 */
import type { EventFilter, EventStore, StreamWrite } from '../../log/event-store.js'
import { collect, equal, ok, rejects } from './assert.js'
import { contractCase, needs, type ContractCase } from './contract-case.js'

/** A store to be tested, empty at first. */
export interface ContractSubject {
  readonly store: EventStore
  /** Closes the store and opens the same log again. Without it the cases about that are skipped. */
  reopen?(): Promise<EventStore>
  /** A second connection to the same log. Without it the cases about that are skipped. */
  another?(): Promise<EventStore>
  /** Closes everything and removes the log. */
  dispose(): Promise<void>
}

const event = (n: number, type = 'Alpha') => ({ type, data: { n } })
const many = (count: number, type?: string) => Array.from({ length: count }, (_, index) => event(index + 1, type))
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)
const ns = (events: readonly { readonly data: unknown }[]) => events.map(({ data }) => (data as { n: number }).n)

/** The cases. Each opens a store of its own. */
export function eventStoreContract(open: () => Promise<ContractSubject>): ContractCase[] {
  const cases: ContractCase[] = []
  const add = (name: string, check: (store: EventStore, subject: ContractSubject) => Promise<void>) => {
    cases.push(contractCase(name, open, (subject) => check(subject.store, subject)))
  }
  for (const part of [
    writing,
    writingShort,
    expecting,
    appendingTwice,
    refusing,
    refusingCalls,
    reading,
    readingBackwards,
    readingPages,
    living,
    following,
  ])
    part(add)
  return cases
}

type Add = (name: string, check: (store: EventStore, subject: ContractSubject) => Promise<void>) => void

/** The events of a stream, by their number. */
const numbers = async (store: EventStore, stream: string) => ns(await collect(store.readStream(stream)))

/** The streams that a filter finds, over all pages. */
const streamsOf = async (store: EventStore, filter: EventFilter) =>
  (await collect(store.read({ filter }))).map(({ stream }) => stream)

/** Puts one event into each stream. */
const fill = async (store: EventStore, streams: readonly string[], type?: string) => {
  await store.append(streams.map((stream, index) => ({ stream, events: [event(index + 1, type)] })))
}

function writingShort(add: Add): void {
  add('S2: events for one stream, in the short form, are appended at the version that is expected', async (store) => {
    const first = await store.append('a', event(1), { expectedVersion: 'no-stream' })
    equal(first, { position: 1, firstPosition: 1, versions: { a: 1 }, duplicate: false }, 'the result')
    await store.append('a', [event(2), event(3)])
    await rejects(() => store.append('a', event(4), { expectedVersion: 1 }), 'version-conflict', 'the append')
    equal(await numbers(store, 'a'), [1, 2, 3], 'the stream')
  })
}

function writing(add: Add): void {
  add('S1: an event appended to an empty store is read back exactly', async (store) => {
    const result = await store.append({
      stream: 'a',
      events: [{ ...event(1), meta: { user: 'u' } }],
      expectedVersion: 0,
    })
    equal(result, { position: 1, firstPosition: 1, versions: { a: 1 }, duplicate: false }, 'the result')
    const [only, ...others] = await collect(store.readStream('a'))
    equal(others, [], 'what else is there')
    ok(
      only !== undefined && typeof only.id === 'string' && only.id !== '' && Number.isFinite(only.time),
      'an id and a time',
    )
    const { id: _id, time: _time, ...rest } = only
    equal(
      rest,
      { type: 'Alpha', data: { n: 1 }, meta: { user: 'u' }, stream: 'a', version: 1, position: 1 },
      'the event',
    )
  })

  add('S2: an old expected version conflicts, saying stream, expected and actual', async (store) => {
    await store.append({ stream: 'a', events: [event(1)] })
    const error = await rejects(
      () => store.append({ stream: 'a', events: [event(2)], expectedVersion: 0 }),
      'version-conflict',
      'the append',
    )
    equal(
      [error['stream'], error['expected'], error['actual'], error['outcome']],
      ['a', 0, 1, 'not-written'],
      'the error',
    )
    equal(await numbers(store, 'a'), [1], 'the stream')
  })

  add('S3: one append over two streams gives each its own events', async (store) => {
    const result = await store.append([
      { stream: 'a', events: [event(1)] },
      { stream: 'b', events: [event(2)] },
    ])
    equal(result, { position: 2, firstPosition: 1, versions: { a: 1, b: 1 }, duplicate: false }, 'the result')
    equal([await numbers(store, 'a'), await numbers(store, 'b')], [[1], [2]], 'the streams')
  })

  add('S4: an unknown stream is empty', async (store) => {
    equal(await numbers(store, 'unknown'), [], 'the stream')
    equal([await store.streamVersion('unknown'), await store.head()], [0, 0], 'version and head')
  })

  add('S5: a conflict on one stream leaves every stream of the append untouched', async (store) => {
    await fill(store, ['a', 'b'])
    const writes = [
      { stream: 'a', events: [event(8)], expectedVersion: 0 },
      { stream: 'b', events: [event(9)], expectedVersion: 1 },
    ]
    await rejects(() => store.append(writes), 'version-conflict', 'the append')
    await rejects(() => store.append([...writes].reverse()), 'version-conflict', 'the append the other way round')
    equal(
      [await store.streamVersion('a'), await store.streamVersion('b'), await store.head()],
      [1, 1, 2],
      'versions and head',
    )
  })

  add('S6: a participant without events is checked, and its conflict keeps the target empty', async (store) => {
    await fill(store, ['a'])
    await rejects(
      () =>
        store.append([
          { stream: 'a', events: [], expectedVersion: 0 },
          { stream: 'b', events: [event(1)], expectedVersion: 0 },
        ]),
      'version-conflict',
      'the append',
    )
    equal(await numbers(store, 'b'), [], 'the target')
  })

  add('S7: a participant without events at the right version lets the append through', async (store) => {
    await fill(store, ['a'])
    const result = await store.append([
      { stream: 'a', events: [], expectedVersion: 1 },
      { stream: 'b', events: [event(1)], expectedVersion: 0 },
    ])
    equal(result.versions, { a: 1, b: 1 }, 'the versions')
  })
}

/** What an append expects of its streams. */
function expecting(add: Add): void {
  add("expectedVersion: a number, 'no-stream', 'stream-exists' and 'any' each mean what they say", async (store) => {
    const append = (expectedVersion: NonNullable<StreamWrite['expectedVersion']>) =>
      store.append({ stream: 'a', events: [event(1)], expectedVersion })
    await rejects(() => append('stream-exists'), 'version-conflict', "'stream-exists' on a new stream")
    await rejects(() => append(1), 'version-conflict', '1 on a new stream')
    await append('no-stream')
    await rejects(() => append('no-stream'), 'version-conflict', "'no-stream' on a stream with events")
    await append('stream-exists')
    await append('any')
    await append(3)
    await rejects(() => append(5), 'version-conflict', 'a version ahead')
    equal(await store.streamVersion('a'), 4, 'the version')
  })

  add('N11: an append without events still checks versions', async (store) => {
    await store.append({ stream: 'a', events: many(2) })
    await rejects(
      () => store.append({ stream: 'a', events: [], expectedVersion: 1 }),
      'version-conflict',
      'the old version',
    )
    const result = await store.append({ stream: 'a', events: [], expectedVersion: 2 })
    equal(
      result,
      { position: 2, firstPosition: 2, versions: { a: 2 }, duplicate: false },
      'the result at the right version',
    )
  })

  add('V10: the same stream twice in one append, expected at the same version, is one append', async (store) => {
    const result = await store.append([
      { stream: 'a', events: [event(1)], expectedVersion: 0 },
      { stream: 'b', events: [event(2)] },
      { stream: 'a', events: [event(3)], expectedVersion: 0 },
    ])
    equal(result.versions, { a: 2, b: 1 }, 'the versions')
    equal(ns(await collect(store.read())), [1, 2, 3], 'the log')
  })

  add('V11: the same stream twice in one append, expected at two versions, is refused', async (store) => {
    await rejects(
      () =>
        store.append([
          { stream: 'a', events: [event(1)], expectedVersion: 0 },
          { stream: 'a', events: [event(2)], expectedVersion: 1 },
        ]),
      ['version-conflict', 'invalid-argument'],
      'the append',
    )
    equal(await store.head(), 0, 'the head')
  })

  add('S14: 250 and 1,200 events in one append are all there, in order', async (store) => {
    for (const count of [250, 1200]) {
      await store.append({ stream: `s-${count}`, events: many(count) })
      equal(await numbers(store, `s-${count}`), upTo(count), 'the stream')
    }
  })

  add('S16: versions and positions are 1, 2, 3 … over many appends, refused ones included', async (store) => {
    for (let round = 1; round <= 12; round += 1) {
      await store.append([
        { stream: 'a', events: many(round % 3) },
        { stream: 'b', events: many(2) },
      ])
      await rejects(
        () => store.append({ stream: 'a', events: [event(0)], expectedVersion: 1000 }),
        'version-conflict',
        'the append',
      )
    }
    const all = await collect(store.read())
    equal(
      all.map(({ position }) => position),
      upTo(36),
      'the positions',
    )
    equal(
      (await collect(store.readStream('a'))).map(({ version }) => version),
      upTo(12),
      'the versions of a',
    )
    equal(
      (await collect(store.readStream('b'))).map(({ version }) => version),
      upTo(24),
      'the versions of b',
    )
    equal([await store.head(), await store.streamVersion('b')], [36, 24], 'head and version')
  })
}

/** Appends that race, that are repeated, and that have a condition. */
function appendingTwice(add: Add): void {
  add('S17: of two appends at the same version one wins, and the other wins after a retry', async (store) => {
    const append = (n: number, expectedVersion: number) =>
      store.append({ stream: 'a', events: [event(n)], expectedVersion })
    const outcomes = await Promise.allSettled([append(1, 0), append(2, 0)])
    equal(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'], 'the outcomes')
    await append(outcomes[0]?.status === 'rejected' ? 1 : 2, 1)
    equal((await numbers(store, 'a')).sort(), [1, 2], 'the stream')
  })

  add('H17: appending the same ids again resolves with the first result and writes nothing', async (store) => {
    const writes = [
      {
        stream: 'a',
        events: [
          { ...event(1), id: 'id-1' },
          { ...event(2), id: 'id-2' },
        ],
        expectedVersion: 0,
      },
      { stream: 'b', events: [{ ...event(3), id: 'id-3' }] },
    ]
    const first = await store.append(writes)
    await store.append({ stream: 'a', events: [event(4)] })
    equal(await store.append(writes), { ...first, duplicate: true }, 'the second result')
    equal(await store.head(), 4, 'the head')
  })

  add('H17: an append of which only some ids are known is refused, and nothing is written', async (store) => {
    await store.append({ stream: 'a', events: [{ ...event(1), id: 'id-1' }] })
    await rejects(
      () =>
        store.append({
          stream: 'a',
          events: [
            { ...event(1), id: 'id-1' },
            { ...event(2), id: 'id-2' },
          ],
        }),
      'invalid-event',
      'the append',
    )
    await rejects(
      () =>
        store.append({
          stream: 'b',
          events: [
            { ...event(1), id: 'same' },
            { ...event(2), id: 'same' },
          ],
        }),
      'invalid-event',
      'an id twice',
    )
    equal(await store.head(), 1, 'the head')
  })

  add('condition: refuses if such an event came after, and only then', async (store) => {
    await store.append([
      { stream: 'a', events: [event(1, 'Alpha')] },
      { stream: 'b', events: [event(2, 'Beta')] },
    ])
    const append = (filter: EventFilter, after: number) =>
      store.append({ stream: 'c', events: [event(3)] }, { condition: { failIfEventsMatch: filter, after } })
    const error = await rejects(() => append({ types: ['Beta'] }, 1), 'condition-failed', 'the append')
    equal([error['position'], error['outcome']], [2, 'not-written'], 'the error')
    await rejects(() => append({ streamPrefix: 'a' }, 0), 'condition-failed', 'the append by prefix')
    equal(await store.head(), 2, 'the head')
    await append({ types: ['Beta'] }, 2)
    await append({ types: ['Gamma'] }, 0)
    equal(await store.head(), 4, 'the head')
  })
}

function refusing(add: Add): void {
  add('H47: data that JSON would change is refused with its path, and nothing is written', async (store) => {
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    const bad: [unknown, string][] = [
      [new Date(0), 'when'],
      [new Map(), 'when'],
      [new Set(), 'when'],
      [() => 1, 'when'],
      [Symbol('s'), 'when'],
      [1n, 'when'],
      [NaN, 'when'],
      [Infinity, 'when'],
      [new (class Money {})(), 'when'],
      [[1, undefined], 'when'],
      [{ deep: [{ x: /r/ }] }, 'deep'],
      [new Uint8Array(2), 'when'],
      [cycle, 'self'],
      [
        {
          get x() {
            throw new Error('no')
          },
        },
        'when',
      ],
    ]
    for (const [value, inPath] of bad) {
      const error = await rejects(
        () => store.append({ stream: 'a', events: [event(1), { type: 'Alpha', data: { when: value } }] }),
        'invalid-event',
        'the append',
      )
      ok(
        typeof error['path'] === 'string' && error['path'].includes('events[1].data') && error['path'].includes(inPath),
        `a path to the offending property, not ${String(error['path'])}`,
      )
      equal(error['outcome'], 'not-written', 'the outcome')
    }
    await rejects(
      () => store.append({ stream: 'a', events: [{ ...event(1), meta: { at: new Date(0) } }] }),
      'invalid-event',
      'bad meta',
    )
    equal(await store.head(), 0, 'the head')
  })

  add('H48: names of Object.prototype are streams and types like any other', async (store) => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']
    for (const [index, name] of names.entries()) {
      equal([await store.streamVersion(name), await numbers(store, name)], [0, []], `the new stream ${name}`)
      const result = await store.append({
        stream: name,
        events: [{ type: name, data: JSON.parse('{"__proto__":{"polluted":true}}') }],
        expectedVersion: 'no-stream',
      })
      equal(Object.entries(result.versions), [[name, 1]], 'the versions')
      const [found, ...others] = await collect(store.read({ filter: { types: [name] } }))
      equal([found?.stream, found?.position, others], [name, index + 1, []], 'what is found by type')
      equal(JSON.stringify(found?.data), '{"__proto__":{"polluted":true}}', 'the data')
      equal(await streamsOf(store, { streamPrefix: name }), [name], 'what is found by prefix')
    }
    equal(({} as { polluted?: unknown }).polluted, undefined, 'an unrelated object')
  })

  add('H50: positions, versions and limits that are no whole numbers are refused', async (store) => {
    await store.append({ stream: 'a', events: many(3) })
    for (const bad of [NaN, Infinity, -Infinity, -1, 1.5, 2 ** 53, '1', new Date(0), null] as number[]) {
      const refused = (what: string, work: () => unknown) =>
        rejects(async () => await work(), 'invalid-argument', `${what} ${String(bad)}`)
      await refused('after', () => store.readPage({ after: bad, limit: 1 }))
      await refused('limit', () => store.readPage({ limit: bad }))
      await refused('read after', () => collect(store.read({ after: bad })))
      await refused('readStream after', () => collect(store.readStream('a', { after: bad })))
      await refused('readStream limit', () => collect(store.readStream('a', { limit: bad })))
      await refused('readStream before', () => collect(store.readStream('a', { before: bad })))
      await refused('read before', () => collect(store.read({ before: bad })))
      await refused('read limit', () => collect(store.read({ limit: bad })))
      await refused('expectedVersion', () => store.append({ stream: 'a', events: [event(1)], expectedVersion: bad }))
      await refused('condition.after', () =>
        store.append({ stream: 'a', events: [event(1)] }, { condition: { failIfEventsMatch: {}, after: bad } }),
      )
    }
    equal(ns((await store.readPage({ after: -0, limit: 1 })).events), [1], 'what is after -0')
    equal(await store.head(), 3, 'the head')
  })
}

/** Names, signals and a store that is closed. */
function refusingCalls(add: Add): void {
  add('V1, V20: stream names that are empty, too long or hold a wildcard are refused', async (store) => {
    for (const stream of ['', '   ', 'x'.repeat(256), 'a*', 'a?', 'a[', 'a]']) {
      await rejects(() => store.append({ stream, events: [event(1)] }), 'invalid-name', `the name '${stream}'`)
    }
    await store.append({ stream: ' a ', events: [event(1)] })
    equal(await numbers(store, 'a'), [1], 'the trimmed stream')
  })

  add('an aborted signal stops an append before anything is written', async (store) => {
    const reason = new Error('left the page')
    let caught: unknown
    await store
      .append({ stream: 'a', events: [event(1)] }, { signal: AbortSignal.abort(reason) })
      .catch((error: unknown) => (caught = error))
    ok(caught === reason, "the signal's reason")
    await rejects(() => store.readPage({ limit: 1, signal: AbortSignal.abort() }), 'AbortError', 'a read')
    equal(await store.head(), 0, 'the head')
  })

  add('a closed store refuses everything, and may be closed twice', async (store) => {
    await store.append({ stream: 'a', events: [event(1)] })
    await store.close()
    await store.close()
    await rejects(() => store.append({ stream: 'a', events: [event(2)] }), 'closed', 'append')
    await rejects(() => store.readPage({ limit: 1 }), 'closed', 'readPage')
    await rejects(async () => await collect(store.readStream('a')), 'closed', 'readStream')
    await rejects(async () => await collect(store.read()), 'closed', 'read')
    await rejects(() => store.head(), 'closed', 'head')
    await rejects(() => store.streamVersion('a'), 'closed', 'streamVersion')
  })
}

function readingBackwards(add: Add): void {
  add('S9: the log and its streams are read backwards, with the same bounds', async (store) => {
    for (const n of upTo(6)) await store.append(n % 2 === 0 ? 'a' : 'b', event(n, n > 4 ? 'Beta' : 'Alpha'))
    const back = { direction: 'backwards' } as const
    equal(ns(await collect(store.read(back))), [6, 5, 4, 3, 2, 1], 'the log')
    equal(ns(await collect(store.read({ ...back, limit: 1 }))), [6], 'the last event')
    equal(ns(await collect(store.read({ ...back, after: 2, before: 5 }))), [4, 3], 'between two positions')
    equal(ns(await collect(store.read({ after: 2, before: 5 }))), [3, 4], 'the same forwards')
    equal(ns(await collect(store.read({ limit: 2, filter: { types: ['Beta'] } }))), [5, 6], 'two that match')
    equal(ns(await collect(store.read({ ...back, filter: { types: ['Alpha'] }, limit: 2 }))), [4, 3], 'the last two')
    equal(ns(await collect(store.read({ ...back, before: 99, limit: 2 }))), [6, 5], 'a bound beyond the head')
    equal(ns(await collect(store.readStream('a', { ...back, limit: 1 }))), [6], 'the last event of a stream')
    equal(ns(await collect(store.readStream('a', { ...back, after: 1, before: 9 }))), [6, 4], 'what is after version 1')
    equal(ns(await collect(store.readStream('a', { ...back, before: 3 }))), [4, 2], 'what is before version 3')
    equal(ns(await collect(store.readStream('a', { before: 3 }))), [2, 4], 'the same forwards')
    equal(ns(await collect(store.readStream('unknown', back))), [], 'an unknown stream')
  })

  add('S9: a direction that there is not is refused', async (store) => {
    const up = { direction: 'up' as 'backwards' }
    await rejects(async () => await collect(store.read(up)), 'invalid-argument', 'read')
    await rejects(async () => await collect(store.readStream('a', up)), 'invalid-argument', 'readStream')
  })
}

function reading(add: Add): void {
  add('S9: a stream is read after a version, and up to a limit', async (store) => {
    await store.append({ stream: 'a', events: many(3) })
    equal(ns(await collect(store.readStream('a', { after: 2 }))), [3], 'what is after 2')
    equal(ns(await collect(store.readStream('a', { after: 1, limit: 1 }))), [2], 'one after 1')
    equal(ns(await collect(store.readStream('a', { after: 9 }))), [], 'what is after the end')
  })

  add('S12: a stream is read in the order of its appends', async (store) => {
    for (const n of upTo(5))
      await store.append([
        { stream: 'a', events: [event(n)] },
        { stream: 'b', events: [event(n)] },
      ])
    equal(await numbers(store, 'a'), upTo(5), 'the stream')
  })

  add('S13: what was read says whether it is empty and how many events it has', async (store) => {
    equal(await store.readPage({ limit: 10 }), { events: [], scannedTo: 0, head: 0 }, 'the empty log')
    await store.append({ stream: 'a', events: [event(1)] })
    equal([await store.head(), (await store.readPage({ limit: 10 })).events.length], [1, 1], 'head and length')
  })

  add('R1: the log is read in the order of the appends over all streams', async (store) => {
    for (const [index, stream] of ['c', 'a', 'b'].entries()) await store.append({ stream, events: [event(index + 1)] })
    equal(
      (await collect(store.read())).map(({ stream }) => stream),
      ['c', 'a', 'b'],
      'the log',
    )
  })

  add('R2, R9: a read after a position excludes it', async (store) => {
    await store.append({ stream: 'a', events: many(5) })
    equal(
      (await store.readPage({ after: 3, limit: 10 })).events.map(({ position }) => position),
      [4, 5],
      'what is after 3',
    )
    equal(ns(await collect(store.read({ after: 1 }))), [2, 3, 4, 5], 'what is after 1')
  })

  add('R3, R4: a prefix is the start of the name, not a part of it', async (store) => {
    await fill(store, ['account-1', 'my-account-2', 'order-1', 'account-2'])
    equal(await streamsOf(store, { streamPrefix: 'account-' }), ['account-1', 'account-2'], 'the streams')
  })

  add('R5: a pattern applies before the limit', async (store) => {
    await fill(
      store,
      upTo(50).map((n) => `order-${n}`),
    )
    await fill(store, ['account-1', 'account-2'])
    const page = await store.readPage({ filter: { streamPattern: 'account-*' }, limit: 10 })
    equal(
      page.events.map(({ stream }) => stream),
      ['account-1', 'account-2'],
      'the streams',
    )
  })

  add('R6, R7: a pattern matches the whole name', async (store) => {
    await fill(store, ['account-x', 'account-xy', 'order-z', 'account-7', 'account-7/sub'])
    equal(await streamsOf(store, { streamPattern: 'account-?' }), ['account-x', 'account-7'], 'one character')
    equal(
      await streamsOf(store, { streamPattern: 'account-[0-9]*' }),
      ['account-7', 'account-7/sub'],
      'a digit, then anything',
    )
  })

  add('R8: a limit returns that number of events, the first ones', async (store) => {
    await store.append({ stream: 'a', events: many(20) })
    const page = await store.readPage({ limit: 10 })
    equal([ns(page.events), page.scannedTo, page.head], [upTo(10), 10, 20], 'the page')
  })

  add('R10: types apply before the limit, and an empty list matches none', async (store) => {
    await store.append({ stream: 'a', events: [...many(5, 'Alpha'), event(6, 'Beta')] })
    equal(ns((await store.readPage({ filter: { types: ['Beta'] }, limit: 3 })).events), [6], 'the page')
    equal(ns(await collect(store.read({ filter: { types: [] } }))), [], 'no type')
  })

  add('H15: a limit of 0 returns nothing', async (store) => {
    await store.append({ stream: 'a', events: many(3) })
    const page = await store.readPage({ limit: 0 })
    equal([page.events, page.head], [[], 3], 'the page')
    equal(await collect(store.readStream('a', { limit: 0 })), [], 'the stream')
  })
}

/** How far a read looks, and what a filter means at its edges. */
function readingPages(add: Add): void {
  add('N9: a prefix is exact code units: no wildcards, no case, no end of the alphabet', async (store) => {
    const names = [
      'a_1',
      'ab1',
      'a%1',
      'A_1',
      'z',
      'z\uffff',
      'z\uffff\uffff!',
      '\u{1f600}-1',
      '\u{1f601}-1',
      '\ue000-1',
    ]
    await fill(store, names)
    for (const prefix of ['a_', 'a%', 'A', 'a', 'z', 'z\uffff', '\uffff', '\u{1f600}', '\ud83d', '\ue000']) {
      equal(
        await streamsOf(store, { streamPrefix: prefix }),
        names.filter((name) => name.startsWith(prefix)),
        `what starts with ${JSON.stringify(prefix)}`,
      )
    }
  })

  add('a prefix and a pattern exclude each other', async (store) => {
    await rejects(
      () => store.readPage({ filter: { streamPrefix: 'a', streamPattern: 'a*' }, limit: 1 }),
      ['invalid-argument', 'invalid-name'],
      'the filter',
    )
  })

  add('a filter over 2,500 events finds every match, page after page', async (store) => {
    const events = upTo(2500).map((n) => event(n, n % 7 === 0 ? 'Beta' : 'Alpha'))
    for (let at = 0; at < 2500; at += 500) await store.append({ stream: `s-${at}`, events: events.slice(at, at + 500) })
    equal(
      ns(await collect(store.read({ filter: { types: ['Beta'] } }))),
      upTo(2500).filter((n) => n % 7 === 0),
      'the events read',
    )
    const found: number[] = []
    for (let after = 0, head = 1; after < head;) {
      const page = await store.readPage({ filter: { types: ['Beta'] }, after, limit: 10 })
      ok(page.scannedTo > after && page.events.length <= 10, 'a page that moves on and keeps to its limit')
      found.push(...ns(page.events))
      ;({ scannedTo: after, head } = page)
    }
    equal(
      found,
      upTo(2500).filter((n) => n % 7 === 0),
      'the events of the pages',
    )
  })

  add('N36: a page that begins beyond the head is empty, and says where the head is', async (store) => {
    equal(
      await store.readPage({ after: 7, limit: 5 }),
      { events: [], scannedTo: 7, head: 0 },
      'the page of an empty log',
    )
    await store.append({ stream: 'a', events: many(3) })
    equal(await store.readPage({ after: 7, limit: 5 }), { events: [], scannedTo: 7, head: 3 }, 'the page')
    equal(
      await store.readPage({ filter: { types: ['Beta'] }, after: 3, limit: 5 }),
      { events: [], scannedTo: 3, head: 3 },
      'the page at the head',
    )
  })

  add('N10: a read that finds nothing still reaches the head', async (store) => {
    await store.append({ stream: 'a', events: many(1500) })
    let page = await store.readPage({ filter: { types: ['Nothing'] }, limit: 10 })
    while (page.scannedTo < page.head) {
      const { scannedTo } = page
      page = await store.readPage({ filter: { types: ['Nothing'] }, after: scannedTo, limit: 10 })
      ok(page.scannedTo > scannedTo, 'the scan to move on')
    }
    equal(page, { events: [], scannedTo: 1500, head: 1500 }, 'the last page')
  })
}

function following(add: Add): void {
  add('follow: what is there, then what any connection appends, each once and in order', async (store, { another }) => {
    await store.append('a', many(3))
    const found: number[] = []
    const loop = (async () => {
      for await (const { position } of store.follow({ after: 1, filter: { types: ['Alpha'] } }))
        if (found.push(position) === 5) return
    })()
    await until(() => found.length === 2, 'what was there')
    await store.append('b', [event(4, 'Beta'), event(5)])
    await until(() => found.length === 3, 'what was appended')
    const other = (await another?.()) ?? store
    await other.append('c', many(2))
    await loop
    equal(found, [2, 3, 5, 6, 7], 'the positions')
  })

  add("follow: ends with the signal's reason, with the store, and when it is left", async (store) => {
    const steps = (signal?: AbortSignal) => store.follow({ signal })[Symbol.asyncIterator]()
    const controller = new AbortController()
    const [aborted, left, closed] = [steps(controller.signal), steps(), steps()]
    const reason = new Error('left the page')
    const waiting = [aborted, left, closed].map(async (loop) => loop.next())
    controller.abort(reason)
    const caught = await waiting[0]?.catch((error: unknown) => error)
    ok(caught === reason, "the signal's reason")
    await left.return?.()
    equal((await waiting[1])?.done, true, 'the step of the loop that was left')
    const refused = rejects(async () => await waiting[2], 'closed', 'the loop over a closed store')
    await store.close()
    await refused
    await rejects(async () => await collect(store.follow()), 'closed', 'follow')
  })
}

function living(add: Add): void {
  add('subscribe: calls back with the head after an append, until taken back', async (store) => {
    const heads: number[] = []
    const stop = store.subscribe((head) => heads.push(head))
    await store.append({ stream: 'a', events: many(2) })
    await until(() => heads.at(-1) === 2, 'the head of the first append')
    stop()
    await store.append({ stream: 'a', events: many(1) })
    await new Promise((resolve) => setTimeout(resolve, 30))
    equal(heads.at(-1), 2, 'the last head that was reported')
  })

  add('S19: what was written is there after closing and opening', async (store, subject) => {
    needs(subject, 'reopen')
    await store.append([
      { stream: 'a', events: many(3) },
      { stream: 'b', events: [{ ...event(4), id: 'id-4' }] },
    ])
    const before = await collect(store.read())
    const again = await subject.reopen()
    equal(await collect(again.read()), before, 'the log')
    equal([await again.head(), await again.streamVersion('a')], [4, 3], 'head and version')
    equal(
      (await again.append({ stream: 'b', events: [{ ...event(4), id: 'id-4' }] })).duplicate,
      true,
      'the retry of a known id',
    )
    equal(
      (await again.append({ stream: 'a', events: [event(5)], expectedVersion: 3 })).position,
      5,
      'the next position',
    )
  })

  add('S18: another connection sees all of an append or nothing', async (store, subject) => {
    needs(subject, 'another')
    const other = await subject.another()
    let done = false
    const appends = (async () => {
      for (const n of upTo(30))
        await store.append([
          { stream: 'a', events: [event(n)] },
          { stream: 'b', events: [event(n)] },
        ])
      done = true
    })()
    while (!done) {
      const { events } = await other.readPage({ limit: 1000 })
      ok(events.length % 2 === 0, `whole appends, not ${events.length} events`)
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
    await appends
    equal((await other.readPage({ limit: 1000 })).events.length, 60, 'the number of events at the end')
  })

  add('two connections append in parallel: positions without holes, each event once', async (store, subject) => {
    needs(subject, 'another')
    const stores = [store, await subject.another()] as const
    await Promise.all(
      stores.map((one, who) =>
        Promise.all(
          upTo(40).map((n) =>
            one.append(
              n % 2 === 0
                ? { stream: 'shared', events: [event(who * 100 + n)] }
                : { stream: `own-${who}`, events: [event(who * 100 + n)] },
            ),
          ),
        ),
      ),
    )
    for (const one of stores) {
      const all = await collect(one.read())
      equal(
        all.map(({ position }) => position),
        upTo(80),
        'the positions',
      )
      equal(
        ns(all).sort((a, b) => a - b),
        [...upTo(40), ...upTo(40).map((n) => 100 + n)],
        'the events',
      )
      equal(
        (await collect(one.readStream('shared'))).map(({ version }) => version),
        upTo(40),
        'the versions',
      )
    }
  })
}

/** Waits for a hint, 2 s at most. */
async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !condition(); waited += 10) {
    ok(waited < 2000, what)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
