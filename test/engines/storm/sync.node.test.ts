// Two profiles are two devices, their pages are tabs, and the server is a process that is killed. On Chromium:
// test/e2e/sync.spec.ts.
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { scratch } from '../../../scripts/scratch.mjs'
import type { LedgerBrowser } from '../../ledger/browser.js'
import { engines } from '../../ledger/engines.js'
import { serveHarness, type HarnessServer } from '../../support/harness-server.js'
import { playSync } from '../../support/sync-scenario.js'
import { startSyncServer, type SyncServerProcess } from '../../support/sync-server-process.js'

const profiles: string[] = []
const browsers: LedgerBrowser[] = []
let harness: HarnessServer
let server: SyncServerProcess

beforeAll(async () => {
  const name = inject('stormOn')
  const engine = engines.find((each) => each.name === name)
  if (engine === undefined) throw new Error(`There is no engine '${name}'`)
  harness = await serveHarness()
  server = await startSyncServer()
  for (let device = 0; device < 2; device += 1) {
    const profile = await mkdtemp(join(scratch(), `tidemark-sync-${name}-`))
    profiles.push(profile)
    browsers.push(await engine.start(profile, harness.url))
  }
}, 120_000)

afterAll(async () => {
  for (const browser of browsers) await browser.close()
  await server?.close()
  await harness?.close()
  for (const profile of profiles) await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

test(
  'two devices, tabs that are closed, a worker, and a server that is killed: the same rows everywhere',
  { timeout: 180_000 },
  async () => {
    const [one, other] = browsers as [LedgerBrowser, LedgerBrowser]
    const events = await playSync(
      { openTab: () => one.openPage() },
      { openTab: () => other.openPage() },
      server,
      (actual, expected, what) => expect(actual, what).toEqual(expected),
    )
    expect(events).toBe(9)
    expect(await harness.errors(), 'errors that nobody caught').toEqual([])
  },
)
