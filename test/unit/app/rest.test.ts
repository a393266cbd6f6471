// What an app does while nothing happens, in a context that runs nothing: also with the checks of the development build.
import { expect, test, vi } from 'vitest'
import { defineEvents, defineProjection, table, tidemark } from 'tidemark'
import { virtualClock } from 'tidemark/testing'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const events = defineEvents<{ type: 'Added'; data: { id: string } }>()
const model = defineProjection(events, {
  name: 'model',
  tables: { rows: table<{ id: string }>({ key: 'id' }) },
  on: { Added: ({ data }, { rows }) => rows.put(data) },
})

test('with run: false at rest it makes at most five transactions in 10 s', async () => {
  const clock = virtualClock()
  const shop = tidemark({ name: 'rest', events, models: { model }, clock, run: false })
  const stops = [
    ...Array.from({ length: 20 }, (_, at) => shop.model.rows.liveRow(`r${at}`).subscribe(() => {})),
    shop.status.subscribe(() => {}),
  ]
  await shop.append('s', events.Added({ id: 'r3' }))
  await shop.catchUp()
  /** In steps, with turns for the storage. */
  const pass = async (seconds: number) => {
    for (let step = 0; step < seconds * 2; step += 1) {
      await clock.advance(500)
      for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0))
    }
  }
  await pass(30)
  const made = vi.spyOn(IDBDatabase.prototype, 'transaction')
  await pass(10)
  expect(made.mock.calls.length).toBeGreaterThan(0)
  expect(made.mock.calls.length).toBeLessThanOrEqual(5)
  made.mockRestore()
  for (const stop of stops) stop()
  await clock.runUntil(shop.close())
})
