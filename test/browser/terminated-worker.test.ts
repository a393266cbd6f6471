// H8: a worker can be terminated at any moment, also in the middle of a transaction, which must not be left open for ever.
import { openEventStore, verifyEventStore } from 'tidemark'
import { expect, test } from 'vitest'

const workers = 8

test('H8: a worker that is terminated while it appends and reads keeps nobody from appending', { timeout: 60_000 }, async () => {
  const name = `terminated-${crypto.randomUUID()}`
  const store = await openEventStore({ name })
  for (let round = 0; round < workers; round += 1) {
    const worker = new Worker(new URL('./terminated-worker.ts', import.meta.url), { type: 'module', name })
    const told = await new Promise<number>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data as number)
      worker.onerror = (event) => reject(new Error(event.message))
    })
    // Not always at the same place in its work.
    await new Promise((resolve) => setTimeout(resolve, (round * 7) % 23))
    worker.terminate()
    expect(told).toBe(10)
    // It rejects with StorageBusyError where the storage does not answer.
    await store.append({ stream: 'page', events: [{ type: 'Added', data: round }] })
  }
  const { ok } = await verifyEventStore(store)
  expect(ok).toBe(true)
  expect(await store.streamVersion('page')).toBe(workers)
  expect(await store.streamVersion('worker')).toBeGreaterThanOrEqual(workers * 10)
  await store.close()
})
