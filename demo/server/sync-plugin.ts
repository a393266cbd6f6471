/** Starts the sync server of the shared boards inside Vite's own server, on its address and port. */
import type { ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import { runnerImport, type Alias, type Connect, type Plugin, type PreviewServer, type ViteDevServer } from 'vite'
import { readAs } from '../../scripts/builds.mjs'

const boards = fileURLToPath(new URL('./board-logs.ts', import.meta.url))

/**
 * @param folder where the boards are kept
 * @param alias where the entries of tidemark are
 */
export function syncServer(folder: string, alias: Alias[]): Plugin {
  async function serve(server: ViteDevServer | PreviewServer): Promise<void> {
    const { module } = await runnerImport<typeof import('./board-logs.js')>(boards, {
      configFile: false,
      logLevel: 'warn',
      resolve: { alias },
      plugins: [readAs('development')],
    })
    // Without --host Vite listens on loopback alone, and so does this.
    const open = module.openBoards(folder, () => server.resolvedUrls?.network ?? [])
    const handle: Connect.NextHandleFunction = (request, response, next) => {
      if (!open.serve(request, response as ServerResponse)) next()
    }
    server.middlewares.use(handle)
    server.httpServer?.once('close', () => void open.close())
  }
  return {
    name: 'flight-desk-sync-server',
    configureServer: serve,
    configurePreviewServer: serve,
  }
}
