// The synced React example against the servers of the examples: over PostgreSQL, and in Durable Objects.
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { scratch } from '../../scripts/scratch.mjs'
import { expect, onOneStorage, test } from '../support/e2e.js'
import { exampleServer, isThere, type ExampleServerName } from '../support/example-servers.js'

/** What each server does not take, and says about it. */
const refusals: Record<ExampleServerName, readonly [title: string, reason: string]> = {
  'server-postgres': ['so long '.repeat(26).trim(), 'A title has at most 200 characters.'],
  'server-durable-object': ['MILK', 'This list takes no shouting.'],
}

const screens = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
] as const

const rows = (page: Page) => page.getByRole('list', { name: 'To-dos' }).getByRole('listitem')

async function add(page: Page, title: string): Promise<void> {
  await page.getByRole('textbox', { name: 'New to-do' }).fill(title)
  await page.keyboard.press('Enter')
}

for (const name of ['server-postgres', 'server-durable-object'] as const) {
  test(`react-sync with ${name}: what one browser adds, the other sees`, onOneStorage, async ({ launch }, info) => {
    test.skip(!isThere(name), 'workerd does not run on this machine')
    test.setTimeout(120_000)
    const profile = mkdtempSync(join(scratch(), 'tidemark-other-device-'))
    const server = await exampleServer(name)
    const contexts = [await launch(), await launch({ profile })]
    try {
      const pages: Page[] = []
      for (const context of contexts) {
        await server.serve(context)
        const page = await context.newPage()
        await page.goto(`http://localhost:${process.env['TIDEMARK_EXAMPLES_E2E_PORT']}/react-sync/`)
        await expect(page.getByRole('status')).toHaveText('All is sent')
        pages.push(page)
      }
      const [one, other] = pages as [Page, Page]
      await add(one, 'Milk')
      await expect(rows(other)).toHaveText(['Milk'])
      await add(other, 'Bread')
      await expect(rows(one)).toHaveText(['Milk', 'Bread'])
      await rows(one).first().getByRole('checkbox').click()
      await expect(rows(other).first().getByRole('checkbox')).toBeChecked()
      const [title, reason] = refusals[name]
      await add(one, title)
      const refused = one.getByRole('list', { name: 'Refused' }).getByRole('listitem')
      await expect(refused).toHaveCount(1)
      await expect(refused).toContainText(reason)
      await expect(rows(other)).toHaveCount(2)
      for (const viewport of screens)
        for (const colorScheme of ['light', 'dark'] as const) {
          await one.setViewportSize(viewport)
          await one.emulateMedia({ colorScheme })
          expect(await one.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
          await one.screenshot({ path: info.outputPath(`${name}-${viewport.width}-${colorScheme}.png`) })
        }
    } finally {
      await contexts[1]?.close()
      await server.close()
      rmSync(profile, { recursive: true, force: true })
    }
  })
}
