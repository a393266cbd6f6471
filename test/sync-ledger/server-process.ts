/** The server of a ledger: started, killed, started again, restored from a copy of its files. */
import { spawn, type ChildProcess } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { readAs } from '../../scripts/builds.mjs'
import { alias } from '../../vite.config.js'
import { startObjectServer } from './object-server.js'
import type { LedgerServer, LedgerBackup } from './ledger-server.js'

let script: Promise<string> | undefined

/** The program, built once in each process. */
function built(): Promise<string> {
  script ??= (async () => {
    const outDir = await mkdtemp(join(tmpdir(), 'tidemark-ledger-server-'))
    await build({
      configFile: false,
      logLevel: 'silent',
      resolve: { alias },
      plugins: [readAs('development')],
      build: {
        outDir,
        minify: false,
        ssr: fileURLToPath(new URL('./server-main.ts', import.meta.url)),
        rollupOptions: { output: { entryFileNames: 'server.mjs' } },
      },
    })
    return join(outDir, 'server.mjs')
  })()
  return script
}

export async function startLedgerServer(options?: Parameters<LedgerServer['start']>[0]): Promise<LedgerServer> {
  if (process.env['TIDEMARK_LEDGER_SERVER'] === 'durable-object') return await startObjectServer(options)
  const server = new Server(await mkdtemp(join(tmpdir(), 'tidemark-ledger-')), await built())
  await server.start(options)
  return server
}

class Server implements LedgerServer {
  readonly #folder: string
  readonly #script: string
  readonly #backups: string[] = []
  #child: ChildProcess | undefined
  #ended: Promise<void> = Promise.resolve()
  url = ''

  constructor(folder: string, script: string) {
    this.#folder = folder
    this.#script = script
  }

  get #logs(): string {
    return join(this.#folder, 'logs')
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  async start({ killAt, sabotage }: Parameters<LedgerServer['start']>[0] = {}): Promise<void> {
    if (this.#child !== undefined) return
    await mkdir(this.#logs, { recursive: true })
    const port = this.url === '' ? '0' : new URL(this.url).port
    const child = spawn(process.execPath, [this.#script, this.#logs, port], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        TIDEMARK_LEDGER_KILL: killAt === undefined ? '' : `${killAt.when}@${killAt.commit}`,
        ...(sabotage !== undefined && { TIDEMARK_LEDGER_SABOTAGE: sabotage }),
      },
    })
    this.#child = child
    const end = () => void child.kill('SIGKILL')
    // A driver that broke leaves no server behind.
    process.once('exit', end)
    this.#ended = new Promise((resolve) => {
      child.once('exit', () => {
        process.off('exit', end)
        if (this.#child === child) this.#child = undefined
        resolve()
      })
    })
    this.url = await new Promise<string>((resolve, reject) => {
      let printed = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        printed += text
        if (printed.includes('\n')) resolve(printed.trim())
      })
      child.once('exit', () => reject(new Error(`The server ended: ${printed}`)))
    })
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#ended
  }

  ended(): Promise<void> {
    return this.#ended
  }

  async backup(): Promise<LedgerBackup> {
    const folder = await mkdtemp(join(this.#folder, 'backup-'))
    this.#backups.push(folder)
    // The lock of the process is not a part of the log.
    await cp(this.#logs, folder, { recursive: true, filter: (path) => !path.includes('.log.lock.') })
    return { folder }
  }

  async restore({ folder }: LedgerBackup, options?: Parameters<LedgerServer['start']>[0]): Promise<void> {
    await this.kill()
    await rm(this.#logs, { recursive: true, force: true })
    await cp(folder, this.#logs, { recursive: true })
    await this.start(options)
  }

  async dispose(): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
