/** The server of the ledger: what is there after it was killed, and after it was restored. */
import type { LedgerServer } from '../../sync-ledger/ledger-server.js'
import { startLedgerServer } from '../../sync-ledger/server-process.js'
import { afterEach, expect, test } from 'vitest'
import { device } from './device.js'

let server: LedgerServer | undefined

afterEach(async () => {
  await server?.dispose()
  server = undefined
})

test('killed before a commit is in the file: no response, and no commit', async () => {
  server = await startLedgerServer({ killAt: { when: 'before', commit: 2 } })
  const anna = device(server.url)
  expect(await anna.push('a')).toEqual([{ id: 'a', accepted: 1 }])
  await expect(anna.push('b')).rejects.toThrow()
  await server.ended()
  expect(server.pid).toBeUndefined()
  await server.start()
  expect(await anna.ids()).toEqual(['a'])
  expect(await anna.push('b')).toEqual([{ id: 'b', accepted: 2 }])
})

test('killed after a commit is in the file: no response, and a repeat is accepted as before', async () => {
  server = await startLedgerServer({ killAt: { when: 'after', commit: 1 } })
  const { url } = server
  const anna = device(url)
  await expect(anna.push('a')).rejects.toThrow()
  await server.ended()
  await server.start()
  expect(server.url).toBe(url)
  expect(await anna.ids()).toEqual(['a'])
  expect(await anna.push('a')).toEqual([{ id: 'a', accepted: 1 }])
  expect(await anna.ids()).toEqual(['a'])
})

test('restored from a copy that was taken while it ran: what came later is gone, under a new epoch', async () => {
  server = await startLedgerServer()
  const anna = device(server.url)
  await anna.push('a')
  const backup = await server.backup()
  await anna.push('b')
  expect(await anna.push('c', { type: 'Refused' })).toMatchObject([{ id: 'c', refused: { code: 'by-rule' } }])
  const before = await anna.info()
  await server.restore(backup)
  const after = await anna.info()
  expect([after.log === before.log, after.epoch === before.epoch]).toEqual([true, false])
  expect(await anna.ids()).toEqual(['a'])
  // And again, to the same state.
  await anna.push('d')
  await server.restore(backup)
  expect(await anna.ids()).toEqual(['a'])
})

test.each([
  [
    'no-ids',
    async (url: string) => {
      const anna = device(url)
      await anna.push('a')
      await anna.push('a')
      return (await anna.ids()).length === 2
    },
  ],
  [
    'refusals-forgotten',
    async (url: string) => {
      const anna = device(url)
      await anna.push('x')
      await anna.push('a', { expect: { s: null } })
      await anna.push('b', { stream: 't' })
      return !('conflict' in (await anna.push('a', { expect: { s: 'x' } }))[0]!)
    },
  ],
  [
    'old-epoch',
    async (url: string) => {
      const { epoch } = await device(url).info()
      await server?.kill()
      await server?.start({ sabotage: 'old-epoch' })
      return (await device(url).info()).epoch === epoch
    },
  ],
] as const)("a server with the sabotage '%s' breaks its rule", async (sabotage, isBroken) => {
  server = await startLedgerServer({ sabotage })
  expect(await isBroken(server.url)).toBe(true)
})
