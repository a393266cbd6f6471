// Builds the bench page as an app would build tidemark, and serves the result.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, preview } from 'vite'
import { readAs } from '../../scripts/builds.mjs'

const page = fileURLToPath(new URL('../page/', import.meta.url))
const source = (path) => fileURLToPath(new URL(`../../src/${path}`, import.meta.url))

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
    load: (id) => (id === '\0no-peers' ? 'export const peers = []' : undefined),
  }
}

/** @param {{ minify: boolean, peers: boolean }} options */
export async function buildAndServe({ minify, peers }) {
  const outDir = await mkdtemp(join(tmpdir(), 'tidemark-bench-page-'))
  const common = {
    configFile: false,
    root: page,
    logLevel: 'warn',
    build: { outDir, emptyOutDir: true, target: 'es2022', minify, chunkSizeWarningLimit: 2048 },
  }
  await build({
    ...common,
    mode: 'production',
    resolve: { alias: [{ find: /^tidemark$/, replacement: source('index.ts') }] },
    plugins: [readAs('production'), peersModule(peers)],
    // PouchDB looks for it.
    define: { global: 'globalThis' },
  })
  const server = await preview({
    ...common,
    // An isolated page has a clock of 5 µs; otherwise it is 100 µs.
    preview: {
      port: 0,
      host: '127.0.0.1',
      headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
    },
  })
  const { port } = server.httpServer.address()
  return {
    url: `http://127.0.0.1:${port}/`,
    async close() {
      await server.close()
      await rm(outDir, { recursive: true, force: true })
    },
  }
}
