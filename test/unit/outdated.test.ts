// Whether a page runs an old build, as `isOutdated` finds out from errors and statuses.
import { expect, test } from 'vitest'
import {
  defineEvents,
  defineProjection,
  EventUnreadableError,
  isOutdated,
  openEventStore,
  ProjectionFailedError,
  StorageBusyError,
  table,
  tidemark,
  TidemarkError,
  UnsupportedFormatError,
} from 'tidemark'
import { newName } from './read-model/support.js'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'

fakeIndexedDB()

const newer = new EventUnreadableError(1, 'of a newer version', undefined, true)
const failed = (cause: unknown) => new ProjectionFailedError('stopped', { projector: 'p', attempts: 1 }, cause as Error)
const circular = new Error('both are the cause of the other')
circular.cause = new Error('other', { cause: circular })

test.for([
  ['a newer format', new UnsupportedFormatError('newer')],
  ['a store that syncs now', new UnsupportedFormatError('synced', 'synced')],
  ['a store that was adopted', new UnsupportedFormatError('adopted', 'adopted')],
  ['an event of a newer build', newer],
  ['a projection that stopped before it', failed(newer)],
  ['an error of the app around that', new Error('the page', { cause: failed(newer) })],
  ['an error of another copy of the package', { code: 'unsupported-format' }],
  ['a server of a newer protocol', { status: 'stopped', reason: 'newer-protocol' }],
  ['an outbox of a newer build', { status: 'waiting', reason: 'newer-format' }],
  ['the status of a projection', { phase: 'faulted', lastError: failed(newer) }],
  ['the status of an app', { phase: 'stalled', error: failed(newer), models: {} }],
  ['one whose worst model has other trouble', { error: new Error(), models: { a: { lastError: failed(newer) } } }],
] as const)('N115: a reload helps after %s', ([, problem]) => {
  expect(isOutdated(problem)).toBe(true)
})

test.for([
  ['nothing', undefined],
  ['null', null],
  ['a text', 'newer-format'],
  ['an upcaster that threw', new EventUnreadableError(1, 'its upcaster threw')],
  ['a busy storage', new StorageBusyError('busy')],
  ['an error whose newer is of the app', Object.assign(new TidemarkError('closed', 'closed'), { newer: true })],
  ['a device that is full', { status: 'waiting', reason: 'storage-full' }],
  ['an app that is live', { phase: 'live', behind: 0, models: { a: { phase: 'live' } } }],
  ['errors that are each the cause of the other', circular],
] as const)('N115: and not after %s', ([, problem]) => {
  expect(isOutdated(problem)).toBe(false)
})

test('N115: an app whose model stops before an event of a newer build says so by its status', async () => {
  const upcast = { 1: (data: unknown) => data }
  const [old, next] = [defineEvents({ Added: {} }), defineEvents({ Added: { version: 2, upcast } })]
  const name = newName()
  const counts = defineProjection(old, {
    name: 'counts',
    tables: { rows: table<{ id: number }>({ key: 'id' }) },
    on: { Added: ({ position }, { rows }) => rows.put({ id: position }) },
  })
  const app = tidemark({ name, events: old, models: { counts }, onError: () => {} })
  const stop = app.status.subscribe(() => {})
  await app.append('s', old.Added(1), { until: 'visible' })
  expect(isOutdated(app.status.getSnapshot())).toBe(false)
  const newerTab = await openEventStore({ name, events: next })
  await newerTab.append('s', next.Added(2))
  await expect.poll(() => isOutdated(app.status.getSnapshot())).toBe(true)
  stop()
  await newerTab.close()
  await app.close()
})
