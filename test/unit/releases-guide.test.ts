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
  const { isOutdated, app, crm, stored, read, ...said } = await page.run(
    { tidemark, 'tidemark/memory': memory },
    ['isOutdated', 'app', 'crm', 'stored', 'read', 'upcasted', 'isComplete', 'shown', 'mailed', 'erased'],
    {},
  )
  expect(said).toEqual({
    upcasted: [{ customer: 'ann', total: 10, channel: 'web' }],
    isComplete: expect.any(Function),
    shown: [{ customer: 'ann', sum: 10, channels: ['app'] }],
    mailed: [],
    erased: { id: 'customer-1', name: '(erased)' },
  })
  const outdated = isOutdated as (error: unknown) => boolean
  const newer = new tidemark.EventUnreadableError(1, 'of a newer version', undefined, true)
  expect(outdated(new Error('a projection stopped', { cause: newer }))).toBe(true)
  expect(outdated(new tidemark.UnsupportedFormatError('a newer format'))).toBe(true)
  expect(outdated(new tidemark.EventUnreadableError(1, 'its upcaster threw'))).toBe(false)
  expect(outdated('a text')).toBe(false)
  for (const each of [app, crm, stored, read]) await (each as { close(): Promise<void> }).close()
})
