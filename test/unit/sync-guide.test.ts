// What docs/sync.md shows must compile and run, all of it, in its order, with a real server.
import * as http from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { transformWithOxc } from 'vite'
import { expect, test } from 'vitest'
import * as zod from 'zod'
import * as tidemark from 'tidemark'
import * as file from 'tidemark/file'
import * as server from 'tidemark/server'
import * as sync from 'tidemark/sync'
import * as testing from 'tidemark/testing'
import { blocksOf, compiled } from '../support/doc-blocks.js'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'

fakeIndexedDB()

const code = blocksOf('sync.md', 'ts').join('\n')

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

test('it compiles', { timeout: 120_000 }, async () => {
  expect(await compiled('sync-guide', code)).toBe('')
})

test('it runs, and what its comments say is so', { timeout: 60_000 }, async () => {
  const { code: script } = await transformWithOxc(code, 'guide.ts')
  const folder = mkdtempSync(join(tmpdir(), 'sync-guide-'))
  const body = script
    .replace(
      /^import (\{[^}]*\}) from ["']([^"']+)["'];?/gm,
      (_, names: string, from: string) => `const ${names.replaceAll(' as ', ': ')} = modules["${from}"];`,
    )
    .replaceAll('8787', `${await freePort()}`)
    .replace(/["']shop\.log["']/, JSON.stringify(join(folder, 'shop.log')))
  expect(body).not.toMatch(/^import /m)
  const AsyncFunction = (async () => {}).constructor as new (
    ...parts: string[]
  ) => (...given: unknown[]) => Promise<Record<string, unknown>>
  const logged: unknown[] = []
  const said = await new AsyncFunction(
    'modules',
    'console',
    `${body}; return { lines, settled, hasAll, head, pending, herSeat, hisSeat, once, found, codec, taken, left, operated, end, counts }`,
  )(
    {
      tidemark,
      'tidemark/file': file,
      'tidemark/server': server,
      'tidemark/sync': sync,
      'tidemark/testing': testing,
      'node:http': http,
      zod,
    },
    { log: (...values: unknown[]) => logged.push(values), error: (...values: unknown[]) => logged.push(values) },
  ).finally(() => rmSync(folder, { recursive: true, force: true }))
  expect(said).toMatchObject({
    lines: [{ sku: 'A1', quantity: 2 }],
    settled: { status: 'confirmed', position: 1 },
    head: 1,
    pending: 0,
    herSeat: { seat: '1A', by: 'anna' },
    hisSeat: { seat: '2C', by: 'bert' },
    once: { status: 'idle', cursor: 1 },
    found: 1,
    taken: [{ sku: 'B2', quantity: 1 }],
    left: [],
  })
  expect(logged).toEqual([['confirmed', 1]])
  const { operated, end, counts } = said as never as {
    operated: http.Server
    end: () => Promise<void>
    counts: Map<string, number>
  }
  const base = `http://127.0.0.1:${(operated.address() as AddressInfo).port}`
  const asked = (path: string) => fetch(`${base}/${path}`, { headers: { 'Tidemark-Sync': '1' } })
  const [alive, ready, info, wake] = await Promise.all(['healthz', 'readyz', 'info', 'wake'].map(asked))
  expect([alive, ready, info, wake].map((response) => response?.status)).toEqual([200, 200, 200, 200])
  expect(Object.fromEntries(counts)).toEqual({ 'info 200': 1, 'wake 200': 1 })
  const read = Promise.all([alive, ready, info].map((response) => response!.text()))
  await end()
  expect(await wake!.text()).toMatch(/^data: /)
  await read
  const { hasAll } = said as {
    hasAll: (status: object, model: { position: number }) => boolean
  }
  expect(hasAll({ cursor: 0, head: 0 }, { position: 0 })).toBe(false)
  expect(hasAll({ cursor: 0, head: 0, lastContact: 1 }, { position: 0 })).toBe(true)
  expect(hasAll({ cursor: 0, head: 3, lastContact: 1 }, { position: 0 })).toBe(false)
  expect(hasAll({ cursor: 3, head: 3, lastContact: 1 }, { position: 2 })).toBe(false)
  expect(hasAll({ cursor: 3, head: 3 }, { position: 3 })).toBe(true)
  const { codec } = said as { codec: Required<tidemark.EventStoreOptions<tidemark.EventShape>>['codec'] }
  const event = { type: 'Added', stream: 's', id: '1' }
  const sealed = await codec.encode({ secret: 1 }, event)
  expect(JSON.stringify(sealed)).not.toContain('secret')
  const stored = { ...event, encoded: true }
  expect(await codec.decode(sealed, stored)).toEqual({ secret: 1 })
  await expect(codec.decode(sealed, { ...stored, id: '2' })).rejects.toThrow()
  await expect(codec.decode({ secret: 1 }, { ...event, encoded: false })).rejects.toThrow('not encrypted')
})
