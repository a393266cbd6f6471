// Plain English, checked: `node scripts/words.mjs [file or folder …]` prints what test/unit/words.test.ts would refuse.
// Markdown is checked for words, for the length of paragraphs and table cells, and for line breaks within a sentence,
// .ts, .mts and .mjs files for the words of their comments and strings, and so are the examples (`ts`, `js`) in Markdown.
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { readFlags } from './flags.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What not to write, and what to write instead. Patterns ignore case, and find whole words only. */
export const words = [
  ['(?:un)?answer(?:s|ed|ing)', 'returns, resolves with, responds; unacknowledged'],
  ['(?:may|must|can|could|not|to|will|should|would) answer', 'return, resolve with, respond'],
  ["(?:nobody|somebody)(?:'s)?|whoever", 'name the actor: no other tab, another context, the leader'],
  ['(?<!there )(?:is|are|was|were) none', 'is not a …; does not exist'],
  ['stands(?! for\\b)|stood|standing|(?<!-|to |can |not )stand(?! for\\b|-|alone)', 'is, is located, lies'],
  ['go on|goes on|went on|going on with', 'continue'],
  ['anew', 'again'],
  ['mend|mends|mended|mending', 'fix'],
  ['beside|besides', 'next to, compared with, in parallel with, in addition to'],
  ['at once', 'immediately, together, synchronously'],
  ['room|rooms', 'space; folder, module'],
  ['events? that kills?|kills whoever', 'poison event'],
  ['EventCrashesError|event-crashes', 'PoisonEventError, poison-event'],
  ['(?<!dead |dead-|capital |lower-case |upper-case )letters?', 'dead letter'],
  [
    'holds (?:its|their|the|a) stream|holdsStream|held streams?|stream-held|streams? (?:is|are|was) held|held letters?',
    'blocks its stream, blocked stream, stream-blocked',
  ],
  ['(?:told|tells?|telling) of', 'reported, is notified of'],
  ['goes unheard|hears?|heard|heeds?|heeded|deaf', 'is noticed, receives, ignores'],
  ['hurry|hurries|hurried|distrusts?|pour|pours|pouring', 'say what happens'],
  ['(?:other|hidden|shown|own|both|which) sides?|side of its own|sides? that', 'slot: active slot, inactive slot'],
  ['incarnations?', 'log id'],
  ['no chance|by chance|, chance', 'randomness, at random'],
  ['seams?', 'safe point, boundary'],
  ['makes? room|gives? (?:its |their )?(?:room|space) back', 'frees space'],
  ['lets? go of|letting go of', 'releases'],
  [
    '(?:gives?|giving|gave) (?:the|a|its|their) (?:page|caller) (?:its|a) turn|has its turn|in its turn',
    'yields to the page; when it is its turn',
  ],
  ['hangs? on', 'depends on'],
  ['without a word|without complaint', 'silently, without an error'],
  ['takes? along|brings? along|keeps? away|keeps? its hands off|hands off', 'say what is lost, included or refused'],
  ['died of|dies of|die of', 'crashed in'],
  ['so (?:many|much|often)(?! that\\b)', 'how many, at most N, every N ms'],
  ['(?:is|are|was|were|be|been) told(?! apart| to\\b)', 'receives, is notified, is reported'],
  ['gets? (?:its|a|the) turn', 'say who yields to whom'],
  ['in silence', 'silently'],
  ["in the way of|in (?:anybody|everybody|no one)(?:'s)? way", 'blocks'],
  ['anybody|everybody', 'name the actor: any context, every tab'],
  ['asks? the clock|ask the clock', 'reads the clock; depends on the time'],
  ['exactly once read models?|that are exactly once', 'read models updated exactly once'],
  ['sooner or later|as good|a good (?:second|minute)', 'give the number, or the condition'],
  ['by turns', 'alternately'],
  ['now and then', 'at intervals, sometimes'],
  ['(?:dies|died) with', 'ends together with'],
  ['vouch', 'prove, guarantee'],
  ['torn', 'inconsistent, half-written'],
  ['doubled (?:effect|hint|message)s?', 'duplicate'],
  ['upside down|in the middle of whatever', 'say when'],
  ['(?:it )?is so(?=[.,;:)]|$)', 'is true'],
  ['there (?:is|are) none of', 'unknown, does not exist'],
  ['does harm|do harm', 'damages'],
  ['must not be believed|is believed|believed', 'trusted, accepted as true'],
].map(([pattern, use]) => ({ pattern: new RegExp(`(?<![\\w-])(?:${pattern})(?![\\w-])`, 'gi'), use }))

export const longestParagraph = 120
export const longestCell = 300

/** The comments and strings of TypeScript or JavaScript, each with the line it begins in. No parser: what no token explains is passed over. */
export function proseOfSource(source) {
  const pieces = []
  let at = 0
  let line = 1
  // A slash begins a pattern where a value cannot have ended.
  let valueBefore = false
  const take = (length) => {
    const text = source.slice(at, at + length)
    for (const sign of text) if (sign === '\n') line++
    at += length
    return text
  }
  const quoted = (quote) => {
    const from = line
    let text = ''
    take(1)
    while (at < source.length && source[at] !== quote) {
      if (source[at] === '\\') {
        // An escaped line end or sign separates words as a space does.
        take(2)
        text += ' '
      } else if (quote === '`' && source.startsWith('${', at)) {
        take(2)
        code('}')
        text += '…'
      } else text += take(1)
    }
    take(1)
    pieces.push({ line: from, text })
    valueBefore = true
  }
  const code = (end) => {
    let depth = 0
    valueBefore = false
    while (at < source.length) {
      const sign = source[at]
      if (source.startsWith('//', at)) {
        const from = line
        pieces.push({ line: from, text: take((source.indexOf('\n', at) + 1 || source.length + 1) - 1 - at) })
      } else if (source.startsWith('/*', at)) {
        const from = line
        const close = source.indexOf('*/', at + 2)
        pieces.push({ line: from, text: take((close < 0 ? source.length : close + 2) - at) })
      } else if (sign === "'" || sign === '"' || sign === '`') quoted(sign)
      else if (sign === '/' && !valueBefore) {
        const pattern = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/\w*/y
        pattern.lastIndex = at
        take(pattern.exec(source)?.[0].length ?? 1)
        valueBefore = true
      } else if (/[\w$]/.test(sign)) {
        const name = /[\w$]+/y
        name.lastIndex = at
        const word = take(name.exec(source)[0].length)
        valueBefore = !/^(?:return|typeof|case|in|of|delete|void|throw|new|do|else|await|yield|instanceof)$/.test(word)
      } else {
        if (sign === end && depth === 0) {
          take(1)
          valueBefore = true
          return
        }
        if (sign === '{') depth++
        if (sign === '}') depth--
        if (!/\s/.test(sign)) valueBefore = sign === ')' || sign === ']'
        take(1)
      }
    }
  }
  code('')
  return pieces
}

const withoutCode = (text) => text.replace(/(`+)[^`](?:.*?[^`])?\1(?!`)/g, '`…`').replace(/\]\([^)]*\)/g, ']')

/** The paragraphs, list items, headings and table cells of Markdown: what is read, and where it is. */
export function proseOfMarkdown(source) {
  const blocks = []
  let open
  let fence
  const close = () => {
    if (open !== undefined) blocks.push(open)
    open = undefined
  }
  for (const [index, raw] of source
    .replace(/<!--[\s\S]*?-->/g, (comment) => comment.replace(/[^\n]/g, ''))
    .split('\n')
    .entries()) {
    const line = index + 1
    const mark = /^\s*(```+|~~~+)/.exec(raw)?.[1]
    if (fence !== undefined) {
      if (mark !== undefined && mark.startsWith(fence)) fence = undefined
      continue
    }
    if (mark !== undefined) {
      close()
      fence = mark
    } else if (raw.trim() === '' || /^\s*(?:-{3,}|\*{3,})\s*$/.test(raw)) close()
    else if (/^\s*\|/.test(raw)) {
      close()
      if (!/^\s*\|[\s|:-]+$/.test(raw))
        for (const cell of raw
          .trim()
          .replace(/^\||\|$/g, '')
          .split(/(?<!\\)\|/))
          blocks.push({ kind: 'cell', line, lines: [cell.trim()] })
    } else if (/^#{1,6} /.test(raw)) {
      close()
      blocks.push({ kind: 'heading', line, lines: [raw] })
    } else if (open === undefined || /^\s*(?:[-*+]|\d+\.) /.test(raw)) {
      close()
      open = { kind: 'paragraph', line, lines: [raw] }
    } else open.lines.push(raw)
  }
  close()
  return blocks
}

const found = (text, line) =>
  words
    .flatMap(({ pattern, use }) =>
      [...text.matchAll(pattern)].map((match) => ({ at: match.index, found: match[0], use })),
    )
    .sort((a, b) => a.at - b.at)
    .map(({ at, ...finding }) => ({ line: line + text.slice(0, at).split('\n').length - 1, ...finding }))

/** What is to be changed in the text of a file, in the order of its lines. */
export function wordFindings(path, text) {
  const inSource = (source, from) =>
    proseOfSource(source).flatMap(({ line, text: piece }) => found(piece.replace(/`[^`\n]*`/g, '`…`'), from + line))
  if (!path.endsWith('.md')) return inSource(text, 0)
  const examples = [...text.matchAll(/^(```+)[tj]s\n([\s\S]*?)^\1/gm)].flatMap(({ index, 2: code }) =>
    inSource(code, text.slice(0, index).split('\n').length),
  )
  const prose = proseOfMarkdown(text).flatMap(({ kind, line, lines }) => {
    const findings = found(withoutCode(lines.join('\n')), line)
    const whole = lines.join(' ')
    const count = whole.split(/\s+/).filter((word) => /\w/.test(word)).length
    if (kind === 'paragraph' && count > longestParagraph)
      findings.push({ line, found: `a paragraph of ${count} words`, use: `${longestParagraph} at most` })
    if (kind === 'cell' && whole.length > longestCell)
      findings.push({ line, found: `a table cell of ${whole.length} characters`, use: `${longestCell} at most` })
    for (const [index, before] of lines.slice(0, -1).entries())
      if (!/(?:[.!?:;]|<br>)["'”’)\]*_`]*\s*$|^\s*<[^>]*>\s*$/.test(before))
        findings.push({
          line: line + index,
          found: 'a line break within a sentence',
          use: 'one line for a sentence, or for a paragraph',
        })
    return findings
  })
  return [...prose, ...examples]
}

/** Files under a path of this checkout that are checked, as paths with slashes. */
export function checkedFiles(from = '') {
  const at = join(root, from)
  if (statSync(at).isFile()) return /\.(?:md|ts|mts|mjs)$/.test(from) ? [from] : []
  return readdirSync(at, { withFileTypes: true })
    .filter(
      ({ name }) =>
        !/^(?:node_modules|dist|results|\.git|\.cache|\.dist|\.work|test-results|playwright-report)$/.test(name),
    )
    .flatMap(({ name }) => checkedFiles(from === '' ? name : `${from}/${name}`))
}

export const readChecked = (path) => readFileSync(join(root, path), 'utf8')

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { positionals } = readFlags(import.meta.url, {}, { allowPositionals: true })
  const from = positionals.length > 0 ? positionals.map((path) => relative(root, join(process.cwd(), path))) : ['']
  let count = 0
  for (const path of from.flatMap(checkedFiles))
    for (const finding of wordFindings(path, readChecked(path))) {
      count++
      console.log(`${path}:${finding.line}: "${finding.found}" → ${finding.use}`)
    }
  console.log(`${count} findings`)
}
