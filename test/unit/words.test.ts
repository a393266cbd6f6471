// The docs, comments and messages are plain English: no word of the list in scripts/words.mjs, no long paragraph or table cell.
import { describe, expect, test } from 'vitest'
import { checkedFiles, proseOfMarkdown, proseOfSource, readChecked, wordFindings } from '../../scripts/words.mjs'

/** What is not clean yet, and how many findings it may have. A number may only become smaller; a path that is not named has none. */
const budgets: Readonly<Record<string, number>> = {
  'src/log': 1,
  'src/maintenance': 29,
  'src/projection': 2,
  'src/read-model': 3,
  'src/running': 1,
}

const inside = (path: string, folder: string) => path === folder || path.startsWith(`${folder}/`)
const budgetOf = (path: string) =>
  Object.keys(budgets).find((folder) => inside(path, folder) && !(path.endsWith('.md') && !folder.endsWith('.md')))

// The list itself names what it refuses; what is in `etc` is written by a script.
const files = checkedFiles().filter(
  (path) =>
    (path.endsWith('.md') && !path.startsWith('etc/')) ||
    (/^(?:src|demo|bench|scripts)\//.test(path) && path !== 'scripts/words.mjs'),
)
const findings = files.map((path) => ({
  path,
  found: wordFindings(path, readChecked(path)).map(({ line, found, use }) => `${path}:${line}: "${found}" → ${use}`),
}))

describe('plain English', () => {
  test('in every file that is not named as unfinished', () => {
    expect(findings.filter(({ path }) => budgetOf(path) === undefined).flatMap(({ found }) => found)).toEqual([])
  })

  test.each(Object.entries(budgets))('%s has no more findings than %i', (folder, budget) => {
    const here = findings.filter(({ path }) => budgetOf(path) === folder).flatMap(({ found }) => found)
    expect(here.length, here.join('\n')).toBeLessThanOrEqual(budget)
  })

  test('is looked for in all there is', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'README.md',
        'docs/guide.md',
        'docs/decisions/README.md',
        'src/index.ts',
        'demo/src/main.ts',
        'bench/run.mjs',
      ]),
    )
  })
})

const wordsIn = (path: string, text: string) => wordFindings(path, text).map(({ line, found }) => `${line}: ${found}`)

describe('the check of words', () => {
  test('finds whole words in comments and strings, with their lines', () => {
    const source = [
      "const standard = 'a standard beside another' // anew",
      '/**',
      ' * Whoever leads.',
      ' */',
      'const beside = `at once ${`nested ${beside} stands`} and somebody`',
      'const pattern = /beside "anew/.test(text) // nobody',
      'const half = (a + b) / 2 // goes on',
      "const escaped = 'it\\'s mended'",
    ].join('\n')
    expect(wordsIn('a.ts', source)).toEqual([
      '1: beside',
      '1: anew',
      '3: Whoever',
      '5: stands',
      '5: at once',
      '5: somebody',
      '6: nobody',
      '7: goes on',
      '8: mended',
    ])
  })

  test('names no code, but the comments of examples in Markdown', () => {
    expect(wordsIn('a.ts', '// the option `beside` of `"anew"`')).toEqual([])
    const page = 'The key `letters`, and [a page](beside.md).\n\n```ts\nanew() // beside\n```\n\nanew'
    expect(wordsIn('a.md', page)).toEqual(['7: anew', '4: beside'])
  })

  test('lets the uses pass that mean something else', () => {
    expect(
      wordsIn(
        'a.md',
        'UUID stands for a name. A dead letter in a stand-alone page. There is none. A bathroom, an outstanding request, an answer.',
      ),
    ).toEqual([])
  })

  test('knows a long paragraph, a long cell and a line break within a sentence', () => {
    expect(wordsIn('a.md', `${'word '.repeat(121)}\n\n- ${'word '.repeat(120)}`)).toEqual([
      '1: a paragraph of 121 words',
    ])
    expect(wordsIn('a.md', `| a | b |\n| --- | --- |\n| ${'x'.repeat(301)} | ${'y'.repeat(300)} |`)).toEqual([
      '3: a table cell of 301 characters',
    ])
    expect(wordsIn('a.md', 'One sentence.\nAnother one, which\nbreaks.\n\n- An item\n- Another item')).toEqual([
      '2: a line break within a sentence',
    ])
  })

  test('takes headings, items, cells and paragraphs apart, and leaves out fences', () => {
    const kinds = proseOfMarkdown(
      '# Title\ntext\nmore\n- item\n  of it\n\n| a | b\\|c |\n|---|---|\n```\nno\n```\nlast',
    ).map(({ kind, lines }) => `${kind}: ${lines.join('/')}`)
    expect(kinds).toEqual([
      'heading: # Title',
      'paragraph: text/more',
      'paragraph: - item/  of it',
      'cell: a',
      'cell: b\\|c',
      'paragraph: last',
    ])
  })

  test('reads a source to its end, whatever signs are in its strings and patterns', () => {
    const source = 'f(/[/"]`/g, "/*", \'//\', `${ {a: "}"}.a }`) /* c */; x = a / b / "s"; return /\'/ // end'
    expect(proseOfSource(source).map(({ text }) => text)).toEqual(['/*', '//', '}', '…', '/* c */', 's', '// end'])
  })
})
