// What docs/releases.md shows must compile and run, all of it, in its order.
import { expect, test } from 'vitest'
import * as tidemark from 'tidemark'
import * as memory from 'tidemark/memory'
import { blocksOf, Joined } from '../support/doc-blocks.js'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'

fakeIndexedDB()

const page = new Joined(blocksOf('releases.md', 'ts'))

test('it compiles', { timeout: 120_000 }, async () => {
  expect(await page.compile('releases-guide')).toBe('')
})

test('it runs, and what its comments say is so', async () => {
  const { look, app, crm, stored, read, ...said } = await page.run(
    { tidemark, 'tidemark/memory': memory },
    ['look', 'offersReload', 'app', 'crm', 'stored', 'read', 'upcasted', 'isComplete', 'shown', 'mailed', 'erased'],
    {},
  )
  expect(said).toEqual({
    offersReload: false,
    upcasted: [{ customer: 'ann', total: 10, channel: 'web' }],
    isComplete: expect.any(Function),
    shown: [{ customer: 'ann', sum: 10, channels: ['app'] }],
    mailed: [],
    erased: { id: 'customer-1', name: '(erased)' },
  })
  expect(look).toEqual(expect.any(Function))
  for (const each of [app, crm, stored, read]) await (each as { close(): Promise<void> }).close()
})
