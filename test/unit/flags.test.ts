// Scripts: `--help` prints how a script is used and does nothing, and a flag that a script does not know ends it.
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { inLanes } from '../../scripts/lanes.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')

/** Those that `npm run` starts, and those that look what they are called with or how. */
const scripts = [
  ...new Set([
    ...[...read('package.json').matchAll(/node ((?:scripts|bench)\/[\w/-]+\.mjs)/g)].map(([, path = '']) => path),
    ...readdirSync(join(root, 'scripts'))
      .filter((name) => name.endsWith('.mjs') && name !== 'flags.mjs')
      .map((name) => `scripts/${name}`)
      .filter((path) => /\bargv\b|readFlags/.test(read(path))),
  ]),
].sort()

function run(path: string, ...args: string[]) {
  return new Promise<{ code: number | string; out: string; error: string }>((resolve) => {
    execFile(process.execPath, [join(root, path), ...args], { timeout: 60_000 }, (failure, out, error) =>
      resolve({ code: failure === null ? 0 : (failure.code ?? 'stopped'), out, error }),
    )
  })
}

test('all scripts are looked at', () => {
  expect(scripts).toEqual(expect.arrayContaining(['bench/engines/run.mjs', 'bench/run.mjs', 'scripts/mutants.mjs']))
  expect(scripts.length).toBeGreaterThan(15)
})

test('--help prints the comment at the top of each, and nothing else happens', { timeout: 300_000 }, async () => {
  const results = await inLanes(
    scripts.map((path) => async () => ({ path, ...(await run(path, '--help')) })),
    2,
  )
  for (const { path, code, out, error } of results) {
    const [first = ''] = read(path).split('\n')
    expect({ path, code, first: out.split('\n')[0], error }).toEqual({
      path,
      code: 0,
      first: first.replace('// ', ''),
      error: '',
    })
    expect(out.trimEnd().split('\n').length, path).toBeLessThanOrEqual(15)
  }
})

describe.each(['scripts/mutants.mjs', 'scripts/test.mjs', 'bench/run.mjs'])('%s', (path) => {
  test('refuses a flag that it does not know, and says which there are', { timeout: 60_000 }, async () => {
    const { code, out, error } = await run(path, '--onyl=x')
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(error).toMatch(/^Unknown option '--onyl'\.\n\n.*npm (run|test)/)
  })
})
