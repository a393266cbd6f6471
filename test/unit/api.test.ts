// The public surface: every change of it shows in a diff, every name is documented, and every type can be imported.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { apiReport, readSurface } from '../../scripts/api-report.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cache = join(root, '.cache')
mkdirSync(cache, { recursive: true })
const folder = mkdtempSync(join(cache, 'api-test-'))
const surface = apiReport(folder)
afterAll(() => rmSync(folder, { recursive: true }))

/** Steps of types that are computed, such as `NotJson` and `FitsStore`: hidden in their files, as no app has a use for their names. */
const steps: readonly string[] = [
  'AsKey (read-model/table-keys.ts)',
  'At (read-model/index-paths.ts)',
  'Beginning (read-model/table-keys.ts)',
  'Bound (read-model/table-keys.ts)',
  'Bytes (read-model/table-keys.ts)',
  'Carried (events/catalogue-types.ts)',
  'Checked (read-model/index-paths.ts)',
  'CheckedItems (read-model/index-paths.ts)',
  'CheckedList (read-model/index-paths.ts)',
  'CheckedOptions (read-model/index-paths.ts)',
  'CheckedPath (read-model/index-paths.ts)',
  'Foreign (events/json-type.ts)',
  'Found (read-model/table-keys.ts)',
  'IndexKeyOf (read-model/table-keys.ts)',
  'Indexable (read-model/index-paths.ts)',
  'IndexableOf (read-model/index-paths.ts)',
  'IsAny (read-model/index-paths.ts)',
  'ItemAt (read-model/table-keys.ts)',
  'ItemOf (events/json-type.ts)',
  'ItemProblem (read-model/index-paths.ts)',
  'Json (events/json-type.ts)',
  'KeyAt (read-model/table-keys.ts)',
  'Kind (read-model/table-keys.ts)',
  'ListOf (read-model/index-paths.ts)',
  'Misfits (events/fits.ts)',
  'MissingIn (events/json-type.ts)',
  'NamesIn (read-model/table-keys.ts)',
  'OfIndex (read-model/selection.ts)',
  'Opaque (read-model/index-paths.ts)',
  'Place (events/json-type.ts)',
  'Problem (read-model/index-paths.ts)',
  'Refused (commands/define-command.ts)',
  'ReservedProblem (read-model/reserved-names.ts)',
]

test('the public surface is the one of etc/tidemark.api.md; `npm run api` rewrites it', () => {
  expect(surface.text).toBe(readFileSync(join(root, 'etc', 'tidemark.api.md'), 'utf8'))
})

test('every exported name has a doc comment', () => {
  expect(surface.undocumented).toEqual([])
})

test('every type that a signature names can be imported', () => {
  expect(surface.unexported).toEqual(steps)
})

/** The report on declarations as they are given. */
function report(files: Readonly<Record<string, string>>) {
  const elsewhere = mkdtempSync(join(tmpdir(), 'tidemark-api-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(elsewhere, name)), { recursive: true })
      writeFileSync(join(elsewhere, name), text)
    }
    const [first = '', ...others] = Object.keys(files).filter((name) => name.endsWith('index.d.ts'))
    return readSurface(
      elsewhere,
      Object.fromEntries([first, ...others].map((name) => [name, name.replace('.d.ts', '')])),
    )
  } finally {
    rmSync(elsewhere, { recursive: true })
  }
}

test('signatures are reported by name, without comments and what is private', () => {
  const { text } = report({
    'index.d.ts': "/** A b. */\nexport declare const b: 1\nexport { a as A } from './a.js'\n",
    'a.d.ts': 'export declare class a {\n  #private;\n  private secret;\n  /** What it is. */\n  open(): void;\n}\n',
  })
  expect(text.slice(text.indexOf('## '))).toBe(
    '## index.d.ts\n\n### A\n\n```ts\nclass a {\n  open(): void;\n}\n```\n\n### b\n\n```ts\nconst b: 1\n```\n',
  )
})

test('a name without a doc comment is found, in every entry', () => {
  const { undocumented } = report({
    'index.d.ts': '/** A. */\nexport declare const a: 1\nexport declare const b: 1\n',
    'more/index.d.ts': "export { a } from '../index.js'\n// No doc comment.\nexport type C = 1\n",
  })
  expect(undocumented).toEqual(['C', 'b'])
})

test('a type that cannot be imported is found, in signatures and behind other types, but not in another file of the entry', () => {
  const { unexported } = report({
    'index.d.ts':
      "import type { Hidden } from './types.js'\nexport type { Shown } from './types.js'\nexport declare function f<T>(a: Hidden, b: T): Promise<void>\n",
    'types.d.ts': [
      'export interface Hidden { readonly deeper: Deeper[] }',
      'interface Deeper { readonly back?: Hidden; readonly shown: Shown }',
      'export interface Shown extends Base<string> { readonly self?: Shown }',
      'interface Base<T> { readonly of: T }',
    ].join('\n'),
    'more/index.d.ts': "import type { Shown } from '../types.js'\nexport declare const shown: Shown\n",
  })
  expect(unexported).toEqual(['Base (types.ts)', 'Deeper (types.ts)', 'Hidden (types.ts)'])
})
