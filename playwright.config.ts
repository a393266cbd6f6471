import { defineConfig } from '@playwright/test'
import type { E2eOptions } from './test/support/e2e.js'

const port = process.env['TIDEMARK_E2E_PORT'] ?? '4817'
// Written back for the demo's build, and for the tests of it.
const demoPort = (process.env['TIDEMARK_DEMO_E2E_PORT'] ??= String(Number(port) + 1000))

// And for the tests of the examples.
const examplesPort = (process.env['TIDEMARK_EXAMPLES_E2E_PORT'] ??= String(Number(port) + 2000))

/** Builds a page and serves what it built. A server of another run would serve another build. */
const server = (config: string, url: string) =>
  ({
    command: `npx vite build --config ${config} && npx vite preview --config ${config}`,
    url,
    reuseExistingServer: false,
    timeout: 60_000,
    gracefulShutdown: { signal: 'SIGTERM', timeout: 2_000 },
  }) as const

export default defineConfig<E2eOptions>({
  testDir: 'test/e2e',
  outputDir: 'test-results',
  reporter: 'list',
  workers: 2,
  retries: 0,
  forbidOnly: Boolean(process.env['CI']),
  timeout: 60_000,
  globalTimeout: 25 * 60_000,
  expect: { timeout: 10_000 },
  use: {
    // The server listens on 127.0.0.1; a page needs the name `localhost`, so that several origins are possible.
    baseURL: `http://localhost:${port}`,
    actionTimeout: 15_000,
    navigationTimeout: 15_000,
  },
  // Every test that storage matters to runs on both of Chromium's engines (H9, H30); the others say so with `onOneStorage`.
  projects: [
    { name: 'chromium-leveldb', use: { engine: 'leveldb' } },
    { name: 'chromium-sqlite', use: { engine: 'sqlite' }, grepInvert: /@one-storage/ },
  ],
  webServer: [
    server('test/e2e/harness/vite.config.ts', `http://127.0.0.1:${port}/blank.html`),
    server('demo/vite.config.ts', `http://127.0.0.1:${demoPort}/`),
    {
      command: `node scripts/examples.mjs ${examplesPort}`,
      url: `http://127.0.0.1:${examplesPort}/vanilla/`,
      reuseExistingServer: false,
      timeout: 120_000,
      gracefulShutdown: { signal: 'SIGTERM', timeout: 2_000 },
    },
  ],
})
