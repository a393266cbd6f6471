// node scripts/examples.mjs PORT: builds all examples as each of them builds itself, with the sources of this folder in place of the
// installed package, and serves what it built: http://127.0.0.1:PORT/react/ and so on. For the end-to-end tests.
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, preview } from 'vite'
import { readAs } from './builds.mjs'
import { readFlags } from './flags.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const source = (path) => join(root, 'src', path)

/** The package by its name, as an installed one is found. */
export const alias = [
  { find: /^tidemark$/, replacement: source('index.ts') },
  { find: /^tidemark\/sync$/, replacement: source('sync/index.ts') },
  { find: /^tidemark\/(\w+)$/, replacement: source('bindings/$1.ts') },
]

/** The examples that Vite builds. */
export const examples = readdirSync(join(root, 'examples')).filter((name) =>
  existsSync(join(root, 'examples', name, 'vite.config.ts')),
)

/** Builds an example into `outDir/<name>`, for `/<name>/` on a server. */
export async function buildExample(name, outDir) {
  await build({
    root: join(root, 'examples', name),
    configFile: join(root, 'examples', name, 'vite.config.ts'),
    base: `/${name}/`,
    // A config may name parts of the package that only its server needs.
    configLoader: 'runner',
    logLevel: 'warn',
    resolve: { alias },
    plugins: [readAs('development')],
    build: { outDir: join(outDir, name), emptyOutDir: true },
  })
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { positionals } = readFlags(import.meta.url, {}, { allowPositionals: true })
  const port = Number(positionals[0])
  const outDir = join(root, 'test', 'e2e', '.dist', `examples-${port}`)
  rmSync(outDir, { recursive: true, force: true })
  for (const name of examples) await buildExample(name, outDir)
  await preview({
    root,
    configFile: false,
    build: { outDir },
    appType: 'mpa',
    preview: { host: '127.0.0.1', port, strictPort: true, allowedHosts: true },
  })
}
