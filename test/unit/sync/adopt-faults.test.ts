// Adoption that is interrupted at every transaction: the next call does the rest, and each commit is there once.
import { afterEach, describe, expect, test } from 'vitest'
import { openEventStore } from 'tidemark'
import { adoptStore, openSyncedStore } from 'tidemark/sync'
import { testSyncServer } from 'tidemark/testing'
import { inject, type Fault, type Injection } from '../log/inject-faults.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const url = 'http://127.0.0.1:9/'
let count = 0
let injection: Injection | undefined
afterEach(() => injection?.stop())

/** Commits that each fill a transaction of the outbox. */
async function stores() {
  const name = `adopt-faults-${(count += 1)}`
  const local = await openEventStore({ name: `${name}-local` })
  const data = 'x'.repeat(180_000)
  for (let n = 0; n < 3; n += 1)
    await local.append({ stream: `s-${n % 2}`, events: Array.from({ length: 3 }, () => ({ type: 'A', data })) })
  const ids: string[] = []
  for await (const { id } of local.read()) ids.push(id)
  await local.close()
  return { name, ids }
}

const faults: readonly ((at: number) => Fault)[] = [
  (at) => ({ kind: 'abort instead of commit', at, error: 'UnknownError' }),
  (at) => ({ kind: 'commit reported as abort', at }),
]

/** What is left of the page after a crash: nothing but what is stored. */
async function adopt(name: string, remote: { url: string; fetch?: typeof fetch }) {
  const local = await openEventStore({ name: `${name}-local` })
  const synced = await openSyncedStore({ name, ...remote })
  try {
    return await adoptStore(local, synced)
  } finally {
    await local.close()
    await synced.close()
  }
}

describe.each(['abort instead of commit', 'commit reported as abort'])('%s', (kind) => {
  const faultAt = faults.find((make) => make(1).kind === kind) as (at: number) => Fault

  test.each(['no server', 'an empty server'])(
    'N95: at every transaction, then again: %s',
    { timeout: 120_000 },
    async (way) => {
      let failures = 0
      for (let at = 1; ; at += 1) {
        const { name, ids } = await stores()
        const server = way === 'no server' ? undefined : testSyncServer()
        const remote = server === undefined ? { url } : { url: server.url, fetch: server.fetch }
        const armed = (injection = inject([faultAt(at)]))
        const failed = await adopt(name, remote).then(
          () => false,
          () => true,
        )
        armed.stop()
        if (failed) failures += 1
        await adopt(name, remote)
        const synced = await openSyncedStore({ name, ...remote })
        const there: string[] = []
        for await (const { id } of synced.read()) there.push(id)
        const pending = (await synced.outbox()).flatMap(({ events }) => events.map(({ id }) => id))
        expect(server === undefined ? pending : there, `fault at ${at}`).toEqual(ids)
        expect(there.length + pending.length, `fault at ${at}`).toBe(ids.length)
        if (server !== undefined) expect((await server.log()).map(({ id }) => id)).toEqual(ids)
        await synced.close()
        const local = await openEventStore({ name: `${name}-local` })
        await expect(local.append({ stream: 's', events: [{ type: 'A', data: 0 }] })).rejects.toMatchObject({
          code: 'unsupported-format',
        })
        await local.close()
        if (!armed.fired) break
      }
      // Claiming, three transactions of the outbox or of the log, and closing at least.
      expect(failures).toBeGreaterThanOrEqual(5)
    },
  )
})
