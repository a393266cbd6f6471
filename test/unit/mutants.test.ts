// A list of mutants that no longer fits the code proves nothing, so it may not go stale unnoticed.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { readMutants, staleMutants } from '../../scripts/mutant-list.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('every mutant fits the code, and the tests that should notice it exist', async () => {
  const mutants = await readMutants(root)
  expect(mutants.length).toBeGreaterThan(400)
  expect(staleMutants(mutants, root)).toEqual([])
})

test('every mutant has a name of its own within its list', async () => {
  const names = (await readMutants(root)).map(({ list, id }) => `${list} ${id}`)
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
})

const elsewhere = mkdtempSync(join(tmpdir(), 'tidemark-mutants-'))
mkdirSync(join(elsewhere, 'src'))
writeFileSync(join(elsewhere, 'src', 'a.ts'), 'const a = 1\nconst b = 1\n')
writeFileSync(join(elsewhere, 'src', 'a.test.ts'), '')
afterAll(() => rmSync(elsewhere, { recursive: true }))

const mutant = {
  id: 'A1',
  list: 'a.mjs',
  file: 'src/a.ts',
  find: 'const a = 1',
  replace: 'const a = 2',
  tests: ['src/a.test.ts'],
  breaks: 'a',
}

test.for<[string, Partial<typeof mutant & { equivalent: string }>, readonly string[]]>([
  ['that fits', {}, []],
  ['of a file that is gone', { file: 'src/b.ts' }, ['a.mjs A1: there is no src/b.ts']],
  ['of a text that is gone', { find: 'const c' }, ['a.mjs A1: its text is found 0 times in src/a.ts, not once']],
  ['of a text that is there twice', { find: '= 1' }, ['a.mjs A1: its text is found 2 times in src/a.ts, not once']],
  ['that changes nothing', { replace: 'const a = 1' }, ['a.mjs A1: it changes nothing']],
  ['whose test is gone', { tests: ['src/a.test.ts', 'src/b.test.ts'] }, ['a.mjs A1: there is no src/b.test.ts']],
  ['without tests', { tests: [] }, ['a.mjs A1: it names no test']],
  ['without tests that no test can notice', { tests: [], equivalent: 'why' }, []],
])('a mutant %s', ([, change, problems]) => {
  expect(staleMutants([{ ...mutant, ...change }], elsewhere)).toEqual(problems)
})
