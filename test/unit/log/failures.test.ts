// What a failed append tells of itself, on the way that reads nothing first (warm) and on the way that does (cold).
import { afterEach, describe, expect, test } from 'vitest'
import { openEventStore } from 'tidemark'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { inject, type Fault, type Injection } from './inject-faults.js'

fakeIndexedDB()

let count = 0
let injection: Injection | undefined
afterEach(() => injection?.stop())

const event = (id: string) => ({ type: 'A', data: null, id })
const idAt = (n: number) => `fe000000-000${n}-7000-8000-000000000000`

async function open(warm: boolean) {
  const store = await openEventStore({ name: `failures-${(count += 1)}` })
  await store.append({ stream: 's', events: [event(idAt(1))] })
  // A condition needs a look at the log.
  const options = warm ? {} : { condition: { failIfEventsMatch: { types: ['Never'] }, after: 0 } }
  return {
    store,
    append: () => store.append({ stream: 's', events: [event(idAt(2)), event(idAt(3))], expectedVersion: 1 }, options),
  }
}

const cases: [Fault, { code: string; outcome: string; cause?: string }, written: boolean][] = [
  [
    { kind: 'request fails', at: 1, error: 'UnknownError' },
    { code: 'storage-failed', outcome: 'not-written', cause: 'UnknownError' },
    false,
  ],
  [
    { kind: 'request fails', at: 1, error: 'QuotaExceededError' },
    { code: 'storage-full', outcome: 'not-written', cause: 'QuotaExceededError' },
    false,
  ],
  [
    { kind: 'call throws', at: 1, error: 'TransactionInactiveError' },
    { code: 'storage-failed', outcome: 'not-written', cause: 'TransactionInactiveError' },
    false,
  ],
  [
    { kind: 'open fails', times: 3, error: 'UnknownError' },
    { code: 'storage-failed', outcome: 'not-written', cause: 'UnknownError' },
    false,
  ],
  [
    { kind: 'abort instead of commit', at: 1, error: 'QuotaExceededError' },
    { code: 'storage-full', outcome: 'not-written', cause: 'QuotaExceededError' },
    false,
  ],
  [
    { kind: 'abort instead of commit', at: 1, error: 'UnknownError' },
    { code: 'storage-failed', outcome: 'unknown', cause: 'UnknownError' },
    false,
  ],
  [
    { kind: 'abort instead of commit', at: 1, error: 'TimeoutError' },
    { code: 'storage-busy', outcome: 'unknown', cause: 'TimeoutError' },
    false,
  ],
  [
    { kind: 'abort instead of commit', at: 1, error: undefined },
    { code: 'storage-failed', outcome: 'unknown', cause: 'AbortError' },
    false,
  ],
  [
    { kind: 'commit reported as abort', at: 1 },
    { code: 'storage-failed', outcome: 'unknown', cause: 'AbortError' },
    true,
  ],
  [{ kind: 'commit unheard' }, { code: 'storage-failed', outcome: 'unknown', cause: 'AbortError' }, true],
]

describe.each([true, false])('warm: %s', (warm) => {
  test.each(cases)(
    'H3, H4, H17: %j tells code, outcome and cause, and a retry stores one copy',
    async (fault, { code, outcome, cause }, written) => {
      const { store, append } = await open(warm)
      // Only a connection that has to be opened again can fail to open.
      injection = inject(
        fault.kind === 'open fails'
          ? [fault, { kind: 'no transaction', times: 1, error: 'InvalidStateError' }]
          : [fault],
      )
      await expect(append()).rejects.toMatchObject({ code, outcome, cause: { name: cause } })
      injection.stop()
      expect(await store.head()).toBe(written ? 3 : 1)
      expect(await append()).toMatchObject({ firstPosition: 2, position: 3, duplicate: written })
      expect(await store.head()).toBe(3)
      await store.close()
    },
  )
})

test.each(['NotReadableError', 'NotFoundError', 'DataError'])(
  'H16: an append that meets a %s while it looks is decided once more; after a second one it says that the log is damaged',
  async (error) => {
    const { store, append } = await open(false)
    injection = inject([1, 2, 3, 4].map((at) => ({ kind: 'request fails', at, error })))
    await expect(append()).rejects.toMatchObject({
      code: 'storage-damaged',
      outcome: 'not-written',
      cause: { name: error },
    })
    injection.stop()
    injection = inject([{ kind: 'request fails', at: 2, error }])
    expect(await append()).toMatchObject({ firstPosition: 2, position: 3, duplicate: false })
    injection.stop()
    expect(await store.head()).toBe(3)
    await store.close()
  },
)

test.each<{ readonly faults: readonly Fault[] }>([
  { faults: [{ kind: 'request fails', at: 1, error: 'UnknownError' }] },
  // As often as it is tried, and what is read between the tries.
  { faults: [1, 2, 3, 4, 5, 6, 7, 8].map((at) => ({ kind: 'commit reported as abort', at })) },
])(
  'H17: an append without events that fails with $faults says that nothing was written; a read says nothing of that kind',
  async ({ faults }) => {
    for (const outcome of ['not-written', undefined]) {
      const { store } = await open(true)
      injection = inject(faults)
      const failing: Promise<unknown> =
        outcome === undefined ? store.head() : store.append({ stream: 's', events: [], expectedVersion: 1 })
      const error: unknown = await failing.catch((error: unknown) => error)
      injection.stop()
      expect(error).toMatchObject({ code: 'storage-failed' })
      expect((error as { outcome?: unknown }).outcome).toBe(outcome)
      await store.close()
    }
  },
)

test.each([1, 2, 3, 4, 5, 6])(
  'H5: when request %i of reads side by side fails or throws, or two of them, every promise is heard',
  async (at) => {
    const unheard: unknown[] = []
    const note = (reason: unknown) => void unheard.push(reason)
    process.on('unhandledRejection', note)
    try {
      const [fails, throws, throwsNext]: Fault[] = [
        { kind: 'request fails', at, error: 'UnknownError' },
        { kind: 'call throws', at, error: 'UnknownError' },
        { kind: 'call throws', at: at + 1, error: 'DataError' },
      ]
      for (const faults of [[fails], [throws], [throws, throwsNext]] as Fault[][]) {
        const { store, append } = await open(false)
        const other = await openEventStore({ name: store.name })
        injection = inject(faults)
        await Promise.allSettled([other.readPage({ after: 1, limit: 5 }), append(), other.streamVersion('s')])
        injection.stop()
        await store.close()
        await other.close()
      }
      // A rejection counts as unheard only after the tasks that are due.
      await new Promise((resolve) => setImmediate(resolve))
      expect(unheard).toEqual([])
    } finally {
      process.off('unhandledRejection', note)
    }
  },
)

test("N39: a read that is aborted under way rejects with the signal's reason", async () => {
  const { store } = await open(true)
  const controller = new AbortController()
  const reason = new Error('left the page')
  const reading = store.readPage({ limit: 5, signal: controller.signal })
  controller.abort(reason)
  await expect(reading).rejects.toBe(reason)
  await store.close()
})

test('H74: closing twice at once waits twice for the appends under way', async () => {
  const { store, append } = await open(true)
  let done = false
  const appending = append().then(() => (done = true))
  void store.close()
  await store.close()
  expect(done).toBe(true)
  await appending
})
