// What the two builds of the package make of the sources. Which tool takes which build: test/package/builds.test.ts.
import { readFileSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseSync } from 'vite'
import { describe, expect, test } from 'vitest'
import type { TidemarkError } from 'tidemark'
import { codeFor, type Build } from '../../scripts/builds.mjs'
import { bundle } from '../../scripts/size.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

const production = (code: string): string => codeFor('production', code, 'file.ts')

test('production keeps the inserted values of a text, and not the text', () => {
  expect(production("fail(say`Stream '${stream}' is at version ${version}.`)")).toBe('fail(say(stream, version))')
  expect(production("fail(say`Table '${this.#name as string}' is closed.`)")).toBe('fail(`${this.#name as string}`)')
  expect(production('fail(say`must not be empty`)')).toBe("fail('')")
  // As TypeScript writes it.
  expect(production('fail(say `${a} is not ${b}`)')).toBe('fail(say(a, b))')
  expect(production('fail(say`“ä…” ${a}\n – ${b}`) // …')).toBe('fail(say(a, b)) // …')
})

test('production keeps the values of texts inside of texts', () => {
  expect(production("say`${n} times${late ? say`, the last ${say`at ${at}`} of ${day}` : ''}.`")).toBe(
    "say(n, late ? say(`${at}`, day) : '')",
  )
})

test('other templates stay', () => {
  for (const code of ['`projection ${name}`', 'sql`select ${name}`', "'say`it`'"]) expect(production(code)).toBe(code)
})

test.for([
  ['if (__DEV__) warn(say`no`)', ''],
  ['if (a) if (__DEV__) warn()', 'if (a) {}'],
  ['if (__DEV__) a()\nelse b(say`x`)', "b('')"],
  ['if (!__DEV__) a()', 'a()'],
  ['if (!__DEV__) a(); else b()', 'a();'],
  ['if (__DEV__ && c) { a() }', ''],
  ['x = __DEV__ ? a : say`b ${c}`', 'x = (`${c}`)'],
  ['x = !__DEV__ ? a : b', 'x = (a)'],
  ['x = __DEV__ && a', 'x = false'],
  ['x = !__DEV__ && a', 'x = (a)'],
  ['x = f(__DEV__)', 'x = f(false)'],
])('production: %s', ([code, expected]) => {
  expect(production(code as string)).toBe(expected)
})

test('development keeps all of it', () => {
  expect(codeFor('development', 'if (__DEV__) warn(say`no ${x}`)', 'file.ts')).toBe('if (true) warn(say`no ${x}`)')
})

test('code that cannot be read is refused with the name of its file', () => {
  expect(() => production('if (__DEV__')).toThrow('file.ts')
})

describe('the sources', () => {
  const src = fileURLToPath(new URL('../../src/', import.meta.url))
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .map((path) => path.split(sep).join('/'))
    // Nothing of it is part of an app, and tests read it.
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts') && !path.startsWith('testing/'))

  /** The texts of a module: what is between quotes and has several words. */
  function textsOf(path: string): string[] {
    // Statements are no texts for people: those end with a full stop.
    const holdsSql = /^(?:postgres|durable-object)\//.test(path)
    const { program } = parseSync(path, codeFor('production', readFileSync(join(src, path), 'utf8'), path))
    const texts: string[] = []
    const visit = (node: unknown): void => {
      if (Array.isArray(node)) return node.forEach(visit)
      const { type, value } = (node ?? {}) as { type?: string; value?: unknown }
      // Types have texts for the compiler only.
      if (type === undefined || /^TS(?!As|NonNull|Satisfies)/.test(type)) return
      if (type === 'Literal' && typeof value === 'string') texts.push(value)
      if (type === 'TemplateElement') texts.push((value as { raw: string }).raw)
      for (const part of Object.values(node as object)) if (typeof part === 'object') visit(part)
    }
    visit(program.body)
    return texts
      .filter((text) => /[a-z'],? [a-z]+[ .,:;?]/i.test(text))
      .filter((text) => !(holdsSql && /^(?!.*[.!]$)|[=(<]/.test(text)))
      .map((text) => `${path}: ${text}`)
  }

  test('have no text that the production build keeps: write say`…`', () => {
    expect(files.length).toBeGreaterThan(50)
    expect(files.flatMap(textsOf)).toEqual([])
  })

  test('have warnings in the development build only', () => {
    const warns = (build: Build) =>
      files.filter((path) => codeFor(build, readFileSync(join(src, path), 'utf8'), path).includes('console.warn'))
    expect(warns('development')).not.toEqual([])
    expect(warns('production')).toEqual([])
  })
})

describe('errors', () => {
  const made = async (build: Build) => {
    const { code } = await bundle("export * from 'tidemark'", build)
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-builds-'))
    try {
      const file = join(folder, 'bundle.mjs')
      await writeFile(file, code)
      return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as typeof import('tidemark')
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  const thrown = async (act: () => unknown): Promise<TidemarkError> => {
    try {
      await act()
    } catch (error) {
      return error as TidemarkError
    }
    throw new Error('nothing was thrown')
  }
  const page = (code: string) => `See https://tidemark.example/errors/${code}`
  const acts: readonly (readonly [string, (build: typeof import('tidemark')) => unknown, string, string])[] = [
    [
      'values',
      ({ VersionConflictError }) => Promise.reject(new VersionConflictError({ stream: 's', expected: 3, actual: 4 })),
      "Stream 's' is at version 4, but the append expected version 3. Read the stream again and retry.",
      'version-conflict: s, 4, 3.',
    ],
    [
      'a name of an argument and no value',
      ({ defineProjection, defineEvents }) => defineProjection(defineEvents(), null as never),
      'projection must be { name, tables, on }.',
      'invalid-argument: projection.',
    ],
    [
      'a message in a message',
      ({ CommandConflictError, VersionConflictError }) =>
        Promise.reject(
          new CommandConflictError(new VersionConflictError({ stream: 's', expected: 3, actual: 4 }), 5, ['s'], 'buy'),
        ),
      "Concurrency conflict of command 'buy' after 4 retry attempts: Stream 's' is at version 4, but the append expected version 3. Read the stream again and retry.",
      'command-conflict: buy, 4, version-conflict: s, 4, 3.',
    ],
    [
      'text of an app',
      ({ CommandRefusedError }) => Promise.reject(new CommandRefusedError('Sold out')),
      'The command was refused: Sold out.',
      'command-refused: Sold out.',
    ],
  ]

  test('say what happened, or their code and values, and where to read on', { timeout: 60_000 }, async () => {
    const [development, production] = [await made('development'), await made('production')]
    for (const [what, act, long, short] of acts) {
      const [one, other] = [await thrown(() => act(development)), await thrown(() => act(production))]
      expect(one.message, what).toBe(`${long} ${page(one.code)}`)
      expect(other.message, what).toBe(`${short} ${page(one.code)}`)
      const { message: _one, stack: _stack, cause: _cause, ...properties } = { ...one }
      expect({ ...other }, what).toMatchObject(properties)
    }
  })

  test('have a page for each code', () => {
    const code = readFileSync(join(root, 'src', 'errors.ts'), 'utf8')
    const union = /export type TidemarkErrorCode =([^=]*?)\n\n/.exec(code)?.[1] ?? ''
    const codes = [...union.matchAll(/'([a-z-]+)'/g)].map(([, each]) => each)
    expect(codes.length).toBeGreaterThan(20)
    const docs = readFileSync(join(root, 'docs', 'errors.md'), 'utf8')
    const sections = [...docs.matchAll(/^#+ ([a-z]+(?:-[a-z]+)*)$/gm)].map(([, each]) => each)
    expect(sections.sort()).toEqual(codes.sort())
  })
})
