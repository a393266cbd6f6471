// `npm run full-disk -- [engine …]`: fills the disk under a browser that appends, frees it, and accounts for every event (H29).
// Needs Linux and root, because the disk is a tmpfs of its own. See docs/engines.md.
// Exit code: 0 nothing wrong, 1 something was, 2 an engine that was asked for is missing.
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'
import { engineNames, whyMissing } from './engines.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const imported = async (path) => (await runnerImport(fileURLToPath(new URL(path, import.meta.url)), { root, configFile: false, logLevel: 'error' })).module
const { engines, fillDisk } = await imported('../test/ledger/index.ts')
const { serveHarness } = await imported('../test/support/harness-server.ts')

const given = process.argv.slice(2)
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
    try {
      const result = await fillDisk(engines.find((engine) => engine.name === name), harness.url)
      wrong ||= result.problems.length > 0
      console.log(JSON.stringify(result, null, 2))
    } catch (error) {
      wrong = true
      console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
} finally {
  await harness.close()
}
process.exitCode = wrong ? 1 : missing ? 2 : 0
