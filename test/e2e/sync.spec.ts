// Two profiles are two devices, their pages are tabs, and the server is a process that is killed. On the other engines:
// test/engines/storm/sync.node.test.ts.
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BrowserContext } from '@playwright/test'
import { scratch } from '../../scripts/scratch.mjs'
import { expect, openPage, run, test } from '../support/e2e.js'
import { playSync, type DeviceBrowser, type Same } from '../support/sync-scenario.js'
import { startSyncServer } from '../support/sync-server-process.js'

const device = (context: BrowserContext): DeviceBrowser => ({
  async openTab() {
    const page = await openPage(context)
    return { run: (realm, body, arg) => run(page, realm, body, arg), close: () => page.close() }
  },
})
const same: Same = (actual, expected, what) => expect(actual, what).toEqual(expected)

test('two devices, tabs that are closed, a worker, and a server that is killed: the same rows everywhere', async ({
  launch,
}) => {
  test.setTimeout(120_000)
  const profile = await mkdtemp(join(scratch(), 'tidemark-e2e-other-'))
  const server = await startSyncServer()
  try {
    const [one, other] = [await launch(), await launch({ profile })]
    expect(await playSync(device(one), device(other), server, same)).toBe(9)
    await other.close()
  } finally {
    await server.close()
    await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
})
