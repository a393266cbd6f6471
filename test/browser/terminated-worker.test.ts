// H8: a worker can be terminated at any moment, also in the middle of a transaction, which must not be left open for ever.
import { openEventStore, startProjection, verifyEventStore, verifyReadModel } from 'tidemark'
import { expect, test } from 'vitest'
import { commands } from 'vitest/browser'
import { events, sums } from './terminated-projector.js'

const workers = 8

/** Starts a worker from a file of this folder. */
async function workersFrom(file: string): Promise<(name: string) => Worker> {
  const url = URL.createObjectURL(
    new Blob([await commands.bundled(`test/browser/${file}`)], { type: 'text/javascript' }),
  )
  return (name) => new Worker(url, { type: 'module', name })
}

test(
  'H8: a worker that is terminated while it appends and reads keeps nobody from appending',
  { timeout: 60_000 },
  async () => {
    const name = `terminated-${crypto.randomUUID()}`
    const store = await openEventStore({ name })
    const start = await workersFrom('terminated-worker.ts')
    for (let round = 0; round < workers; round += 1) {
      const worker = start(name)
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
  },
)

test(
  'H8: two workers that are terminated while they append and project, as the page does, keep nobody from either',
  { timeout: 120_000 },
  async () => {
    const name = `terminated-${crypto.randomUUID()}`
    const store = await openEventStore({ name, events })
    const projection = startProjection(store, sums)
    const start = await workersFrom('terminated-projector.ts')
    let over = false
    const appending = (async () => {
      while (!over) await store.append({ stream: 'page', events: [{ type: 'Added', data: 1 }] })
    })()
    for (let round = 0; round < 2 * workers; round += 1) {
      const pair = [start(name), start(name)]
      await Promise.all(
        pair.map(
          (worker) =>
            new Promise<void>((resolve, reject) => {
              worker.onmessage = () => resolve()
              worker.onerror = (event) => reject(new Error(event.message))
            }),
        ),
      )
      await new Promise((resolve) => setTimeout(resolve, 20 + ((round * 7) % 43)))
      for (const worker of pair) worker.terminate()
      const { position } = await store.append({ stream: 'page', events: [{ type: 'Added', data: 2 }] })
      await projection.caughtUp(position)
    }
    over = true
    await appending
    await projection.caughtUp(await store.head())
    await projection.stop()
    expect(await verifyEventStore(store)).toMatchObject({ ok: true })
    expect(await verifyReadModel(store, sums)).toMatchObject({ ok: true })
    await store.close()
  },
)
