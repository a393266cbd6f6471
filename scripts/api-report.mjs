// The public surface, read from the declarations that are published: what each entry exports, with its signature.
// Read with TypeScript 5.4, the oldest that is supported: the newer one has no such interface.
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { join, relative, sep } from 'node:path'
import process from 'node:process'
import { root, tool } from './run-tool.mjs'

const ts = createRequire(import.meta.url)('typescript54')
const entries = {
  tidemark: 'index',
  'tidemark/memory': 'memory/index',
  'tidemark/server': 'server/index',
  'tidemark/sync': 'sync/index',
  'tidemark/testing': 'testing/index',
  'tidemark/file': 'file/index',
  'tidemark/postgres': 'postgres/index',
  'tidemark/durable-object': 'durable-object/index',
  'tidemark/react': 'bindings/react',
  'tidemark/vue': 'bindings/vue',
  'tidemark/svelte': 'bindings/svelte',
  'tidemark/solid': 'bindings/solid',
  'tidemark/signals': 'bindings/signals',
  'tidemark/lit': 'bindings/lit',
}

/**
 * @typedef {object} ApiReport
 * @property {string} text Markdown: all public names of all entries, with their signatures, without comments
 * @property {string[]} undocumented exported names without a doc comment
 * @property {string[]} unexported types that a signature names, and that no entry exports, with the file
 */

/**
 * @param {string} folder where the declarations are written to; inside the project, so that packages are found from there
 * @returns {ApiReport}
 */
export function apiReport(folder) {
  const declarations = ['-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--noCheck', '--outDir', folder]
  execFileSync(process.execPath, [tool('typescript', 'bin/tsc'), ...declarations], { cwd: root, stdio: 'pipe' })
  return readSurface(folder)
}

/** The report on declarations that are there already. */
export function readSurface(folder, names = entries) {
  const surfaces = exportsOf(folder, names)
  const parts = surfaces.map(({ entry, exported }) => {
    const sections = [...exported].map(([name, symbol]) => `### ${name}\n\n${fence}ts\n${textOf(symbol)}\n${fence}`)
    return [`## ${entry}`, ...sections].join('\n\n')
  })
  const all = surfaces.flatMap(({ exported, checker }) => [...exported].map((each) => [...each, checker]))
  const undocumented = all.filter(([, symbol, checker]) => symbol.getDocumentationComment(checker).length === 0)
  return {
    text: `${[head, ...parts].join('\n\n')}\n`,
    undocumented: unique(undocumented.map(([name]) => name)),
    unexported: unique(surfaces.flatMap((surface) => unexportedOf(surface, surfaces, folder))),
  }
}

const fence = '`'.repeat(3)
const head = [
  '# Public surface',
  'Written by `npm run api`, from the declarations that are published; a test compares it. A change of this file is a change for users.',
].join('\n\n')

/** What each entry exports, sorted by name. */
function exportsOf(folder, names) {
  const files = Object.values(names).map((file) => join(folder, `${file}.d.ts`))
  const program = ts.createProgram(files, {
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    strict: true,
    types: [],
  })
  const checker = program.getTypeChecker()
  return Object.keys(names).map((entry, index) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(files[index]))
    const symbols = checker.getExportsOfModule(module).map((symbol) => [symbol.name, originOf(symbol, checker)])
    return { entry, checker, exported: new Map(symbols.sort(([a], [b]) => (a < b ? -1 : 1))) }
  })
}

/** What an exported or imported name stands for. */
function originOf(symbol, checker) {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
}

/** The declarations of a name as they are written, without comments and private members. */
function textOf(symbol) {
  const printer = ts.createPrinter({ removeComments: true })
  return symbol.declarations
    .map((node) => {
      const text = printer.printNode(ts.EmitHint.Unspecified, node, node.getSourceFile())
      return ts.isVariableDeclaration(node) ? `const ${text}` : text
    })
    .map((text) => text.replace(/^export (?:declare )?/, '').replace(/^ *(?:#private|private .*);\n/gm, ''))
    .join('\n')
    .replace(/^ +/gm, (spaces) => ' '.repeat(spaces.length / 2))
}

/** Types that are named in what an entry exports, or in such a type, and cannot be imported by a user. */
function unexportedOf({ exported, checker }, all, folder) {
  const importable = new Set(all.flatMap((each) => [...each.exported.values()]))
  const missing = new Map()
  const visit = (symbol) => {
    for (const used of symbol.declarations.flatMap((node) => symbolsIn(node, checker))) {
      const [place] = used.declarations ?? []
      const file = place === undefined ? '' : relative(folder, place.getSourceFile().fileName)
      if (importable.has(used) || missing.has(used) || file === '' || file.startsWith('..')) continue
      missing.set(used, `${used.name} (${file.split(sep).join('/').replace('.d.ts', '.ts')})`)
      visit(used)
    }
  }
  for (const symbol of exported.values()) visit(symbol)
  return [...missing.values()]
}

/** The types that a declaration names. Values behind `typeof` are not among them. */
function symbolsIn(declaration, checker) {
  const found = []
  const visit = (node) => {
    const name = nameIn(node)
    const symbol = name === undefined ? undefined : checker.getSymbolAtLocation(name)
    if (symbol !== undefined && !(symbol.flags & ts.SymbolFlags.TypeParameter)) found.push(originOf(symbol, checker))
    ts.forEachChild(node, visit)
  }
  visit(declaration)
  return found.filter((symbol) => !symbol.declarations?.includes(declaration))
}

function nameIn(node) {
  if (ts.isTypeReferenceNode(node)) return node.typeName
  if (ts.isExpressionWithTypeArguments(node)) return node.expression
  if (ts.isImportTypeNode(node)) return node.qualifier
  return undefined
}

const unique = (names) => [...new Set(names)].sort()
