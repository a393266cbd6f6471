// `npm run test:engines`: the browser suites on every engine, and a table of how they went.
// `npm run test:engines -- firefox webkit` runs some of them; what comes after another `--` goes to vitest.
// Exit code: 0 all passed, 1 something failed, 2 nothing failed but an engine is missing.
import process from 'node:process'
import { engineNames } from './engines.mjs'
import { readFlags } from './flags.mjs'
import { engineTable, runEngine } from './run-engine.mjs'

const given = process.argv.slice(2)
const split = given.includes('--') ? given.indexOf('--') : given.length
const { positionals: chosen } = readFlags(import.meta.url, {}, { allowPositionals: true, args: given.slice(0, split) })

const results = []
for (const name of chosen.length > 0 ? chosen : engineNames)
  results.push(await runEngine(name, { args: given.slice(split + 1) }))

const sum = (key) => results.reduce((total, result) => total + result[key], 0)
console.log(
  `\n${engineTable(results)}\n\n${sum('passed')} passed, ${sum('failed')} failed, ${results.filter((result) => result.missing).length} engines not run`,
)
process.exitCode = sum('failed') > 0 ? 1 : results.some((result) => result.missing) ? 2 : 0
