/** The process of a server in Node: built, started, armed, killed, started again. */
import { spawn, type ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { readAs } from '../../scripts/builds.mjs'
import { alias } from '../../vite.config.js'
import type { KillAt } from './ledger-server.js'

let script: Promise<string> | undefined

/** The program, built once in each process: within the repository, where it finds the packages that it needs. */
function built(): Promise<string> {
  script ??= (async () => {
    const cache = fileURLToPath(new URL('../../.cache', import.meta.url))
    await mkdir(cache, { recursive: true })
    const outDir = await mkdtemp(join(cache, 'ledger-server-'))
    process.once('exit', () => rmSync(outDir, { recursive: true, force: true }))
    await build({
      configFile: false,
      logLevel: 'silent',
      resolve: { alias },
      plugins: [readAs('development')],
      build: {
        outDir,
        minify: false,
        ssr: fileURLToPath(new URL('./server-main.ts', import.meta.url)),
        rollupOptions: { output: { entryFileNames: 'server.mjs', chunkFileNames: '[name].mjs' } },
      },
    })
    return join(outDir, 'server.mjs')
  })()
  return script
}

export class ServerProcess {
  readonly #script: string
  readonly #env: Readonly<Record<string, string>>
  #child: ChildProcess | undefined
  #isKilled = false
  #isDisposed = false
  #ended: Promise<boolean> = Promise.resolve(false)
  url = ''

  private constructor(path: string, env: Readonly<Record<string, string>>) {
    this.#script = path
    this.#env = env
  }

  /** @param env tells the program what to serve: see server-main.ts */
  static async start(env: Readonly<Record<string, string>>): Promise<ServerProcess> {
    const server = new ServerProcess(await built(), env)
    await server.start()
    return server
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** On the port that it had before, if there was one. Does nothing if it runs. */
  async start(): Promise<void> {
    if (this.#child !== undefined) return
    // A round that was given up may still want it.
    if (this.#isDisposed) throw new Error('The server was removed.')
    const port = this.url === '' ? '0' : new URL(this.url).port
    const child = spawn(process.execPath, [this.#script, port], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      env: { ...process.env, ...this.#env },
    })
    this.#child = child
    this.#isKilled = false
    this.#ended = new Promise((resolve) => {
      child.once('exit', () => {
        if (this.#child === child) this.#child = undefined
        resolve(!this.#isKilled)
      })
    })
    this.url = await new Promise<string>((resolve, reject) => {
      let printed = ''
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        printed += text
        if (printed.includes('\n')) resolve(printed.trim())
      })
      child.once('exit', () => reject(new Error(`The server ended: ${printed}`)))
    })
  }

  async arm(killAt: KillAt | undefined): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    await new Promise<void>((resolve) => {
      child.once('message', () => resolve())
      child.once('exit', () => resolve())
      child.send({ killAt }, () => {})
    })
  }

  async kill(): Promise<void> {
    this.#isKilled = true
    this.#child?.kill('SIGKILL')
    await this.#ended
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true
    await this.kill()
  }

  ended(): Promise<boolean> {
    return this.#ended
  }
}
