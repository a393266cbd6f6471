/** Tests that take minutes by their nature; `npm run nightly`. What they found last is in docs/nightly.md. */
import { defineConfig } from '@playwright/test'
import config from './playwright.config.js'

const [harness] = config.webServer as readonly object[]

export default defineConfig({
  ...config,
  testDir: 'test/nightly',
  workers: 1,
  timeout: 15 * 60_000,
  globalTimeout: 90 * 60_000,
  webServer: harness as NonNullable<typeof config.webServer>,
})
