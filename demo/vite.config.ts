/**
 * `npm run demo` (vite --config demo/vite.config.ts) builds the demo and serves what it built: the service worker caches the
 * files that a build emits, so the demo is always the built one. Reload after a change builds nothing; start it again.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { extname, join, normalize, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, defineConfig, type Plugin } from 'vite'
import { readAs } from '../scripts/builds.mjs'
import { syncServer } from './server/sync-plugin.js'
import { project } from './src/albers.js'

const here = fileURLToPath(new URL('.', import.meta.url))
/** Set by the end-to-end tests, whose builds must not meet a demo that a developer has open. */
const testPort = process.env['TIDEMARK_DEMO_E2E_PORT']
const outDir =
  testPort === undefined
    ? join(here, 'dist')
    : fileURLToPath(new URL(`../test/e2e/.dist/demo-${testPort}`, import.meta.url))
/** Where the logs of shared boards are kept: they outlive this server, as those of any server do. */
const boards = testPort === undefined ? join(here, '.boards') : join(outDir, '..', `boards-${testPort}`)
const alias = [
  { find: /^tidemark$/, replacement: fileURLToPath(new URL('../src/index.ts', import.meta.url)) },
  {
    find: /^tidemark\/(server|file|sync)$/,
    replacement: fileURLToPath(new URL('../src/$1/index.ts', import.meta.url)),
  },
  // Files that these packages have, but do not export.
  ...['vega-datasets/data/', '@fontsource-variable/source-sans-3/files/'].map((folder) => ({
    find: new RegExp(`^${folder}`),
    replacement: fileURLToPath(new URL(`../node_modules/${folder}`, import.meta.url)),
  })),
]

interface Topology {
  arcs: [number, number][][]
  transform: { scale: [number, number]; translate: [number, number] }
  objects: { states: { geometries: { arcs: unknown }[] } }
}

/** Each border once, projected and thinned to what a screen can show. */
function statesPath(): string {
  const file = new URL('../node_modules/vega-datasets/data/us-10m.json', import.meta.url)
  const { arcs, transform, objects } = JSON.parse(readFileSync(file, 'utf8')) as Topology
  const used = new Set<number>()
  const collect = (node: unknown): void => {
    if (typeof node === 'number') used.add(node < 0 ? ~node : node)
    else if (Array.isArray(node)) node.forEach(collect)
  }
  for (const state of objects.states.geometries) collect(state.arcs)

  let path = ''
  for (const index of used) {
    let x = 0
    let y = 0
    const line: (readonly [number, number])[] = []
    for (const [dx, dy] of arcs[index] ?? []) {
      x += dx
      y += dy
      const at = project(
        x * transform.scale[0] + transform.translate[0],
        y * transform.scale[1] + transform.translate[1],
      )
      if (at) line.push(at)
    }
    const kept = line.filter((_, i) => {
      const last = line[i - 1]
      return i === 0 || i === line.length - 1 || last === undefined || i % 2 === 0
    })
    const thin: (readonly [number, number])[] = []
    for (const [i, at] of kept.entries()) {
      const last = thin.at(-1)
      if (!last || i === kept.length - 1 || Math.hypot(at[0] - last[0], at[1] - last[1]) > 1.1) thin.push(at)
    }
    const extent = Math.max(
      ...[0, 1].map((axis) => {
        const values = thin.map((at) => at[axis] ?? 0)
        return Math.max(...values) - Math.min(...values)
      }),
    )
    if (thin.length < 2 || extent < 1.2) continue
    path += thin.map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${px.toFixed(1)} ${py.toFixed(1)}`).join('')
  }
  return path
}

function usStates(): Plugin {
  const id = 'virtual:us-states'
  return {
    name: 'flight-desk-states',
    resolveId: (source) => (source === id ? `\0${id}` : undefined),
    load: (source) => (source === `\0${id}` ? `export default ${JSON.stringify(statesPath())}` : undefined),
  }
}

/** The typeface is asked for before the style sheet is read: what comes late would move everything. */
function preloadFont(): Plugin {
  return {
    name: 'flight-desk-font',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler: (_html, { bundle = {} }) =>
        Object.keys(bundle)
          .filter((file) => file.endsWith('.woff2'))
          .map((file) => ({
            tag: 'link',
            attrs: { rel: 'preload', as: 'font', type: 'font/woff2', crossorigin: '', href: `/${file}` },
            injectTo: 'head-prepend' as const,
          })),
    },
  }
}

/** After the page, builds the service worker as one file that knows what the page needs. */
function serviceWorker(): Plugin {
  return {
    name: 'flight-desk-service-worker',
    apply: 'build',
    async writeBundle(_options, bundle) {
      const files = Object.keys(bundle).map((file) => (file === 'index.html' ? '/' : `/${file}`))
      const hash = createHash('sha256')
      for (const file of Object.values(bundle)) hash.update(file.type === 'chunk' ? file.code : file.source)
      const shell = { revision: hash.digest('hex').slice(0, 12), files }
      await build({
        configFile: false,
        root: here,
        logLevel: 'warn',
        resolve: { alias },
        plugins: [readAs('development')],
        define: { __SHELL__: JSON.stringify(shell) },
        build: {
          outDir,
          emptyOutDir: false,
          copyPublicDir: false,
          rollupOptions: {
            input: join(here, 'src/service-worker.ts'),
            output: { format: 'iife', entryFileNames: 'service-worker.js' },
          },
        },
      })
    },
  }
}

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.csv': 'text/csv; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
}

/** In place of Vite's development server: the built files and nothing else. */
function serveBuilt(): Plugin {
  return {
    name: 'flight-desk-serve',
    apply: 'serve',
    async configureServer(server) {
      await build({ configFile: fileURLToPath(import.meta.url), logLevel: 'warn' })
      server.middlewares.use((request, response) => {
        const { pathname } = new URL(request.url ?? '/', 'http://localhost')
        const file = normalize(join(outDir, pathname === '/' ? 'index.html' : decodeURIComponent(pathname)))
        const inside = !relative(outDir, file).split(sep).includes('..')
        try {
          if (!inside) throw new Error('outside')
          const body = readFileSync(file)
          response.setHeader('content-type', types[extname(file)] ?? 'application/octet-stream')
          response.setHeader(
            'cache-control',
            pathname.startsWith('/assets/') ? 'max-age=31536000, immutable' : 'no-cache',
          )
          response.end(body)
        } catch {
          response.statusCode = 404
          response.end('Not found')
        }
      })
    },
  }
}

export default defineConfig({
  root: here,
  resolve: { alias },
  plugins: [
    readAs('development'),
    usStates(),
    preloadFont(),
    serviceWorker(),
    // Before what serves the files, since it has addresses of its own.
    syncServer(boards, alias),
    serveBuilt(),
  ],
  build: {
    outDir,
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1024,
    rollupOptions: { input: ['index.html', 'shared.html'].map((page) => join(here, page)) },
  },
  server: { port: 5173, strictPort: true, watch: null, hmr: false, ws: false },
  preview: {
    host: testPort === undefined ? 'localhost' : '127.0.0.1',
    port: Number(testPort ?? 5173),
    strictPort: true,
  },
  optimizeDeps: { noDiscovery: true },
})
