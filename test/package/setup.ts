// Installs the tools, packs tidemark, and installs the tarball as an app does. Everything lies in `.work`, below which the
// tools are found as in any app.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The folder of the apps; `node_modules/tidemark` in it comes from the tarball. */
    packageApps: string
    packageTarball: string
  }
}

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '..', '..')
const apps = join(here, '.work')
const npm = (args: readonly string[], cwd: string): string =>
  execFileSync('npm', [...args], {
    cwd,
    encoding: 'utf8',
    timeout: 10 * 60_000,
    shell: process.platform === 'win32',
    stdio: ['ignore', 'pipe', 'inherit'],
  })

export default function setup({ provide }: TestProject): void {
  installTools()
  rmSync(apps, { recursive: true, force: true })
  cpSync(join(here, 'apps'), apps, { recursive: true })
  const packed = join(apps, 'packed')
  mkdirSync(packed)
  npm(['pack', '--silent', '--pack-destination', packed], root)
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const tarball = join(packed, `tidemark-${version}.tgz`)
  npm(['install', '--no-audit', '--no-fund', tarball], apps)
  provide('packageApps', apps)
  provide('packageTarball', tarball)
}

/** They are large, so they are installed once for each lock file. */
function installTools(): void {
  const lock = readFileSync(join(here, 'package-lock.json'), 'utf8')
  const mark = join(here, 'node_modules', '.tools')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return
  npm(['ci', '--no-audit', '--no-fund'], here)
  writeFileSync(mark, lock)
}
