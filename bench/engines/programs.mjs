// Builds the programs of the bench of engines as a server would be deployed, and runs them.
import { spawn } from 'node:child_process'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { readAs } from '../../scripts/builds.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const source = (path) => join(root, 'src', path)

export const alias = [
  { find: /^tidemark$/, replacement: source('index.ts') },
  { find: /^tidemark\/([\w-]+)$/, replacement: source('$1/index.ts') },
]

const names = ['server', 'inside', 'clients', 'follow', 'hints', 'fleet', 'project', 'storm']

/** @returns the folder of the programs, within this repository: they import `pg` from there */
export async function buildPrograms() {
  const folder = join(root, '.cache', `bench-engines-${process.pid}`)
  await mkdir(folder, { recursive: true })
  await build({
    configFile: false,
    logLevel: 'warn',
    mode: 'production',
    resolve: { alias },
    plugins: [readAs('production')],
    build: {
      outDir: folder,
      minify: false,
      ssr: true,
      target: 'node20',
      rollupOptions: {
        input: Object.fromEntries(names.map((name) => [name, fileURLToPath(new URL(`${name}.ts`, import.meta.url))])),
        output: { entryFileNames: '[name].mjs' },
      },
    },
    ssr: { noExternal: true, external: ['pg'] },
  })
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** A program that runs, and the lines that it prints. */
export class Program {
  #child
  #lines
  #ended

  constructor(folder, name, job) {
    this.#child = spawn(process.execPath, [join(folder, `${name}.mjs`), JSON.stringify(job)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    this.name = name
  }

  get pid() {
    return this.#child.pid
  }

  async line() {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error(`${this.name} ended with ${await this.#ended}`)
    return value
  }

  /** Lets it begin, once it is ready. */
  go() {
    this.#child.stdin.write('\n')
  }

  async end() {
    this.#child.kill()
    await this.#ended
  }

  get ended() {
    return this.#ended
  }
}

/**
 * Runs a program that says when it is ready.
 *
 * @param before is called when it is ready, and returns what is called when it is done
 */
export async function measured(folder, name, job, before = async () => async () => ({})) {
  const program = new Program(folder, name, job)
  try {
    await program.line()
    const after = await before(program)
    program.go()
    const result = JSON.parse(await program.line())
    return { ...result, ...(await after(result)) }
  } finally {
    await program.end()
  }
}
