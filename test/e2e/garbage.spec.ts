// What was read can go with the next quick collection of garbage, though the browser's requests and transactions live until a long one (decision 0005).
import { expect } from '@playwright/test'
import { openPage, run, test } from '../support/e2e.js'

test('reading a log keeps nothing of it alive: not in requests, not in transactions', async ({ launch }) => {
  const context = await launch({ args: ['--js-flags=--expose-gc', '--enable-precise-memory-info'] })
  const page = await openPage(context)
  const { read, grown } = await run(page, 'page', async (tidemark) => {
    const { gc, performance } = globalThis as unknown as {
      gc(options?: { type: 'minor' }): void
      performance: { memory: { usedJSHeapSize: number } }
    }
    const store = await tidemark.openEventStore({ name: 'garbage' })
    // Below what Chromium keeps in files of their own, and what its heap keeps apart.
    const padding = 'x'.repeat(40_000)
    for (let at = 0; at < 200; at += 1)
      await store.append({ stream: 's', events: [{ type: 'Padded', data: { padding, at } }] })
    // A function of its own, so that nothing here holds events while garbage is collected.
    const readPage = async (after: number) => {
      const { events, scannedTo, head } = await store.readPage({ after, limit: 10 })
      return {
        scannedTo,
        isEnd: scannedTo >= head,
        length: events.reduce((sum, { data }) => sum + (data as { padding: string }).padding.length, 0),
      }
    }
    const readAll = async () => {
      let read = 0
      for (let after = 0; ;) {
        const page = await readPage(after)
        read += page.length
        // Twice: what survives the first one is kept until the second.
        for (const _time of [1, 2]) gc({ type: 'minor' })
        if (page.isEnd) return read
        after = page.scannedTo
      }
    }
    await readAll()
    gc()
    const before = performance.memory.usedJSHeapSize
    const read = await readAll()
    const grown = performance.memory.usedJSHeapSize - before
    await store.close()
    return { read, grown }
  })
  expect(read).toBe(200 * 40_000)
  // It was all that was read, and more.
  expect(grown).toBeLessThan(read / 10)
})
