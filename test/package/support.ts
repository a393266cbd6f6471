/** Runs the tools as an app's author does, each with a limit of time. */
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inject } from 'vitest'

const tools = fileURLToPath(new URL('./node_modules', import.meta.url))
export const apps = inject('packageApps')

export interface Ran {
  readonly code: number
  /** What it printed, to both of its streams. */
  readonly printed: string
}

/** Runs a program in the folder of the apps, or one of them. */
export function run(program: string, args: readonly string[], folder = '.', env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return new Promise((resolve) => {
    // A build of an app knows nothing of the test runner around it.
    const { VITEST: _vitest, NODE_ENV: _env, NODE_OPTIONS: _options, ...rest } = process.env
    execFile(
      program,
      args,
      {
        cwd: join(apps, folder),
        timeout: 4 * 60_000,
        maxBuffer: 1 << 26,
        env: { ...rest, NO_COLOR: '1', CI: 'true', ...env },
      },
      (error, stdout, stderr) => {
        resolve({
          code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1,
          printed: `${stdout}${stderr}${error !== null && typeof error.code !== 'number' ? String(error) : ''}`,
        })
      },
    )
  })
}

export const node = (args: readonly string[], folder?: string, env?: NodeJS.ProcessEnv): Promise<Ran> =>
  run(process.execPath, args, folder, env)

/** A tool that is a script of a package. */
export const nodeTool = (
  script: string,
  args: readonly string[],
  folder?: string,
  env?: NodeJS.ProcessEnv,
): Promise<Ran> => node([join(tools, script), ...args], folder, env)

/** A tool that is a program of its own; undefined where it has none for this machine. */
export async function programOf(...candidates: readonly string[]): Promise<string | undefined> {
  for (const candidate of candidates) {
    const path = join(tools, candidate)
    if (existsSync(path) && (await run(path, ['--version'])).code === 0) return path
  }
  return undefined
}

export const quietNext = { NEXT_TELEMETRY_DISABLED: '1' }

export interface NextServer {
  readonly url: string
  /** What it printed. */
  log(): string
  stop(): void
}

/** Serves an app of Next: what was built (`start`), or as its author sees it (`dev`). */
export async function serveNext(command: 'start' | 'dev', folder: string): Promise<NextServer> {
  const server = spawn(
    process.execPath,
    [join(tools, 'next/dist/bin/next'), command, '--hostname', '127.0.0.1', '--port', '0'],
    {
      cwd: join(apps, folder),
      env: { ...process.env, ...quietNext, NODE_ENV: command === 'start' ? 'production' : 'development' },
    },
  )
  let log = ''
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Next did not start within 60 s: ${log}`)), 60_000)
    const read = (text: Buffer): void => {
      log += text.toString()
      const [found] = /http:\/\/127\.0\.0\.1:\d+/.exec(log) ?? []
      if (found === undefined || found.endsWith(':0')) return
      clearTimeout(timer)
      resolve(found)
    }
    server.stdout.on('data', read)
    server.stderr.on('data', read)
    server.once('exit', (code) => reject(new Error(`Next ended with ${code}: ${log}`)))
  }).catch((error: unknown) => {
    server.kill()
    throw error
  })
  return { url, log: () => log, stop: () => void server.kill() }
}
