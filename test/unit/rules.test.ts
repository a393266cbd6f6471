// The books of rules, docs/rules.md and docs/hazards.md: what is cited is there, and what is there has a test or says why not.
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { citationsIn, coverage, coveredIn, readBooks, readTexts } from '../../scripts/rules.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
const books = readBooks()
// This file is about citations, and makes some up.
const texts = readTexts().filter(({ file }) => !file.endsWith('test/unit/rules.test.ts'))
const families = new Set(books.map(({ id }) => id.slice(0, 1)))

test('each rule has one number, and its anchor is that number', () => {
  expect(books.length).toBeGreaterThan(250)
  const ids = books.map(({ id }) => id)
  expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([])
  expect(books.filter(({ id, anchor }) => anchor !== id.toLowerCase())).toEqual([])
})

test('every number that is cited anywhere is in one of the books', () => {
  const known = new Set(books.map(({ id }) => id))
  const unknown = texts.flatMap((text) =>
    citationsIn(text, families)
      .filter((id) => !known.has(id))
      .map((id) => `${id} in ${text.file}`),
  )
  expect(unknown).toEqual([])
})

test('no published declaration cites a number: users have no book', { timeout: 60_000 }, async () => {
  const outDir = await mkdtemp(join(tmpdir(), 'tidemark-declarations-'))
  try {
    await promisify(execFile)(
      process.execPath,
      [compiler, '-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', outDir],
      { cwd: root },
    )
    const declarations = readdirSync(outDir, { recursive: true, encoding: 'utf8' }).filter((path) =>
      path.endsWith('.d.ts'),
    )
    expect(declarations).toContain('index.d.ts')
    const cited = declarations.flatMap((file) =>
      citationsIn({ file, text: readFileSync(join(outDir, file), 'utf8') }, families).map((id) => `${id} in ${file}`),
    )
    expect(cited, 'say the reason in words, or cite it in a comment with //').toEqual([])
  } finally {
    await rm(outDir, { recursive: true, force: true })
  }
})

test('no text refers to a book that is not in this project', () => {
  const foreign = ['spec', 'hazards', 'demands', 'house', 'joy', 'limits', 'mutants']
    .map((name) => name.toUpperCase())
    .join('|')
  const files = ['design', 'style', 'sync', 'api', 'toolchain']
    .map((name) => String.raw`${name.toUpperCase()}\.md`)
    .join('|')
  const pattern = new RegExp(String.raw`\b(?:${foreign}|${files})\b`, 'g')
  expect(texts.flatMap(({ file, text }) => [...text.matchAll(pattern)].map(([name]) => `${name} in ${file}`))).toEqual(
    [],
  )
})

test('every rule has a test, or says why there is none', () => {
  const tests = coverage(texts)
  expect(
    books
      .filter(({ id, hasTest }) => hasTest && !tests.has(id))
      .map(({ id }) => `${id} has no test: name it in a title, or say "No test: …"`),
  ).toEqual([])
  expect(
    books
      .filter(({ id, hasTest }) => !hasTest && tests.has(id))
      .map(({ id }) => `${id} has a test: ${tests.get(id)?.join(', ')}`),
  ).toEqual([])
})

test('a new rule without a test, and a number that no book has, are noticed', () => {
  const added = readBooks((file) =>
    file === 'docs/rules.md' ? '- <a id="n99"></a>**N99** New.\n- <a id="n98"></a>**N98** Newer. No test: why.\n' : '',
  )
  expect(added).toMatchObject([
    { id: 'N99', hasTest: true },
    { id: 'N98', hasTest: false },
  ])
  expect(coverage([{ file: 'src/log/open.ts', text: "test('N99: …')" }]).has('N99')).toBe(false)
  expect(coverage([{ file: 'test/unit/a.test.ts', text: "test('N99: …')" }]).get('N99')).toEqual([
    'test/unit/a.test.ts',
  ])
})

test('titles cover what they begin with, what they name later, and what is in brackets', () => {
  expect(coveredIn("test('N17, N18: a, and N20: b (H3–H5, H7)', () => {}) // N1: no title").sort()).toEqual([
    'H3',
    'H4',
    'H5',
    'H7',
    'N17',
    'N18',
    'N20',
  ])
  expect(coveredIn("test.for([['P22', 50], ['P23', 100]])('%s: the delay doubles', () => {})")).toEqual(['P22', 'P23'])
  expect(coveredIn("// H25: reads that return nothing.\n// S1: another comment\nexpect('S2').toBe('S2')")).toEqual([
    'H25',
  ])
})

test('a citation is told from what has the form of one', () => {
  const cited = (file: string, text: string) => citationsIn({ file, text }, families)
  expect(cited('src/a.ts', '// So that it stays (N19), as I4 and V1–V3 say.')).toEqual(['N19', 'I4', 'V1', 'V2', 'V3'])
  expect(cited('test/a.ts', "test('Q7: of a family that no book has')")).toEqual(['Q7'])
  expect(cited('demo/a.ts', "assign('gate-B7', { gate: 'C3' }) // N15")).toEqual(['N15'])
  expect(cited('bench/a.ts', "'raw, a record per event (L1)', 'in one commit (P4)', 'L5'")).toEqual(['L5'])
  expect(cited('test/mutants/a.mjs', "{ id: 'P31', breaks: 'N19' }")).toEqual(['N19'])
  expect(cited('demo/a.html', "<h2>S3</h2><path d='M6 21c3.3-3.4 6.7H9' />")).toEqual(['S3'])
  expect(cited('src/a.ts', "'#F60', x86, '%N2', n19, N1234, S3x, UTF8")).toEqual([])
})
