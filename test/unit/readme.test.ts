// What the README shows must work when it is pasted.
import 'fake-indexeddb/auto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { transformWithOxc } from 'vite'
import { expect, test } from 'vitest'
import * as tidemark from 'tidemark'

const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8')
const [example = ''] = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code)

test('the first example runs as it stands, and shows what it says', async () => {
  const logged: unknown[] = []
  const { code } = await transformWithOxc(example, 'example.ts')
  const body = code.replace(/import (\{[\s\S]*?\}) from ["']tidemark["'];?/, 'const $1 = tidemark;')
  expect(body).not.toContain('import ')
  const AsyncFunction = (async () => {}).constructor as new (...parts: string[]) => (...given: unknown[]) => Promise<{
    store: tidemark.TidemarkStore
    projection: tidemark.ProjectionHandle
    view: { close(): Promise<void> }
  }>
  const { store, projection, view } = await new AsyncFunction(
    'tidemark',
    'console',
    `${body}; return { store, projection, view }`,
  )(tidemark, { log: (value: unknown) => logged.push(value) })
  await expect
    .poll(() => logged.at(-1))
    .toMatchObject({ status: 'ready', data: [{ code: 'LAS', landed: 1, delay: 12 }] })
  await projection.stop()
  await view.close()
  await store.close()
})
