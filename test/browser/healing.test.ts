// What is done after a write that failed as on a full disk, with the locks, marks and databases of a real browser: in Chromium only.
import { expect, test } from 'vitest'
import { openEventStore, type StorageReport } from 'tidemark'
import { inChromium } from '../../src/platform/engine-quirks.js'
import { healing } from '../../src/platform/healing.js'

const scratch = 'tidemark::healing'

test('Chromium is known, and nothing else is taken for it', () => {
  expect(inChromium()).toBe('userAgentData' in navigator)
})

test.runIf(inChromium())('two stores are told of the danger and of its end, once; nothing is left', async () => {
  const told: StorageReport['type'][][] = [[], []]
  const name = `healing-${crypto.randomUUID()}`
  const stores = await Promise.all(
    told.map((types) => openEventStore({ name, onReport: ({ type }) => types.push(type) })),
  )
  healing.failed()
  expect([told, localStorage.getItem(scratch)]).toEqual([[['storage-healing'], ['storage-healing']], ''])
  await stores[0]?.append({ stream: 's', events: [{ type: 'A', data: null }] })
  await expect
    .poll(() => told, { timeout: 20_000 })
    .toEqual([
      ['storage-healing', 'storage-healed'],
      ['storage-healing', 'storage-healed'],
    ])
  expect(localStorage.getItem(scratch)).toBe(null)
  expect((await indexedDB.databases()).filter((database) => database.name === scratch)).toEqual([])
  for (const store of stores) await store.close()
  await expect
    .poll(async () => (await navigator.locks.query()).held?.filter((lock) => lock.name === scratch))
    .toEqual([])
})

test.runIf(inChromium())('a mark of a page that is gone is found by the next store, and healed', async () => {
  localStorage.setItem(scratch, '')
  const told: StorageReport['type'][] = []
  const store = await openEventStore({
    name: `healing-${crypto.randomUUID()}`,
    onReport: ({ type }) => told.push(type),
  })
  await expect.poll(() => told, { timeout: 20_000 }).toEqual(['storage-healing', 'storage-healed'])
  expect(localStorage.getItem(scratch)).toBe(null)
  await store.close()
})
