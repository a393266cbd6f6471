/** Starts workerd with the worker of the tests, its logs in a folder. */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { scratch } from '../../../scripts/scratch.mjs'
import { readAs } from '../../../scripts/builds.mjs'
import { alias } from '../../../vite.config.js'

const cloudflare = fileURLToPath(new URL('../../../node_modules/@cloudflare', import.meta.url))

/** The program, which comes for some processors only. */
export const workerd = (existsSync(cloudflare) ? readdirSync(cloudflare) : [])
  .map((name) => join(cloudflare, name, 'bin', process.platform === 'win32' ? 'workerd.exe' : 'workerd'))
  .find((path) => existsSync(path))

export interface StartOptions {
  /** `before@3` ends it before its third commit is stored, `after@3` when it is, and no device knows. */
  readonly killAt?: string
  /** Another one than before begins new epochs. */
  readonly generation?: string
  /** @default https://app.example */
  readonly origins?: string
}

/** What runs in workerd: a module whose default export is a Worker, and the classes of its objects. */
export interface WorkerCode {
  readonly path: string
  /** Each is bound by its name in capitals. */
  readonly classes: readonly string[]
}

const testWorker: WorkerCode = {
  path: fileURLToPath(new URL('./worker.ts', import.meta.url)),
  classes: ['Log', 'Cases'],
}

type Kind = 'development' | 'production'

const bundles = new Map<string, Promise<string>>()

function bundled(kind: Kind, { path }: WorkerCode): Promise<string> {
  const key = `${kind} ${path}`
  const known = bundles.get(key) ?? bundle(kind, path)
  bundles.set(key, known)
  return known
}

async function bundle(kind: Kind, entry: string): Promise<string> {
  const made = await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { alias },
    plugins: [readAs(kind)],
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      lib: { entry, formats: ['es'] },
    },
  })
  const [output] = [made].flat()
  const [chunk] = output !== undefined && 'output' in output ? output.output : []
  return chunk?.code ?? ''
}

/** A worker in a folder of its own, and its disk. */
export class Workerd {
  readonly folder: string
  #child: ChildProcess | undefined
  #port = 0
  #printed = ''
  readonly #classes: readonly string[]

  private constructor(folder: string, { classes }: WorkerCode) {
    this.folder = folder
    this.#classes = classes
  }

  /** Bundles the worker, once, and starts it. */
  static async start(
    kind: Kind = 'development',
    options?: StartOptions,
    code: WorkerCode = testWorker,
  ): Promise<Workerd> {
    const running = new Workerd(await mkdtemp(join(scratch(), 'tidemark-workerd-')), code)
    await writeFile(join(running.folder, 'worker.mjs'), await bundled(kind, code))
    await running.startAgain(options)
    return running
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get disk(): string {
    return join(this.folder, 'disk')
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** What it printed. */
  get printed(): string {
    return this.#printed
  }

  /** On the same port, with what is on the disk. */
  async startAgain(options: StartOptions = {}): Promise<void> {
    await mkdir(this.disk, { recursive: true })
    await writeFile(join(this.folder, 'config.capnp'), config(this.disk, this.#port, this.#classes, options))
    const child = spawn(workerd ?? '', ['serve', 'config.capnp', '--control-fd=1'], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    await new Promise<void>((resolve, reject) => {
      let said = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text
        if (said.includes('kill now')) child.kill('SIGKILL')
        const [, port] = /"port":\s*(\d+)/.exec(said) ?? []
        if (port === undefined) return
        this.#port = Number(port)
        resolve()
      })
      child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#printed += text))
      child.once('exit', (code) => reject(new Error(`workerd ended with ${code}: ${said}${this.#printed}`)))
    })
  }

  /** As a power cut would, for the process. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }

  /** Resolves when it has ended, by itself or not. */
  ended(): Promise<void> {
    const child = this.#child
    return new Promise((resolve) => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) resolve()
      else child.once('exit', () => resolve())
    })
  }

  async end(): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }
}

const config = (
  disk: string,
  port: number,
  classes: readonly string[],
  { killAt = '', generation = '', origins = 'https://app.example' }: StartOptions,
) => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .log),
    (name = "disk", disk = (path = ${JSON.stringify(disk)}, writable = true)),
  ],
  sockets = [ (name = "http", address = "127.0.0.1:${port}", http = (), service = "main") ],
);
const log :Workerd.Worker = (
  modules = [ (name = "worker.mjs", esModule = embed "worker.mjs") ],
  compatibilityDate = "2026-06-01",
  durableObjectNamespaces = [
${classes.map((name) => `    (className = "${name}", uniqueKey = "tidemark-${name.toLowerCase()}", enableSql = true),`).join('\n')}
  ],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [
${classes.map((name) => `    (name = "${name.toUpperCase()}", durableObjectNamespace = "${name}"),`).join('\n')}
    (name = "KILL", text = ${JSON.stringify(killAt)}),
    (name = "ORIGINS", text = ${JSON.stringify(origins)}),
    (name = "GENERATION", text = ${JSON.stringify(generation)}),
  ],
);
`
