import { fileURLToPath } from 'node:url'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'
import { chromiumArgs, findChromium } from './scripts/find-browser.mjs'

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

/** The package by its own name, so that demo, bench and tests import what a user imports. */
export const alias = [
  { find: /^tidemark$/, replacement: source('index.ts') },
  { find: /^tidemark\/memory$/, replacement: source('memory/index.ts') },
  { find: /^tidemark\/testing$/, replacement: source('testing/index.ts') },
]

// May be missing: the node project runs without a browser.
const chromium = findChromium()

export default defineConfig({
  resolve: { alias },
  // Found beforehand, so that no test page is reloaded when the first file that needs them is.
  optimizeDeps: { include: ['idb', 'zod'] },
  test: {
    // Against hangs only: no test makes a claim about time, and a busy machine is slow.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          environment: 'node',
          include: ['test/unit/**/*.test.ts', 'test/contract/**/*.node.test.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts', 'test/contract/**/*.browser.test.ts'],
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({
              launchOptions: { args: chromiumArgs(), ...(chromium && { executablePath: chromium.path }) },
            }),
            // IndexedDB is in memory here; what must be on disk is tested in test/e2e.
            instances: [{ browser: 'chromium' }],
          },
        },
      },
    ],
  },
})
