// The two books of rules, docs/rules.md and docs/hazards.md, read: `node scripts/rules.mjs N19 H31` prints rules with the
// test files that cover them, `node scripts/rules.mjs frozen` those with that word, and without an argument it prints
// those that have no test. test/unit/rules.test.ts keeps books, citations and tests together with the same functions.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { readFlags } from './flags.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const places = ['src', 'test', 'docs', 'bench', 'demo', 'scripts', 'README.md', 'CONTRIBUTING.md', 'CHANGELOG.md']
const texts = /\.(?:[cm]?[jt]sx?|md|html|css)$/
const tests = /^(?:test|src\/testing)\/.*\.ts$/

/** A list item of rules.md, or a row of hazards.md: its anchor, its number, what it says. */
const entry = /^(?:- |\| )<a id="([^"]*)"><\/a>(?:\*\*)?([A-Z]\d+)(?:\*\*)? (.*)$/gm
const withoutTest = /\bNo test\b/

/** One number, or several: `S5`, `H3, H4`, `K1–K4`. */
const numbers = String.raw`[A-Z]\d{1,3}(?:(?:, | and |–|-)[A-Z]\d{1,3})*`

/** What looks like the number of a rule and is the name of something else. */
const otherNames = [
  // Mutants, in their lists.
  { files: /^test\/mutants\//, text: /\bid: '[A-Z]\d+'/g },
  { files: /^docs\/mutants\.md$/, text: /^\| [A-Z]\d+ \||\bfor [A-Z]\d+ the\b/gm },
  // Layouts, projections and cases of the benchmarks.
  { files: /^(?:bench\/|docs\/bench\.md$)/, text: /\b(?:A[123]|L[126]|P[14])\b/g },
  // Gates of the airport in the demo, and an article in the guide.
  { files: /^(?:demo\/|docs\/guide\.md$|test\/e2e\/|test\/support\/)/, text: /\bgate-[A-Z]\d\b|(['"])[ABC]\d\1/g },
  // A variable of Windows.
  { files: /^scripts\//, text: /PROGRAMFILES\(X\d+\)/g },
  // The path of a drawing.
  { files: /\.html$/, text: /\bd='[^']*'/g },
]

/** Every text of the project, with its path from the root. */
export function readTexts() {
  const below = (path) =>
    readdirSync(path, { withFileTypes: true }).flatMap((each) => {
      // Folders with a dot hold what tests made.
      if (/^(?:node_modules|dist|\..*)$/.test(each.name)) return []
      const inside = join(path, each.name)
      return each.isDirectory() ? below(inside) : texts.test(each.name) ? [inside] : []
    })
  return places
    .flatMap((place) => (place.endsWith('.md') ? [join(root, place)] : below(join(root, place))))
    .map((path) => ({ file: relative(root, path).split(sep).join('/'), text: readFileSync(path, 'utf8') }))
}

/** Every rule, by its number. */
export function readBooks(read = (file) => readFileSync(join(root, file), 'utf8')) {
  return ['docs/rules.md', 'docs/hazards.md'].flatMap((file) =>
    [...read(file).matchAll(entry)].map(([, anchor, id, text]) => ({
      id,
      anchor,
      file,
      text,
      hasTest: !withoutTest.test(text),
    })),
  )
}

/** The numbers that a text cites: those of families that a book has, wherever they are, and of any family where they can be nothing else. */
export function citationsIn({ file, text }, families) {
  let rest = text
  for (const { files, text: pattern } of otherNames) if (files.test(file)) rest = rest.replace(pattern, '')
  const anywhere = rest.matchAll(new RegExp(String.raw`(?<![\w#&.$%/-])(${numbers})(?![\w%])`, 'g'))
  const certain = rest.matchAll(new RegExp(String.raw`\((${numbers})\)|(?<=['"\`/*] ?)(${numbers})(?=: )`, 'g'))
  const known = [...anywhere].flatMap(([, list]) => idsOf(list)).filter((id) => families.has(id.slice(0, 1)))
  return [...new Set([...known, ...[...certain].flatMap(([, inBrackets, inFront]) => idsOf(inBrackets ?? inFront))])]
}

/** `K1–K3, L1`: K1, K2, K3 and L1. */
function idsOf(list) {
  return [...list.matchAll(/([A-Z])(\d+)(?:[–-][A-Z](\d+))?/g)].flatMap(([, family, from, to = from]) =>
    Array.from({ length: Math.max(0, Number(to) - Number(from) + 1) }, (_, index) => family + (Number(from) + index)),
  )
}

const literal = /(['"`])((?:(?!\1)[^\\\n]|\\.)*)\1/g

/**
 * The rules that a test file covers, by its titles: `'S5, S6: …'`, `'… N20: …'`, `'… (H58)'`, the rows before a table of tests
 * (`test.for([['P22', …], ['P23', …]])('%s: …')`), and the comment in its first line.
 */
export function coveredIn(text) {
  const covered = new Set()
  const add = (list) => idsOf(list).forEach((id) => covered.add(id))
  const [first = ''] = text.split('\n', 1)
  if (/^\/[/*]/.test(first)) for (const [list] of first.matchAll(new RegExp(String.raw`\b${numbers}\b`, 'g'))) add(list)
  let rows = []
  for (const [, , title] of text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '$1')
    .matchAll(literal)) {
    if (/^[A-Z]\d+$/.test(title)) rows.push(title)
    else if (title.startsWith('%s: ')) {
      rows.forEach(add)
      rows = []
    } else {
      for (const [, inBrackets, inFront] of title.matchAll(
        new RegExp(String.raw`\((${numbers})\)|(?:^|\s)(${numbers}):`, 'g'),
      ))
        add(inBrackets ?? inFront)
    }
  }
  return [...covered]
}

/** The test files of each rule. */
export function coverage(files = readTexts()) {
  const found = new Map()
  for (const { file, text } of files.filter(({ file }) => tests.test(file))) {
    for (const id of coveredIn(text)) found.set(id, [...(found.get(id) ?? []), file])
  }
  return found
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { positionals } = readFlags(import.meta.url, {}, { allowPositionals: true })
  const books = readBooks()
  const files = coverage()
  const isNumber = (text) => /^[A-Z]\d+$/i.test(text)
  const asked = positionals.filter(isNumber).map((id) => id.toUpperCase())
  const words = positionals.filter((each) => !isNumber(each)).map((each) => each.toLowerCase())
  const isAsked = ({ id, text }) => asked.includes(id) || words.some((each) => text.toLowerCase().includes(each))
  const unknown = asked.filter((id) => !books.some((rule) => rule.id === id))
  for (const id of unknown) console.error(`${id} is in neither docs/rules.md nor docs/hazards.md.`)
  if (unknown.length > 0) process.exitCode = 1
  for (const rule of books.filter((each) => (positionals.length > 0 ? isAsked(each) : !files.has(each.id)))) {
    const { id, file, anchor, text } = rule
    console.log(`${id} (${file}#${anchor}): ${text}`)
    for (const test of files.get(id) ?? []) console.log(`  ${test}`)
  }
}
