// The peers have a package.json of their own, so that working on tidemark does not install them.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('..', import.meta.url))
const read = (path) => JSON.parse(readFileSync(join(folder, path), 'utf8'))

/** Installs the peers where they are missing or of other versions. @returns their versions by name */
export function installPeers(say) {
  const wanted = read('package.json').devDependencies
  const installed = (name) =>
    existsSync(join(folder, 'node_modules', name)) && read(`node_modules/${name}/package.json`).version
  if (Object.entries(wanted).some(([name, version]) => installed(name) !== version)) {
    say(`Installing the peers, once: npm ci in bench/ (${Object.keys(wanted).join(', ')})`)
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    const { status } = spawnSync(npm, ['ci', '--no-audit', '--no-fund'], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: 10 * 60_000,
      shell: process.platform === 'win32',
    })
    if (status !== 0)
      throw new Error(
        'The peers could not be installed. Run `npm ci` in bench/, or leave them out: npm run bench -- --no-peers',
      )
  }
  return wanted
}
