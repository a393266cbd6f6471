// What the guide shows must compile and run, all of it, in its order.
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { transformWithOxc } from 'vite'
import { expect, test } from 'vitest'
import * as tidemark from 'tidemark'
import * as testing from 'tidemark/testing'
import * as zod from 'zod'
import { guideBlock } from '../bindings/guide-blocks.js'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'

fakeIndexedDB()

const root = fileURLToPath(new URL('../..', import.meta.url))
const guide = readFileSync(join(root, 'docs', 'guide.md'), 'utf8')
const code = [...guide.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, block]) => block).join('\n')

test('the guide compiles', { timeout: 120_000 }, async () => {
  const at = join(root, '.cache', 'guide')
  mkdirSync(at, { recursive: true })
  writeFileSync(join(at, 'guide.ts'), code)
  const files = ['basket.test.tsx', 'shop.ts', 'notes.tsx']
  for (const file of files) writeFileSync(join(at, file), guideBlock(file))
  writeFileSync(
    join(at, 'tsconfig.json'),
    JSON.stringify({
      extends: '../../tsconfig.json',
      compilerOptions: { noEmit: true, noUnusedLocals: false, jsx: 'react-jsx', types: ['node', 'vite/client'] },
      include: ['guide.ts', ...files, '../../src/platform/globals.d.ts'],
    }),
  )
  const compiled = await promisify(execFile)(process.execPath, [
    join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
    '-p',
    at,
  ]).catch((error: { stdout: string }) => error)
  expect(compiled.stdout).toBe('')
})

test('the guide runs, and what its comments say is so', async () => {
  const { code: script } = await transformWithOxc(code, 'guide.ts')
  const body = script.replace(/^import (\{[^}]*\}) from ["']([^"']+)["'];?/gm, 'const $1 = modules["$2"];')
  expect(body).not.toMatch(/^import /m)
  const AsyncFunction = (async () => {}).constructor as new (
    ...parts: string[]
  ) => (...given: unknown[]) => Promise<Record<string, unknown>>
  const logged: unknown[] = []
  const said = await new AsyncFunction(
    'modules',
    'console',
    `${body}; return { added, prize, first, again, one, result, bought, tooMuch, ok, defects, rows, sent, usage, phase, behind }`,
  )({ tidemark, 'tidemark/testing': testing, zod }, { log: (...values: unknown[]) => logged.push(values) })
  expect(said).toMatchObject({
    added: { position: 2, versions: { 'basket-1': 2 } },
    prize: 'condition-failed',
    first: { position: 4, duplicate: false },
    again: { position: 4, duplicate: true },
    one: { id: 'basket-1', items: 3, total: 4200 },
    result: { type: 'refused', reason: 'it was placed already', attempts: 1 },
    bought: { type: 'accepted', events: [{ type: 'StockChanged', data: { by: -2 }, stream: 'tea' }] },
    tooMuch: { type: 'refused', reason: 'not enough of tea', attempts: 1 },
    ok: true,
    defects: [],
    rows: { ok: true },
    sent: { size: 1 },
    phase: 'live',
    behind: 0,
  })
  expect(logged).toContainEqual([3, 'OrderPlaced'])
  expect(logged).toContainEqual([1, 'ItemAdded', 'cannot be counted'])
})
