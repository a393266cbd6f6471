// The two builds of the package. The development build has the texts of errors and the warnings; the production build has neither:
// say`Stream '${stream}' is at version ${version}` becomes say(stream, version), and what is behind `__DEV__` goes. See decision 0012.
import { fileURLToPath } from 'node:url'
import { normalizePath, parseSync } from 'vite'

const sources = normalizePath(fileURLToPath(new URL('../src/', import.meta.url)))

/**
 * The code of a module in one of the builds.
 * @param {'development' | 'production'} build
 * @param {string} file its ending says whether it is TypeScript
 */
export function codeFor(build, code, file) {
  if (build === 'development') return code.replace(/\b__DEV__\b/g, 'true')
  if (!/\b(__DEV__|say)\b/.test(code)) return code
  const { program, errors } = parseSync(file, code)
  if (errors.length > 0) throw new Error(`${file}: ${errors[0].message}`)
  return spliced(code, editsOf(program))
}

/** What the production build changes: texts in place of others. */
function editsOf(program) {
  const edits = []
  const replace = (start, end, text) => edits.push({ start, end, text })
  /** Of a statement or an expression that `__DEV__` decides, the part that stays; `nothing` where there is none. */
  const keep = (node, part, nothing, open = '', close = '') => {
    if (!part) return replace(node.start, node.end, nothing)
    replace(node.start, part.start, open)
    visit(part, node)
    replace(part.end, node.end, close)
  }

  const visitors = {
    IfStatement(node, parent) {
      const dev = isDev(node.test)
      const inBlock = parent.type === 'BlockStatement' || parent.type === 'Program'
      if (dev !== undefined) return keep(node, dev ? node.alternate : node.consequent, inBlock ? '' : '{}')
      visitParts(node)
    },
    ConditionalExpression(node) {
      const dev = isDev(node.test)
      if (dev !== undefined) return keep(node, dev ? node.alternate : node.consequent, '', '(', ')')
      visitParts(node)
    },
    LogicalExpression(node) {
      const dev = node.operator === '&&' ? isDev(node.left) : undefined
      if (dev !== undefined) return keep(node, dev ? undefined : node.right, 'false', '(', ')')
      visitParts(node)
    },
    TaggedTemplateExpression(node) {
      if (node.tag.name !== 'say') return visitParts(node)
      const values = node.quasi.expressions
      if (values.length === 0) return replace(node.start, node.end, "''")
      const [open, close] = values.length === 1 ? ['`${', '}`'] : ['say(', ')']
      let from = node.start
      for (const value of values) {
        replace(from, value.start, from === node.start ? open : ', ')
        visit(value, node)
        from = value.end
      }
      replace(from, node.end, close)
    },
    Identifier(node) {
      if (node.name === '__DEV__') replace(node.start, node.end, 'false')
    },
  }
  const visit = (node, parent) => (visitors[node.type] ?? visitParts)(node, parent)
  const visitParts = (node) => {
    for (const part of Object.values(node).flat()) if (typeof part?.type === 'string') visit(part, node)
  }

  visitParts(program)
  return edits.sort((one, other) => one.start - other.start)
}

/** Whether a condition can hold in the development build only (true), or is `!__DEV__` (false); undefined if it is another. */
function isDev(test) {
  if (test.type === 'Identifier' && test.name === '__DEV__') return true
  if (test.type === 'LogicalExpression' && test.operator === '&&') return isDev(test.left) || undefined
  return test.type === 'UnaryExpression' && test.operator === '!' && isDev(test.argument) ? false : undefined
}

function spliced(code, edits) {
  let done = ''
  let from = 0
  for (const { start, end, text } of edits) {
    done += code.slice(from, start) + text
    from = end
  }
  return done + code.slice(from)
}

/**
 * What Vite and Rollup need to read the sources as one of the builds.
 * @returns {import('vite').Plugin}
 */
export function readAs(build) {
  return {
    name: `tidemark-${build}`,
    enforce: 'pre',
    transform(code, id) {
      const [file] = id.split('?')
      // The sources of this package, whichever package builds them; not what an app has in its `src`.
      if (!file.startsWith(sources) || !/\.[jt]s$/.test(file)) return undefined
      return { code: codeFor(build, code, file), map: null }
    },
  }
}
