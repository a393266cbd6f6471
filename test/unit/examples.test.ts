// The examples: short, typed, and on the versions that everything else is tested with. The end-to-end tests build and use them.
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { examples } from '../../scripts/examples.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (...path: string[]) => readFileSync(join(root, ...path), 'utf8')
const json = (...path: string[]) => JSON.parse(read(...path)) as Record<string, Record<string, string>>
const installed = json('package.json')['devDependencies']

/** Those that show the same app, each with one framework. */
const todos = ['lit', 'react', 'solid', 'svelte', 'vanilla', 'vue']

test('each framework has its example', () => {
  expect(examples.filter((name) => todos.includes(name)).sort()).toEqual(todos)
  for (const name of examples) expect(read('examples', 'README.md')).toContain(`](${name}/`)
})

describe.for(examples)('examples/%s', (name) => {
  const files = readdirSync(join(root, 'examples', name, 'src'))

  test('starts with two commands, on the versions that are tested', () => {
    const { scripts, dependencies = {}, devDependencies = {} } = json('examples', name, 'package.json')
    expect(scripts).toMatchObject({ dev: 'vite', build: 'vite build' })
    const { tidemark, ...others } = { ...dependencies, ...devDependencies }
    expect(tidemark).toBe('file:../..')
    for (const [each, version] of Object.entries(others)) expect([each, version]).toEqual([each, installed?.[each]])
  })

  if (todos.includes(name)) {
    test('has at most 60 lines of its own, blank ones left out', () => {
      const lines = files.map((file) => read('examples', name, 'src', file).match(/\S.*$/gm)?.length ?? 0)
      expect(lines.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(60)
    })
  }

  test('has no type errors', { timeout: 120_000 }, async () => {
    const at = join(root, '.cache', 'examples', name)
    mkdirSync(at, { recursive: true })
    const config = {
      extends: `../../../examples/${name}/tsconfig.json`,
      compilerOptions: {
        paths: {
          tidemark: ['../../../src/index.ts'],
          'tidemark/sync': ['../../../src/sync/index.ts'],
          'tidemark/*': ['../../../src/bindings/*.ts'],
        },
        allowArbitraryExtensions: true,
      },
      // Components of Vue and Svelte are checked by tools of their own: see components.test.ts.
      files: [
        ...files.filter((file) => /\.tsx?$/.test(file)).map((file) => `../../../examples/${name}/src/${file}`),
        'components.d.ts',
        '../../../src/platform/globals.d.ts',
      ],
      include: [],
    }
    writeFileSync(join(at, 'tsconfig.json'), JSON.stringify(config))
    writeFileSync(
      join(at, 'components.d.ts'),
      ['vue', 'svelte']
        .map((ending) => `declare module '*.${ending}' { const component: never; export default component }\n`)
        .join(''),
    )
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const compiled = await promisify(execFile)(process.execPath, [compiler, '-p', at]).catch(
      (e: { stdout: string }) => e,
    )
    expect(compiled.stdout).toBe('')
  })
})
