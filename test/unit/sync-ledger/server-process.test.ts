/** The servers of the ledger: what is there after they were killed, and after they were restored. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { beginLog } from '../../sync-ledger/begin-log.js'
import type { BackupWay, LedgerServer, ServerKind } from '../../sync-ledger/ledger-server.js'
import { startLedgerServer } from '../../sync-ledger/start-server.js'
import { hasBinaries } from '../../support/postgres/server.js'
import { device } from './device.js'

const kinds: [ServerKind, boolean, BackupWay[]][] = [
  ['file', true, [{ by: 'copy', isServed: false }]],
  [
    'postgres',
    hasBinaries(),
    [
      { by: 'copy', isServed: false },
      { by: 'dump', isServed: true },
    ],
  ],
]

describe.each(kinds)('with logs of the kind %s', (kind, isThere, ways) => {
  let server: LedgerServer
  beforeAll(async () => {
    if (isThere) server = await startLedgerServer(kind)
  }, 60_000)
  afterAll(async () => {
    if (isThere) await server.dispose()
  }, 60_000)

  test.runIf(isThere)('killed before a commit is stored: no response, and no commit', async () => {
    const anna = device(server.url, 'before')
    await server.arm({ when: 'before', commit: 2 }, 'before')
    expect(await anna.push('a')).toEqual([{ id: 'a', accepted: 1 }])
    await expect(anna.push('b')).rejects.toThrow()
    expect(await server.ended()).toBe(true)
    expect(server.pid).toBeUndefined()
    await server.start()
    expect(await anna.ids()).toEqual(['a'])
    expect(await anna.push('b')).toEqual([{ id: 'b', accepted: 2 }])
  })

  test.runIf(isThere)('killed after a commit is stored: no response, and a repeat is accepted as before', async () => {
    const { url } = server
    const anna = device(url, 'after')
    await server.arm({ when: 'after', commit: 1 }, 'after')
    await expect(anna.push('a')).rejects.toThrow()
    await server.ended()
    await server.start()
    expect(server.url).toBe(url)
    expect(await anna.ids()).toEqual(['a'])
    expect(await anna.push('a')).toEqual([{ id: 'a', accepted: 1 }])
    expect(await anna.ids()).toEqual(['a'])
    await server.kill()
    expect(await server.ended()).toBe(false)
    await server.start()
  })

  test.runIf(isThere).each(ways)(
    'restored from a $by, served: $isServed: what came later is gone, in another epoch',
    async (way) => {
      const anna = device(server.url, `restored-${way.by}`)
      await anna.push('a')
      const backup = await server.backup(way)
      await anna.push('b')
      expect(await anna.push('c', { type: 'Refused' })).toMatchObject([{ id: 'c', refused: { code: 'by-rule' } }])
      const before = await anna.info()
      await server.restore(backup)
      const after = await anna.info()
      expect([after.log === before.log, after.epoch === before.epoch]).toEqual([true, false])
      expect(await anna.ids()).toEqual(['a'])
      expect(await anna.push('d')).toEqual([{ id: 'd', accepted: 2 }])
    },
  )

  test.runIf(isThere).each(ways)(
    'restored from a $by that has a log which was only begun, served: $isServed: it is the same log, and empty',
    async (way) => {
      const log = `begun-${way.by}`
      await beginLog(server.url, log)
      const backup = await server.backup(way)
      const anna = device(server.url, log)
      await anna.push('a')
      const before = await anna.info()
      await server.restore(backup)
      const after = await anna.info()
      expect([after.log === before.log, after.epoch === before.epoch, after.head]).toEqual([true, false, 0])
      expect(await anna.push('a')).toEqual([{ id: 'a', accepted: 1 }])
    },
  )

  test.runIf(isThere && kind === 'postgres')('a database that crashes, and a connection that is cut', async () => {
    const anna = device(server.url, 'crashed')
    await anna.push('a')
    const { epoch } = await anna.info()
    await server.database?.crash(20)
    expect(await anna.ids()).toEqual(['a'])
    expect((await anna.info()).epoch).not.toBe(epoch)
    server.database?.cut(1, 'before')
    expect((await anna.ask('info')).status).toBe(503)
    expect(await anna.push('b')).toEqual([{ id: 'b', accepted: 2 }])
  })
})

let broken: LedgerServer | undefined
afterEach(async () => {
  await broken?.dispose()
  broken = undefined
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
      await broken?.kill()
      await broken?.start()
      return (await device(url).info()).epoch === epoch
    },
  ],
] as const)("a server with the sabotage '%s' breaks its rule", async (sabotage, isBroken) => {
  broken = await startLedgerServer('file', { sabotage })
  expect(await isBroken(broken.url)).toBe(true)
})
