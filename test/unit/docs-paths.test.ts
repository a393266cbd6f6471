// A path that the docs name must exist: where files move, the pages change with them.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { checkedFiles, readChecked } from '../../scripts/words.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const exists = (path: string) => existsSync(join(root, path))
const architecture = readChecked('docs/architecture.md')

/** Names of files and folders of the source, as the page writes them: relative to `src/`, in backticks. */
const named = [...architecture.matchAll(/`([a-z][\w-]*(?:\/[\w.-]+)+\/?|[\w-]+\.ts|[a-z-]+\/)`/g)]
  .map(([, path = '']) => path)
  .filter((path) => path !== 'src/' && !path.startsWith('tidemark/'))

test('every file and folder that the architecture page names exists', () => {
  expect(named.filter((path) => !exists(path.startsWith('test/') ? path : `src/${path}`))).toEqual([])
  expect(named.length).toBeGreaterThan(60)
})

test('the architecture page names every folder of the source', () => {
  const folders = readdirSync(join(root, 'src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `${name}/`)
  expect(folders.filter((folder) => !named.includes(folder))).toEqual([])
})

test('a function that the architecture page names next to a file is in that file', () => {
  const pairs = [...architecture.matchAll(/`([\w/-]+\.ts)` \(`(\w+)`\)/g)].map(([, path = '', name = '']) => ({
    path,
    name,
  }))
  expect(
    pairs.filter(({ path, name }) => !new RegExp(`\\b${name}\\b`).test(readFileSync(join(root, 'src', path), 'utf8'))),
  ).toEqual([])
  expect(pairs.length).toBeGreaterThan(4)
})

test('the files of the picture exist', () => {
  const picture = readFileSync(join(root, 'docs', 'pictures', 'tour.svg'), 'utf8')
  const paths = [...picture.matchAll(/data-path="([^"]+)"/g)].map(([, path = '']) => path)
  expect(paths.filter((path) => !exists(path))).toEqual([])
  expect(paths.length).toBeGreaterThan(8)
})

test('every path of the repository that another page names exists', () => {
  // Results of a bench are not in git; the page of mutants is written by a script, and as old as its last run.
  const pages = checkedFiles().filter((path) => path.endsWith('.md') && path !== 'docs/mutants.md')
  const gone = pages.flatMap((page) =>
    [...readChecked(page).matchAll(/(?<![\w/.@-])(?:src|test|docs|scripts|bench|demo|etc)\/[\w./-]*\w/g)]
      .map(([path]) => path)
      .filter((path) => !path.startsWith('bench/results') && !exists(path) && !exists(join('docs', path)))
      .map((path) => `${page}: ${path}`),
  )
  expect(gone).toEqual([])
})

/** Whether the package holds it: a link there must not lead to what it does not hold. */
const packed = (path: string) => /^(?:docs\/|LICENSE|[A-Z]+\.md$)/.test(path)

test('every link of the pages leads to a file, and to a heading of it', () => {
  const anchors = (page: string) =>
    [...readChecked(page).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .trim()
        .replace(/\s/g, '-'),
    )
  const dead = checkedFiles()
    .filter((path) => path.endsWith('.md'))
    .flatMap((page) =>
      [
        ...readChecked(page)
          .replace(/```[\s\S]*?```|`[^`\n]*`/g, '')
          .matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)/g),
      ]
        .map(([, file = '', anchor]) => ({ target: file === '' ? page : join(page, '..', file), anchor }))
        .filter(
          ({ target, anchor }) =>
            !exists(target) ||
            (packed(page) && !packed(target)) ||
            (anchor !== undefined && target.endsWith('.md') && !anchors(target).includes(anchor)),
        )
        .map(({ target, anchor }) => `${page}: ${target}#${anchor ?? ''}`),
    )
  expect(dead).toEqual([])
})

test('what the architecture page names in backticks occurs in the source', () => {
  const source = checkedFiles('src').map(readChecked).join('\n')
  const names = [...architecture.matchAll(/`([A-Za-z]\w+)(?:\(\w*\))?`/g)].map(([, name = '']) => name)
  // Names of the app in the example of the tour, and of a request of IndexedDB.
  const elsewhere = ['baskets', 'commit']
  expect(
    [...new Set(names)].filter((name) => !elsewhere.includes(name) && !new RegExp(`\\b${name}\\b`).test(source)),
  ).toEqual([])
  expect(names.length).toBeGreaterThan(30)
})
