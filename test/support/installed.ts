/** Packages of a folder in the tests that has a lock file of its own. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'

/** Installs them, once for each lock file. Returns where they are. */
export function installed(folder: string): string {
  const lock = readFileSync(join(folder, 'package-lock.json'), 'utf8')
  const packages = join(folder, 'node_modules')
  const mark = join(packages, '.installed')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return packages
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: folder,
    timeout: 5 * 60_000,
    shell: process.platform === 'win32',
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  writeFileSync(mark, lock)
  return packages
}
