// React 18 for a project of the tests. It cannot be a dependency next to React 19: `react-dom` wants the `react` of its version.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vitest/config'

const here = fileURLToPath(new URL('.', import.meta.url))

/** Installs it before the server of the project begins to look for packages, once for each lock file. */
export function installReact18(): Plugin {
  return { name: 'install-react-18', configureServer: install }
}

function install(): void {
  const lock = readFileSync(join(here, 'package-lock.json'), 'utf8')
  const mark = join(here, 'node_modules', '.installed')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: here,
    timeout: 5 * 60_000,
    shell: process.platform === 'win32',
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  writeFileSync(mark, lock)
}
