// `npm run full-disk -- [engine …] [--rounds <n>] [--only <situation>]`: fills the disk under a browser that appends, frees it, and accounts
// for every event (H29). A round is each situation of test/ledger/full-disk.ts once.
// Needs Linux and root, because the disk is a tmpfs of its own. See docs/engines.md.
// Exit code: 0 nothing wrong, 1 something was, 2 an engine that was asked for is missing.
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'
import { engineNames, whyMissing } from './engines.mjs'
import { readFlags } from './flags.mjs'

const { values, positionals: given } = readFlags(
  import.meta.url,
  { rounds: { type: 'string', default: '1' }, only: { type: 'string' } },
  { allowPositionals: true },
)
const root = fileURLToPath(new URL('..', import.meta.url))
const imported = async (path) =>
  (await runnerImport(fileURLToPath(new URL(path, import.meta.url)), { root, configFile: false, logLevel: 'error' }))
    .module
const { engines, fillDisk, situationsOf } = await imported('../test/ledger/index.ts')
const { serveHarness } = await imported('../test/support/harness-server.ts')

const chosen = given.length > 0 ? given : engineNames
const harness = await serveHarness()
let wrong = false
let missing = false
try {
  for (const name of chosen) {
    const why = whyMissing(name)
    if (why) {
      missing = true
      console.error(`${name} not run: ${why}`)
      continue
    }
    const engine = engines.find((engine) => engine.name === name)
    for (let round = 1; round <= Number(values.rounds); round += 1) {
      for (const situation of situationsOf(engine).filter(
        (each) => values.only === undefined || each === values.only,
      )) {
        try {
          const result = await fillDisk(engine, harness.url, situation)
          wrong ||= result.problems.length > 0
          console.log(JSON.stringify({ round, ...result }))
        } catch (error) {
          wrong = true
          console.error(`${name}, ${situation}: ${error instanceof Error ? error.message : String(error)}`)
        }
      }
    }
  }
} finally {
  await harness.close()
}
process.exitCode = wrong ? 1 : missing ? 2 : 0
