// npm run api: writes etc/tidemark.api.md. `--check` only compares; exit code 1 if they differ.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { apiReport } from './api-report.mjs'
import { readFlags } from './flags.mjs'
import { root } from './run-tool.mjs'

const { check } = readFlags(import.meta.url, { check: { type: 'boolean' } }).values

const file = join(root, 'etc', 'tidemark.api.md')
const { text, undocumented, unexported } = apiReport(join(root, '.cache', 'api'))
if (!check) writeFileSync(file, text)
else if (readFileSync(file, 'utf8') !== text) {
  console.log('The public surface is another one than etc/tidemark.api.md says. Run `npm run api` if that is meant.')
  process.exitCode = 1
}
if (undocumented.length > 0) console.log(`Exported without a doc comment: ${undocumented.join(', ')}`)
if (unexported.length > 0) console.log(`Named in a signature and not exported: ${unexported.join(', ')}`)
