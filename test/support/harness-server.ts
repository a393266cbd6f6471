/** Builds the harness and serves it on a free port, for tests that are not Playwright's. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, preview } from 'vite'

const configFile = fileURLToPath(new URL('../e2e/harness/vite.config.ts', import.meta.url))

export interface HarnessServer {
  readonly url: string
  /** What was thrown in shared and service workers and caught by nobody, since it was last asked. */
  errors(): Promise<readonly string[]>
  close(): Promise<void>
}

export async function serveHarness(): Promise<HarnessServer> {
  const outDir = await mkdtemp(join(tmpdir(), 'tidemark-harness-'))
  await build({ configFile, build: { outDir } })
  const server = await preview({ configFile, build: { outDir }, preview: { port: 0 } })
  const address = server.httpServer.address()
  if (address === null || typeof address === 'string') throw new Error('The harness has no port')
  const url = `http://localhost:${address.port}/`
  return {
    url,
    errors: async () => (await fetch(`http://127.0.0.1:${address.port}/__errors`)).json() as Promise<string[]>,
    async close() {
      await server.close()
      await rm(outDir, { recursive: true, force: true })
    },
  }
}
