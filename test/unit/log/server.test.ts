// Where pages are rendered there is no IndexedDB: modules that open a store, and rendering, do no harm there.
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { liveProjection, openEventStore, openReadModel, startProjection } from 'tidemark'
import { openEventStore as openMemoryEventStore } from 'tidemark/memory'
import { bundle } from '../../../scripts/size.mjs'
import { events, model } from '../read-model/support.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-server-'))
  await writeFile(join(folder, 'tidemark.mjs'), (await bundle(`export * from 'tidemark'`)).code)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs a module in a Node of its own. */
async function node(source: string): Promise<{ code: number; out: string; err: string }> {
  const file = join(folder, `${Math.random()}.mjs`)
  await writeFile(file, `import * as tidemark from './tidemark.mjs'\n${source}`)
  return promisify(execFile)(process.execPath, [file]).then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      out: error.stdout,
      err: error.stderr,
    }),
  )
}

test('a module that opens a store and asks nothing of it can be imported by Node', { timeout: 60_000 }, async () => {
  expect(
    await node(`
    const opening = tidemark.openEventStore({ name: 'shop' })
    export const view = opening.then((store) => store)
    view.catch(() => {})
    setTimeout(() => console.log('built'), 50)
  `),
  ).toEqual({ code: 0, out: 'built\n', err: '' })
})

test('there, whoever awaits the store is told, also late', { timeout: 60_000 }, async () => {
  const { code, out } = await node(`
    const opening = tidemark.openEventStore({ name: 'shop' })
    setTimeout(() => opening.catch(({ code, outcome }) => console.log(code, outcome)), 50)
  `)
  expect([code, out]).toEqual([0, 'storage-unavailable not-written\n'])
})

test(
  'there, what follows from the store and is not handled is as loud as ever, and so is a name that is not allowed',
  { timeout: 60_000 },
  async () => {
    for (const source of [
      `tidemark.openEventStore({ name: 'shop' }).then(() => {})`,
      `tidemark.openEventStore({ name: '' })`,
    ]) {
      const { code, err } = await node(source)
      expect([code, err]).toEqual([1, expect.stringMatching(/StorageUnavailableError|InvalidNameError/)])
    }
  },
)

test('bad options are rejected, and not thrown', async () => {
  await expect(openEventStore({ name: '' })).rejects.toMatchObject({ code: 'invalid-name' })
  await expect(openEventStore(undefined as never)).rejects.toMatchObject({ code: 'invalid-argument' })
  await expect(openEventStore({ name: 'fine' })).rejects.toMatchObject({ code: 'storage-unavailable' })
})

/** What a renderer of a server does with a store: no subscription, one snapshot, and the same again when the page takes over. */
function render({ getServerSnapshot }: { getServerSnapshot(): unknown }): unknown {
  const [first, second] = [getServerSnapshot(), getServerSnapshot()]
  // What React demands of it.
  expect(first).toBe(second)
  return first
}

test('live queries, live projections and status stores have a constant for the server, and what is rendered there fits the first render of the page', async () => {
  const store = await openMemoryEventStore({ name: 'server', events })
  const view = await openReadModel(store, model())
  const projection = startProjection(store, model())
  const live = view.live(({ rows }) => rows.getAll())
  const total = liveProjection(store, { initial: 0, on: { Added: (sum) => sum + 1 } })
  for (const each of [live, total]) {
    expect(render(each)).toStrictEqual({ status: 'loading', data: undefined, error: undefined, stale: false })
    // A query that has not run yet shows the very same.
    expect(each.getSnapshot()).toBe(render(each))
  }
  const { getServerSnapshot, getSnapshot, subscribe } = projection.status
  const constant = {
    phase: 'starting',
    position: 0,
    head: 0,
    behind: 0,
    rate: 0,
    leader: false,
    owner: '',
    deadLetterCount: 0,
  }
  expect(render(projection.status)).toStrictEqual(constant)
  expect(Object.isFrozen(render(projection.status))).toBe(true)
  const reached = new Promise<void>((resolve) => {
    const stop = subscribe(() => {
      if (getSnapshot().phase !== 'live') return
      stop()
      resolve()
    })
  })
  await reached
  expect(getServerSnapshot()).toStrictEqual(constant)
  await projection.stop()
  expect(startProjection(store, model(), { signal: AbortSignal.abort() }).status.getServerSnapshot()).toBe(
    getServerSnapshot(),
  )
  await view.close()
  await store.close()
})
