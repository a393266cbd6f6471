// H25: WebKit may answer reads with nothing, instead of failing, while a page goes away.
import { afterEach, expect, test } from 'vitest'
import { openEventStore, type RecordedEvent, type TidemarkStore } from 'tidemark'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { inject, type Injection } from './inject-faults.js'

fakeIndexedDB()

let count = 0
let injection: Injection | undefined
afterEach(() => injection?.stop())

const event = { type: 'A', data: null, id: 'known' }
const collect = async (events: AsyncIterable<RecordedEvent>) => {
  const all: RecordedEvent[] = []
  for await (const each of events) all.push(each)
  return all
}

const operations: [string, (store: TidemarkStore) => Promise<unknown>][] = [
  ['the head', (store) => store.head()],
  ['the version of a stream', (store) => store.streamVersion('s')],
  ['a stream', (store) => collect(store.readStream('s'))],
  ['the log', (store) => collect(store.read())],
  ['a stream backwards', (store) => collect(store.readStream('s', { direction: 'backwards' }))],
  [
    'a stream backwards from a version',
    (store) => collect(store.readStream('s', { direction: 'backwards', before: 9 })),
  ],
  ['the log backwards', (store) => collect(store.read({ direction: 'backwards' }))],
  ['the log backwards from a position', (store) => collect(store.read({ direction: 'backwards', before: 2 }))],
  ['a page', (store) => store.readPage({ after: 1, limit: 5 })],
  ['a checkpoint', (store) => store.checkpoints.load('p')],
  ['a save over an expected checkpoint', (store) => store.checkpoints.save('p', 9, { expected: 0 })],
  [
    'an append to what should be a new stream',
    (store) => store.append({ stream: 's', events: [{ ...event, id: 'new' }], expectedVersion: 'no-stream' }),
  ],
  [
    'an append of a new event to what should be a new stream',
    (store) => store.append({ stream: 's', events: [{ type: 'A', data: null }], expectedVersion: 'no-stream' }),
  ],
  ['a retry of a known id', (store) => store.append({ stream: 't', events: [event] })],
  [
    'an append under a condition',
    (store) =>
      store.append(
        { stream: 't', events: [{ ...event, id: 'new' }] },
        { condition: { failIfEventsMatch: { types: ['A'] }, after: 0 } },
      ),
  ],
]

test.each(operations)(
  'H25: when reads answer with nothing from any point on, %s fails instead of believing it, and nothing is written',
  async (_what, operation) => {
    for (let at = 1; at <= 6; at += 1) {
      const name = `empty-${(count += 1)}`
      const writer = await openEventStore({ name })
      await writer.append({ stream: 's', events: [event] })
      await writer.append({ stream: 's', events: [{ ...event, id: 'second' }] })
      await writer.checkpoints.save('p', 2)
      const store = await openEventStore({ name })
      const truth = await operation(store).catch((error: unknown) => (error as { code: string }).code)
      const before = [await writer.head(), await writer.checkpoints.load('p')]
      injection = inject([{ kind: 'reads empty', at }])
      const answer = await operation(store).catch((error: unknown) => (error as { code: string }).code)
      const { fired } = injection
      injection.stop()
      // The save and the first append cannot be tried twice with the same answer, but neither may they be answered otherwise.
      if (fired) expect(['storage-failed', truth], `empty from request ${at}`).toContainEqual(answer)
      else expect(answer).toEqual(truth)
      expect([await writer.head(), await writer.checkpoints.load('p')]).toEqual(before)
      await store.close()
      await writer.close()
    }
  },
)
