// What a script is called with: flags that it does not know end it before it does anything, and `--help` prints the comment
// at the top of its file.
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/**
 * Returns what `parseArgs` of `node:util` returns. Ends the process for `--help` (exit code 0) and for what the script does
 * not know (2).
 *
 * @param {string} url of the script: `import.meta.url`
 * @param {import('node:util').ParseArgsOptionsConfig} [options] as `parseArgs` takes them
 * @param {{ allowPositionals?: boolean, args?: readonly string[] }} [how]
 */
export function readFlags(url, options = {}, { allowPositionals = false, args = process.argv.slice(2) } = {}) {
  try {
    const known = { ...options, help: { type: 'boolean', short: 'h' } }
    const parsed = parseArgs({ args: [...args], allowPositionals, options: known })
    if (!parsed.values.help) return parsed
  } catch (error) {
    // The rest of the message is about arguments that look like flags.
    console.error(`${error.message.split('. ', 1)[0]}.\n\n${usageOf(url)}`)
    process.exit(2)
  }
  console.log(usageOf(url))
  process.exit(0)
}

/** The comment at the top of a script. */
function usageOf(url) {
  const lines = readFileSync(fileURLToPath(url), 'utf8').split('\n')
  const end = lines.findIndex((line) => !line.startsWith('//') && !line.startsWith('#!'))
  return lines
    .slice(0, end)
    .filter((line) => line.startsWith('//'))
    .map((line) => line.replace(/^\/\/ ?/, ''))
    .join('\n')
}
