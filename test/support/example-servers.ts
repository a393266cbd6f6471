/** The servers of the examples, started as they are, with the sources of this folder in place of the installed package. */
import { randomUUID } from 'node:crypto'
import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { build, type InlineConfig } from 'vite'
import { readAs } from '../../scripts/builds.mjs'
import { logsAt, type ServerOfLogs } from './logs-at.js'
import { postgresUrl } from './postgres/server.js'
import { workerd } from './workerd/start.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

export type ExampleServerName = 'server-postgres' | 'server-durable-object'

/** Whether this machine can start it. */
export const isThere = (name: ExampleServerName): boolean => name === 'server-postgres' || workerd !== undefined

export function exampleServer(name: ExampleServerName): Promise<ServerOfLogs> {
  return name === 'server-postgres' ? overPostgres() : inDurableObjects()
}

/** The program of an example, and what it is started with. */
export interface ExampleProgram {
  readonly program: string
  readonly folder: string
  readonly env: NodeJS.ProcessEnv
  dispose(): Promise<void>
}

/** The program of `examples/server-postgres`, with a database of its own, or PGlite. */
export interface PostgresExample extends ExampleProgram {
  /** The address of its database, if it has one on a server. */
  readonly database: string | undefined
}

/** In the database of a server of the tests; without one by PGlite, as the example does. */
async function overPostgres(): Promise<ServerOfLogs> {
  const { program, folder, env, dispose } = await postgresExample()
  return started(process.execPath, [program], { cwd: folder, env }, /:(\d+)\/logs/, dispose)
}

export async function postgresExample(): Promise<PostgresExample> {
  // In the repository, so that its packages are found.
  const built = join(root, '.cache', 'example-servers', randomUUID())
  await bundle({
    ssr: { noExternal: [/^tidemark/] },
    build: { ssr: join(root, 'examples/server-postgres/server.js'), outDir: built },
  })
  const url = await postgresUrl()
  const database = `example_${randomUUID().replaceAll('-', '')}`
  const admin = new pg.Client({ connectionString: url })
  if (url !== undefined) {
    await admin.connect()
    await admin.query(`create database ${database}`)
  }
  const at = url === undefined ? undefined : new URL(url)
  if (at !== undefined) at.pathname = `/${database}`
  const env = { ...process.env, PORT: '0', FOLDER: join(built, 'data'), DATABASE_URL: at?.href ?? '' }
  return {
    program: join(built, 'server.js'),
    folder: built,
    env,
    database: at?.href,
    async dispose() {
      rmSync(built, { recursive: true, force: true })
      if (url === undefined) return
      await admin.query(`drop database ${database} with (force)`)
      await admin.end()
    },
  }
}

async function inDurableObjects(): Promise<ServerOfLogs> {
  const { program, folder, env, dispose } = await durableObjectExample()
  return started(process.execPath, [program], { cwd: folder, env }, /:(\d+)\/logs/, dispose)
}

/** The program of `examples/server-durable-object`, and what it is started with. */
export async function durableObjectExample(): Promise<ExampleProgram> {
  const example = join(root, 'examples/server-durable-object')
  // In the repository, so that workerd is found.
  const folder = join(root, '.cache', 'example-servers', randomUUID())
  await bundle({
    root: example,
    configFile: join(example, 'vite.config.js'),
    build: { outDir: join(folder, 'dist') },
  })
  mkdirSync(join(folder, 'logs'))
  for (const name of ['config.capnp', 'start.js']) copyFileSync(join(example, name), join(folder, name))
  const dispose = async () => rmSync(folder, { recursive: true, force: true })
  return { program: join(folder, 'start.js'), folder, env: { ...process.env, PORT: '0' }, dispose }
}

async function bundle(config: InlineConfig): Promise<void> {
  await build({
    configFile: false,
    logLevel: 'silent',
    resolve: {
      alias: [
        { find: /^tidemark$/, replacement: join(root, 'src/index.ts') },
        { find: /^tidemark\/([\w-]+)$/, replacement: join(root, 'src/$1/index.ts') },
      ],
    },
    plugins: [readAs('production')],
    ...config,
    build: { emptyOutDir: true, ...config.build },
  })
}

/** Resolves once it printed its port. */
async function started(
  program: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv },
  port: RegExp,
  ended: () => Promise<void>,
): Promise<ServerOfLogs> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const end = new Promise((resolve) => child.once('exit', resolve))
  let printed = ''
  const at = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        printed += text
        const [, found] = port.exec(printed) ?? []
        if (found !== undefined) resolve(found)
      })
    child.once('exit', () => reject(new Error(`${program} ended: ${printed}`)))
  })
  return {
    serve: logsAt(Number(at)),
    async close() {
      // That of Durable Objects is two programs, of which the first one ends the other.
      child.kill('SIGTERM')
      await end
      await ended()
    },
  }
}
