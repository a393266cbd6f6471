// What an app that is closed leaves behind: no rejection of a promise that its user did not keep.
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { defineEvents, defineProjection, openEventStore, table, tidemark } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const events = defineEvents<{ type: 'Added'; data: { id: string } }>()
const model = defineProjection(events, {
  name: 'model',
  tables: { rows: table<{ id: string }>({ key: 'id' }) },
  on: { Added: ({ data }, { rows }) => rows.put(data) },
})

/** Notes what comes up as unhandled. */
function unhandled() {
  const found = vi.fn()
  process.on('unhandledRejection', found)
  onTestFinished(() => void process.off('unhandledRejection', found))
  return found
}
/** A rejection counts as unhandled only after the tasks that are due. */
const tasks = async (count: number) => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0))
}

describe.each([
  ['memory', openMemory],
  ['fake-indexeddb', openEventStore],
] as const)('%s', (_backend, open) => {
  let count = 0
  const make = (before = async () => {}) =>
    tidemark({
      name: `closing-${(count += 1)}`,
      events,
      models: { model },
      open: async (options) => before().then(() => open(options)),
    })

  test.each([
    ['ready', false],
    ['reopen', false],
    ['ready', true],
    ['reopen', true],
  ] as const)('%s() of an app that is closed meanwhile, open before: %s', async (call, isOpen) => {
    const found = unhandled()
    // As early as possible, and while the store is being opened, and once it is.
    for (const turns of [0, 1, 2, 4]) {
      const app = make()
      if (isOpen) await app.ready()
      void app[call]()
      void app[call]()
      await tasks(turns)
      await app.close()
      await tasks(10)
      // To those who ask, it is an error still.
      await expect(app[call]()).rejects.toMatchObject({ code: 'closed' })
    }
    expect(found.mock.calls).toEqual([])
  })

  test('one that does not open is a rejection to be handled, and so is a write that came too late', async () => {
    const found = unhandled()
    const failing = make(() => Promise.reject(new TypeError('no store')))
    void failing.ready()
    await tasks(10)
    expect(found.mock.calls).toMatchObject([[{ message: 'no store' }, {}]])
    await failing.close()
    const app = make()
    await app.ready()
    await app.close()
    void app.append('s', events.Added({ id: 'lost' }))
    await tasks(10)
    expect(found.mock.calls).toMatchObject([
      [{}, {}],
      [{ code: 'closed' }, {}],
    ])
  })
})
