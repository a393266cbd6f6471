// Compiles everything with this repository's TypeScript, and then test/types once more as an app would: against the declarations that are
// published, under the oldest TypeScript that is supported and under this one, with `exactOptionalPropertyTypes` on and off.
import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { readFlags } from './flags.mjs'

readFlags(import.meta.url)

const root = fileURLToPath(new URL('..', import.meta.url))
const cache = join(root, '.cache', 'types')
const compilers = ['typescript', 'typescript54']

/** Resolves to whether a compiler had nothing to say; what it says is shown under a title. */
function compile(compiler, args, title) {
  const script = join(dirname(createRequire(import.meta.url).resolve(`${compiler}/package.json`)), 'bin', 'tsc')
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text) => (said += text))
    child.once('error', reject)
    child.once('close', (code) => {
      if (code !== 0) console.log(`${title}:\n${said}`)
      resolve(code === 0)
    })
  })
}

/** A configuration of an app that uses what is published, and nothing of the sources. */
function appConfig(exactOptionalPropertyTypes) {
  const file = join(cache, `exact-optional-${exactOptionalPropertyTypes}.json`)
  const entry = (name) => [`./dist/${name}.d.ts`]
  writeFileSync(
    file,
    JSON.stringify({
      extends: '../../tsconfig.json',
      compilerOptions: {
        exactOptionalPropertyTypes,
        paths: {
          tidemark: entry('index'),
          'tidemark/memory': entry('memory/index'),
          'tidemark/server': entry('server/index'),
          'tidemark/sync': entry('sync/index'),
          'tidemark/testing': entry('testing/index'),
          'tidemark/file': entry('file/index'),
          'tidemark/postgres': entry('postgres/index'),
          'tidemark/durable-object': entry('durable-object/index'),
          'tidemark/*': entry('bindings/*'),
        },
      },
      include: ['../../test/types'],
    }),
  )
  return file
}

async function published() {
  rmSync(cache, { recursive: true, force: true })
  mkdirSync(cache, { recursive: true })
  const emitted = await compile(
    'typescript',
    ['-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', join(cache, 'dist')],
    'declarations',
  )
  if (!emitted) return [false]
  return Promise.all(
    [true, false].flatMap((exact) => {
      const config = appConfig(exact)
      return compilers.map((compiler) =>
        compile(compiler, ['-p', config], `test/types under ${compiler}, exactOptionalPropertyTypes ${exact}`),
      )
    }),
  )
}

const results = [await compile('typescript', ['--noEmit'], 'everything'), ...(await published())]
process.exitCode = results.every(Boolean) ? 0 : 1
