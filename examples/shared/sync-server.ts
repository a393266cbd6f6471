import type { Plugin } from 'vite'
import type * as file from 'tidemark/file'
import type * as server from 'tidemark/server'

/**
 * A sync server for `npm run dev`, at the same address, in memory: it forgets everything when it ends. One that keeps it in a
 * file: `openFileLogStore` of `tidemark/file` in the place of `memoryLogStore`.
 *
 * @param packages of the example, since this folder has none of its own
 */
export function syncServer(packages: () => Promise<[typeof server, typeof file]>): Plugin {
  return {
    name: 'sync-server',
    async configureServer({ middlewares }) {
      const [{ memoryLogStore, serverLog, syncHandler }, { nodeListener }] = await packages()
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
