// Builds the bench page as an app would build tidemark, and serves it, with the logs of devices that sync.
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { readAs } from '../../scripts/builds.mjs'

const page = fileURLToPath(new URL('../page/', import.meta.url))
const programs = fileURLToPath(new URL('../server/', import.meta.url))
const source = (path) => fileURLToPath(new URL(`../../src/${path}`, import.meta.url))
const alias = [
  { find: /^tidemark$/, replacement: source('index.ts') },
  { find: /^tidemark\/(\w+)$/, replacement: source('$1/index.ts') },
]

/** The module `bench:peers`: other libraries, or nothing where they are not installed. */
function peersModule(included) {
  return {
    name: 'bench-peers',
    resolveId: (source) =>
      source !== 'bench:peers'
        ? undefined
        : included
          ? fileURLToPath(new URL('../peers/index.mjs', import.meta.url))
          : '\0no-peers',
    load: (id) => (id === '\0no-peers' ? 'export const [peers, syncPeers] = [[], []]' : undefined),
  }
}

/** @param {{ minify: boolean, peers: boolean }} options */
export async function buildAndServe({ minify, peers }) {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-'))
  const within = (name) => join(folder, name)
  const common = { configFile: false, logLevel: 'warn', mode: 'production', resolve: { alias } }
  await build({
    ...common,
    root: page,
    build: { outDir: within('page'), emptyOutDir: true, target: 'es2022', minify, chunkSizeWarningLimit: 2048 },
    plugins: [readAs('production'), peersModule(peers)],
    // PouchDB looks for it.
    define: { global: 'globalThis' },
  })
  await build({
    ...common,
    plugins: [readAs('production')],
    build: {
      outDir: within('programs'),
      emptyOutDir: true,
      minify: false,
      ssr: true,
      target: 'node20',
      rollupOptions: {
        input: { server: join(programs, 'main.ts'), devices: join(programs, 'devices.ts') },
        output: { entryFileNames: '[name].mjs' },
      },
    },
    ssr: { noExternal: true },
  })
  await mkdir(within('logs'))
  const args = [within('programs/server.mjs'), within('page'), within('logs')]
  if (peers) args.push(fileURLToPath(new URL('../peers/server.mjs', import.meta.url)))
  const server = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => server.once('exit', resolve))
  const url = await lineOf(server)
  return {
    url,
    /** The program of many devices. */
    devices: within('programs/devices.mjs'),
    async close() {
      server.kill()
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The first line that a program prints. */
export function lineOf(child) {
  return new Promise((resolve, reject) => {
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      printed += text
      if (printed.includes('\n')) resolve(printed.split('\n')[0])
    })
    child.once('exit', (code) => reject(new Error(`The program ended with ${code}: ${printed}`)))
  })
}
