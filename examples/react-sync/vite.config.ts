import { defineConfig, type Plugin } from 'vite'
import react from '@vitejs/plugin-react'

/** Another server, such as that of ../server-durable-object: `SERVER=http://127.0.0.1:8787 npm run dev`. */
const { SERVER } = process.env

/**
 * A sync server for `npm run dev`, at the same address, in memory: it forgets everything when it ends. One that keeps it in a
 * file: `openFileLogStore` of `tidemark/file` in the place of `memoryLogStore`.
 */
function syncServer(): Plugin {
  return {
    name: 'sync-server',
    async configureServer({ middlewares }) {
      const { memoryLogStore, serverLog, syncHandler } = await import('tidemark/server')
      const { nodeListener } = await import('tidemark/file')
      const log = serverLog(memoryLogStore())
      const listener = nodeListener(
        syncHandler({
          open(request) {
            // A name is no secret: verify a session here.
            const [, author] = /^Bearer (\w+)$/.exec(request.headers.get('authorization') ?? '') ?? []
            return author === undefined ? new Response(null, { status: 401 }) : { log, author }
          },
          // What everybody can rely on, whatever a device sends.
          accept({ events }) {
            const titles = events.map(({ data }) => (data as { title?: string } | null)?.title ?? '')
            const isLoud = titles.some((title) => title !== title.toLowerCase() && title === title.toUpperCase())
            return isLoud ? { code: 'too-loud', message: 'This list takes no shouting.' } : undefined
          },
        }),
      )
      middlewares.use((request, response, next) =>
        request.url?.startsWith('/logs/') === true ? listener(request, response) : next(),
      )
    },
  }
}

export default defineConfig({
  // For ../shared, which has no packages of its own.
  resolve: { dedupe: ['tidemark'] },
  plugins: [react(), SERVER === undefined && syncServer()],
  server: { proxy: SERVER === undefined ? {} : { '/logs': { target: SERVER, ws: true } } },
  build: { target: 'es2022' },
})
