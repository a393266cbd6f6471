// The tools that check components. They cannot be dependencies of the repository: they run on a TypeScript that is written in
// JavaScript, and look for it by its name.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))

/** Installs them, once for each lock file. Returns where they are. */
export function installComponentTools(): string {
  const lock = readFileSync(join(here, 'package-lock.json'), 'utf8')
  const tools = join(here, 'node_modules')
  const mark = join(tools, '.installed')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return tools
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: here,
    timeout: 5 * 60_000,
    shell: process.platform === 'win32',
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  writeFileSync(mark, lock)
  return tools
}
