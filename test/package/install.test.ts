// What is in the package, and what an install from git brings.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, inject, test } from 'vitest'
import { apps, node, nodeTool, run } from './support.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const installed = join(apps, 'node_modules', 'tidemark')
const filesIn = (folder: string): string[] =>
  (readdirSync(folder, { recursive: true }) as string[]).filter((name) => statSync(join(folder, name)).isFile())

test('the tarball holds every entry that exports name, no source map and no test', () => {
  const { exports, main, types } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
    exports: Record<string, string | Record<string, string>>
    main: string
    types: string
  }
  const named = [
    main,
    types,
    ...Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.values(entry))),
  ]
  expect(named.filter((path) => !existsSync(join(installed, path)))).toEqual([])
  expect(filesIn(installed).filter((name) => /\.map$|\.test\.|^(src|test|bench|demo|scripts)\//.test(name))).toEqual([])
})

test('every link of the README and of the docs leads to a file of the tarball, or out of it by an address', () => {
  const pages = filesIn(installed).filter((name) => name.endsWith('.md'))
  expect(pages).toContain('README.md')
  expect(pages).toContain(join('docs', 'guide.md'))
  const dead = pages.flatMap((page) =>
    // Code may look like a link: `events[type](data)`.
    [
      ...readFileSync(join(installed, page), 'utf8')
        .replace(/```[\s\S]*?```|`[^`\n]*`/g, '')
        .matchAll(/\]\((?!\w+:|#)([^)#\s]+)[^)]*\)/g),
    ]
      .map(([, link = '']) => normalize(join(dirname(page), link)))
      .filter((path) => !existsSync(join(installed, path)))
      .map((path) => `${page}: ${path}`),
  )
  expect(dead).toEqual([])
})

test('an install from git is built', { timeout: 10 * 60_000 }, async () => {
  // What is committed: a clone of this checkout, as `npm install git+https://…` makes one.
  const commit = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim()
  mkdirSync(join(apps, 'from-git'))
  writeFileSync(join(apps, 'from-git', 'package.json'), '{ "private": true, "type": "module" }')
  const { code, printed } = await run(
    'npm',
    ['install', '--no-audit', '--no-fund', `git+file://${root}#${commit}`],
    'from-git',
  )
  expect(code, printed).toBe(0)
  // A copy, so that what is imported is found from this folder first.
  writeFileSync(join(apps, 'from-git', 'app.js'), readFileSync(join(apps, 'app.js')))
  expect(existsSync(join(apps, 'from-git', 'node_modules', 'tidemark', 'dist', 'index.js'))).toBe(true)
  expect((await node(['app.js'], 'from-git')).printed).toContain('"position":1')
})

test('publint finds nothing', async () => {
  const { code, printed } = await nodeTool('publint/src/cli.js', ['run', '--strict', inject('packageTarball')])
  expect(code, printed).toBe(0)
  expect(printed).toContain('All good!')
})

test('the types resolve as the code does (are the types wrong)', async () => {
  const { code, printed } = await nodeTool('@arethetypeswrong/cli/dist/index.js', [
    '--profile',
    'esm-only',
    inject('packageTarball'),
  ])
  expect(code, printed).toBe(0)
})
