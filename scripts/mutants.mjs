// npm run mutants: changes the code in one place after the other, as `test/mutants/*.mjs` list them, and runs the tests that
// should notice. Prints a table by file and the mutants that survive; `--write` puts both into docs/mutants.md.
// `--only=TEXT`: the mutants whose id, file or list holds TEXT. `--jobs=N`: at most N at a time, 2 by default.
// `--check`: runs nothing, and names the entries that no longer fit the code; exit code 1 if there are any.
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { readFlags } from './flags.mjs'
import { readMutants, staleMutants } from './mutant-list.mjs'
import { tool } from './run-tool.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const copies = join(root, '.cache', 'mutants')
/** A mutant whose tests take longer hangs them, which is noticed, too. */
const TIMEOUT = 180_000

const { values } = readFlags(import.meta.url, {
  only: { type: 'string', default: '' },
  jobs: { type: 'string', default: '2' },
  check: { type: 'boolean' },
  write: { type: 'boolean' },
})
const { only } = values
const jobs = Math.max(1, Number(values.jobs))

const chosen = (await readMutants(root)).filter(({ id, file, list }) =>
  [id, file, list].some((text) => text.includes(only)),
)

const stale = staleMutants(chosen, root)
for (const problem of stale) console.log(`stale: ${problem}`)
if (values.check) {
  console.log(`${chosen.length} mutants, ${stale.length === 0 ? 'all fit the code' : `${stale.length} problems`}`)
  process.exit(stale.length === 0 ? 0 : 1)
}
if (stale.length > 0) process.exit(1)

const toRun = chosen.filter(({ equivalent }) => equivalent === undefined)
rmSync(copies, { recursive: true, force: true })
const folders = Array.from({ length: jobs }, (_, index) => join(copies, String(index)))
for (const folder of folders) {
  mkdirSync(folder, { recursive: true })
  for (const part of [
    'src',
    'test',
    'scripts',
    'docs',
    'demo',
    'bench',
    'package.json',
    'tsconfig.json',
    'vite.config.ts',
    'README.md',
  ]) {
    cpSync(join(root, part), join(folder, part), {
      recursive: true,
      filter: (path) => !/(^|[\\/])(node_modules|\.work|\.dist|dist)([\\/]|$)/.test(relative(root, path)),
    })
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
}

// What fails without a mutant would notice every one.
const tests = [...new Set(toRun.flatMap((mutant) => mutant.tests))]
const sound = await vitest(folders[0], tests, 10 * 60_000)
if (sound !== 'passed') {
  console.log(`The tests do not pass as they are (${sound}):\n${tests.join('\n')}`)
  process.exit(1)
}

/** @type {Map<import('./mutant-list.mjs').Mutant, 'noticed' | 'survived'>} */
const verdicts = new Map()
const queue = [...toRun]
await Promise.all(
  folders.map(async (folder) => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const path = join(folder, mutant.file)
      const before = readFileSync(path, 'utf8')
      writeFileSync(path, before.split(mutant.find).join(mutant.replace))
      const result = await vitest(folder, mutant.tests, TIMEOUT)
      writeFileSync(path, before)
      verdicts.set(mutant, result === 'passed' ? 'survived' : 'noticed')
      console.log(
        `${result === 'passed' ? 'SURVIVED' : result === 'failed' ? 'noticed ' : 'hangs   '} ${mutant.list.replace('.mjs', '')} ${mutant.id}: ${mutant.breaks}`,
      )
    }
  }),
)
rmSync(copies, { recursive: true, force: true })

const byFile = new Map()
for (const mutant of chosen) {
  const row = byFile.get(mutant.file) ?? { noticed: 0, survived: 0, equivalent: 0 }
  row[verdicts.get(mutant) ?? 'equivalent'] += 1
  byFile.set(mutant.file, row)
}
const survivors = toRun.filter((mutant) => verdicts.get(mutant) === 'survived')
const share = toRun.length === 0 ? 100 : Math.floor(((toRun.length - survivors.length) / toRun.length) * 1000) / 10
const cell = (text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const report = [
  `${toRun.length - survivors.length} of ${toRun.length} mutants are noticed (${share} %); ${chosen.length - toRun.length} further ones change nothing that a test could see.`,
  '',
  '| file | noticed | survive | equivalent |',
  '| --- | ---: | ---: | ---: |',
  ...[...byFile]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([file, row]) => `| ${file.split(sep).join('/')} | ${row.noticed} | ${row.survived} | ${row.equivalent} |`),
  '',
  ...(survivors.length === 0
    ? ['None survives.']
    : [
        '| survivor | file | what it breaks |',
        '| --- | --- | --- |',
        ...survivors.map(({ id, file, breaks }) => `| ${id} | ${file} | ${cell(breaks)} |`),
      ]),
  '',
  '| equivalent | file | why no test can notice it |',
  '| --- | --- | --- |',
  ...chosen
    .filter(({ equivalent }) => equivalent !== undefined)
    .map(({ id, file, equivalent }) => `| ${id} | ${file} | ${cell(equivalent)} |`),
].join('\n')
console.log(`\n${report}`)
if (values.write) {
  const page = join(root, 'docs', 'mutants.md')
  const [head] = readFileSync(page, 'utf8').split('<!-- result -->')
  writeFileSync(page, `${head}<!-- result -->\n\n${report}\n`)
}
process.exitCode = share >= 90 ? 0 : 1

/** @returns {Promise<'passed' | 'failed' | 'hangs'>} */
function vitest(folder, files, timeout) {
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [
        tool('vitest', 'vitest.mjs'),
        'run',
        ...['node', 'servers', 'tools'].flatMap((name) => ['--project', name]),
        ...['--bail', '1', '--reporter', 'dot', ...files],
      ],
      {
        cwd: folder,
        stdio: 'ignore',
        env: { ...process.env, NO_COLOR: '1' },
        detached: true,
      },
    )
    const timer = setTimeout(() => {
      // With its workers, of which one may be in an endless loop.
      try {
        process.kill(-(child.pid ?? 0), 'SIGKILL')
      } catch {
        child.kill('SIGKILL')
      }
      resolve('hangs')
    }, timeout)
    child.once('exit', (code) => {
      clearTimeout(timer)
      resolve(code === 0 ? 'passed' : 'failed')
    })
  })
}
