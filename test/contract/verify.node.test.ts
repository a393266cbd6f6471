import { expect, test } from 'vitest'
import { verifyEventStore } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'
import { verifyContract } from './verify.js'

fakeIndexedDB()

verifyContract()

test('H76: verify of a log in memory follows the same rules', async () => {
  await using store = await openEventStore({ name: 'verify' })
  expect(await verifyEventStore(store)).toMatchObject({ ok: true, head: 0, events: 0 })
  for (let n = 0; n < 300; n += 1)
    await store.append([
      { stream: `s-${n % 7}`, events: [{ type: 'Added', data: n }] },
      { stream: 'all', events: [{ type: 'Added', data: n, id: `id-${n}` }] },
    ])
  await store.checkpoints.save('p', 600)
  expect(await verifyEventStore(store)).toEqual({ ok: true, head: 600, events: 600, defects: [], unlisted: 0 })
  await store.checkpoints.save('p', 601)
  expect(await verifyEventStore(store)).toMatchObject({ ok: false, defects: [{ kind: 'checkpoint', position: 601 }] })
  await store.close()
  await expect(verifyEventStore(store)).rejects.toMatchObject({ code: 'closed' })
})
