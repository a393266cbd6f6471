// What the engines ask of the tests that run in them, said here, where it is known at once and without a browser.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const tests = fileURLToPath(new URL('..', import.meta.url))
const files = ['browser', 'contract', 'engines'].flatMap((folder) =>
  readdirSync(join(tests, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.node.test.ts'))
    .map((path) => join(folder, path)),
)

test('what runs in browsers is closed by name: WebKit has no Symbol.asyncDispose for `await using`', () => {
  expect(files.length).toBeGreaterThan(20)
  expect(files.filter((path) => /\bawait using\b/.test(readFileSync(join(tests, path), 'utf8')))).toEqual([])
})
