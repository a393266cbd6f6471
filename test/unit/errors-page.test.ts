// Each error ends with the address of its section in docs/errors.md, which must be there.
import { expect, test } from 'vitest'
import * as errors from '../../src/errors.js'
import * as file from '../../src/file/file-errors.js'
import * as postgres from '../../src/postgres/postgres-errors.js'
import * as server from '../../src/server/request-refused.js'
import * as sync from '../../src/sync/sync-refused.js'
import { readChecked } from '../../scripts/words.mjs'

const page = readChecked('docs/errors.md')
const [, union = ''] = /export type TidemarkErrorCode =\n([\s\S]*?)\n\n/.exec(readChecked('src/errors.ts')) ?? []
const codes = [...union.matchAll(/'([a-z-]+)'/g)].map(([, code = '']) => code)
const sections = [...page.matchAll(/^### (.+)\n\n([\s\S]*?)(?=^##|$(?![\s\S]))/gm)].map(
  ([, title = '', text = '']) => ({
    title,
    text,
  }),
)

test('every code has a section of its own, and no section is left of a code that went', () => {
  expect(codes.length).toBeGreaterThan(20)
  expect(sections.map(({ title }) => title).sort()).toEqual([...codes].sort())
})

test('the guide names every code as well', () => {
  const [, table = ''] = /^## Errors\n([\s\S]*?)^## /m.exec(readChecked('docs/guide.md')) ?? []
  expect(codes.filter((code) => !table.includes(`\`${code}\``))).toEqual([])
})

test('a section begins with the class of the error, and every class has one', () => {
  const classes = Object.entries({ ...errors, ...server, ...file, ...postgres, ...sync }).flatMap(([name, value]) =>
    typeof value === 'function' && value.prototype instanceof errors.TidemarkError ? [name] : [],
  )
  const named = sections.map(({ text }) => /^`(\w+)`/.exec(text)?.[1])
  expect(new Set(named)).toEqual(new Set(classes))
})

test('a message ends with the address of its section', () => {
  expect(new errors.ClosedError('The store').message).toMatch(/\/errors\/closed$/)
})
