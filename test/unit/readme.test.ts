// What the README shows must work when it is pasted.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { transformWithOxc } from 'vite'
import { expect, test } from 'vitest'
import * as tidemark from 'tidemark'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'

fakeIndexedDB()

const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8')
const [example = ''] = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code)

test('the first example runs as it is, and shows what it says', async () => {
  const logged: unknown[] = []
  const { code } = await transformWithOxc(example, 'example.ts')
  const body = code
    .replace(/import (\{[\s\S]*?\}) from ["']tidemark["'];?/, 'const $1 = given;')
    .replace(/^export /m, '')
  expect(body).not.toMatch(/import |export /)
  const AsyncFunction = (async () => {}).constructor as new (
    ...parts: string[]
  ) => (...given: unknown[]) => Promise<{ close(): Promise<void> }>
  const desk = await new AsyncFunction('given', 'console', `${body}; return desk`)(tidemark, {
    log: (value: unknown) => logged.push(value),
  })
  await expect
    .poll(() => logged.at(-1))
    .toMatchObject({ status: 'ready', data: [{ code: 'LAS', landed: 1, delay: 12 }] })
  await desk.close()
})
