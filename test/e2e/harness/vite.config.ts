import { fileURLToPath } from 'node:url'
import type { Connect, Plugin } from 'vite'
import { defineConfig } from 'vite'
import { readAs } from '../../../scripts/builds.mjs'
import { alias } from '../../../vite.config.js'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Another port lets two runs in one tree go on at the same time; each has its own build. */
const port = Number(process.env['TIDEMARK_E2E_PORT'] ?? 4817)

export default defineConfig({
  root: here('.'),
  appType: 'mpa',
  logLevel: 'warn',
  resolve: { alias },
  plugins: [readAs('development'), harnessServer()],
  build: {
    outDir: here(`../.dist/${port}`),
    emptyOutDir: true,
    minify: false,
    sourcemap: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    rollupOptions: {
      // The package has none, as its `package.json` says; the pages have hardly anything else, so this folder has a `package.json` of its own.
      treeshake: { moduleSideEffects: true },
      input: {
        index: here('./index.html'),
        remote: here('./remote.html'),
        'dedicated-worker': here('./dedicated-worker.ts'),
        'shared-worker': here('./shared-worker.ts'),
        'service-worker': here('./service-worker.ts'),
      },
      // Workers are fetched by name, and a service worker controls only what lies beside and below it.
      output: { entryFileNames: (chunk) => (chunk.name.endsWith('-worker') ? '[name].js' : 'assets/[name].js') },
    },
  },
  preview: { host: '127.0.0.1', port, strictPort: true, allowedHosts: true },
})

/** What the static build cannot do: collect errors of workers, and answer with `Clear-Site-Data`. */
function harnessServer(): Plugin {
  /** By the id that the fixture set as a cookie; `''` where a test had cleared its cookies. */
  const errors = new Map<string, string[]>()

  const handle: Connect.NextHandleFunction = (request, response, next) => {
    const url = new URL(request.url ?? '/', 'http://harness')
    if (url.pathname === '/__clear-site-data') {
      response.setHeader('Clear-Site-Data', url.searchParams.get('types') ?? '"storage"')
      response.setHeader('Content-Type', 'text/html')
      response.end('<!doctype html><title>cleared</title>')
    } else if (url.pathname === '/__errors' && request.method === 'POST') {
      const id = /(?:^|; )harness=([\w-]+)/.exec(request.headers.cookie ?? '')?.[1] ?? ''
      let body = ''
      request.setEncoding('utf8')
      request.on('data', (chunk: string) => (body += chunk))
      request.on('end', () => {
        errors.set(id, [...(errors.get(id) ?? []), body])
        response.statusCode = 204
        response.end()
      })
    } else if (url.pathname === '/__errors') {
      const ids = [url.searchParams.get('id') ?? '', '']
      response.setHeader('Content-Type', 'application/json')
      response.end(JSON.stringify(ids.flatMap((id) => errors.get(id) ?? [])))
      for (const id of ids) errors.delete(id)
    } else {
      // A test that changes the service worker must not meet an older build.
      response.setHeader('Cache-Control', 'no-cache')
      next()
    }
  }
  return { name: 'harness-server', configurePreviewServer: (server) => void server.middlewares.use(handle) }
}
