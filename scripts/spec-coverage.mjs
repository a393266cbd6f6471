// Writes docs/spec-coverage.md from the titles of the tests: `node scripts/spec-coverage.mjs`.
// A title counts for the cases that it begins with, 'S5: …', 'R3, R4: …', 'K1–K4: …', and for those it names later with a colon. A bare H is a
// hazard there; the cases of SPEC 3.7 of that prefix are written 'SPEC H1: …'.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

const sections = [
  ['Values, declarations, write batches', 'V', 20],
  ['Store', 'S', 20],
  ['Reader', 'R', 10],
  ['Checkpoints', 'K', 5],
  ['Coordination', 'L', 6],
  ['Projection runner', 'P', 30],
  ['Commands', 'X', 30],
  ['Chaos', 'H', 6],
  ['Stress', 'Z', 5],
  ['Merge', 'M', 2],
  ['New cases', 'N', 46],
]

/** Why a case has no test, and will have none before something changes. The one place for that. */
const reasons = {
  S10: 'there are no snapshots yet',
  S11: 'there are no snapshots yet',
  S20: 'a browser store is shared by all tabs on purpose: there is no place that allows one owner',
  X28: 'there are no snapshots yet',
  X29: 'there are no snapshots yet',
  M1: 'there is no merging of copies yet',
  M2: 'there is no merging of copies yet',
  N35: 'there are no reactions yet, and a projection writes to its read model only',
}

const numbers = String.raw`(?:SPEC )?[A-Z]\d+(?:(?:, |–|-)[A-Z]?\d+)*`
const title = new RegExp(`^${numbers}: .`)
/** A title of a table of tests, whose rows begin with a number each: `test.for([['P22', …], ['P23', …]])('%s: …')`. */
const tableTitle = /^%s: (?!%s$)./
const literal = /(['"`])((?:(?!\1)[^\\\n]|\\.)*)\1/g

/** Every title, with the cases that it stands for. */
function* titlesIn(code) {
  const withoutComments = code.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
  let rows = []
  for (const [, quote, raw] of withoutComments.matchAll(literal)) {
    const text = raw.replaceAll(`\\${quote}`, quote)
    if (/^[A-Z]\d+$/.test(text)) rows.push(text)
    else if (tableTitle.test(text)) {
      for (const id of rows) yield { text: id + text.slice(2), ids: [id] }
      rows = []
    } else if (title.test(text)) {
      yield {
        text,
        ids: [...new Set([...text.matchAll(new RegExp(`\\b(${numbers}):`, 'g'))].flatMap(([, head]) => casesOf(head)))],
      }
      rows = []
    }
  }
}

function casesOf(head) {
  const ids = []
  let letter = ''
  for (const [, own, from, to] of head.matchAll(/([A-Z]?)(\d+)(?:[–-][A-Z]?(\d+))?/g)) {
    letter = own || letter
    for (let n = Number(from); n <= Number(to ?? from); n += 1)
      if (letter !== 'H' || head.startsWith('SPEC ')) ids.push(letter + n)
  }
  return ids
}

const files = ['src/testing', 'test']
  .flatMap((root) =>
    readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => `${root}/${path}`),
  )
  .sort()
const tests = new Map()
for (const file of files) {
  for (const { text, ids } of titlesIn(readFileSync(file, 'utf8'))) {
    for (const id of ids) tests.set(id, [...(tests.get(id) ?? []), { file, text }])
  }
}

const cases = sections.flatMap(([, letter, count]) =>
  Array.from({ length: count }, (_, index) => `${letter}${index + 1}`),
)
const stale = Object.keys(reasons).filter((id) => tests.has(id) || !cases.includes(id))
if (stale.length > 0)
  throw new Error(
    `These have a test, or are no case: take their reason out of scripts/spec-coverage.mjs: ${stale.join(', ')}`,
  )
const unknown = [...tests.keys()].filter(
  (id) => !cases.includes(id) && sections.some(([, letter]) => id.startsWith(letter)),
)
if (unknown.length > 0)
  throw new Error(`The SPEC has no such case: ${unknown.map((id) => `${id} in ${tests.get(id)[0].file}`).join(', ')}`)

const escaped = (text) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
const entry = (id) => {
  const found = tests.get(id)
  if (found === undefined) return [`- **${id}** ${reasons[id] === undefined ? 'not yet' : `no test: ${reasons[id]}`}`]
  return [`- **${id}**`, ...found.map(({ file, text }) => `  - \`${file}\`: ${escaped(text)}`)]
}
const missing = cases.filter((id) => !tests.has(id) && reasons[id] === undefined)
const summary = `${cases.filter((id) => tests.has(id)).length} of ${cases.length} cases have a test; not yet: ${missing.join(', ') || 'none'}.`
writeFileSync(
  'docs/spec-coverage.md',
  [
    '# Which test covers which SPEC case',
    '',
    'Read off the titles of the tests by `node scripts/spec-coverage.mjs`. "not yet" means that no title begins with the number, whatever the code does.',
    '',
    summary,
    ...sections.flatMap(([name, letter]) => [
      '',
      `## ${name} (${letter})`,
      '',
      ...cases.filter((id) => id.startsWith(letter)).flatMap(entry),
    ]),
    '',
  ].join('\n'),
)
console.log(summary)
