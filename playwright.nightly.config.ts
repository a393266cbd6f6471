/** Tests that take minutes by their nature; `npm run nightly`. What they found last is in docs/nightly.md. */
import { tmpdir } from 'node:os'
import { defineConfig } from '@playwright/test'
import config from './playwright.config.js'

// On a disk, as on a user's device.
process.env['TIDEMARK_SCRATCH'] ??= tmpdir()

const [harness] = config.webServer as readonly object[]

export default defineConfig({
  ...config,
  testDir: 'test/nightly',
  workers: 1,
  timeout: 15 * 60_000,
  globalTimeout: 90 * 60_000,
  webServer: harness as NonNullable<typeof config.webServer>,
})
