// examples/next, on the package as it is published: built, rendered on the server, and used in a browser.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from '@playwright/test'
import { expect, test } from 'vitest'
import { chromiumArgs, findChromium } from '../../scripts/find-browser.mjs'
import { apps, nodeTool, quietNext, serveNext } from './support.js'

const browser = findChromium()
const examples = fileURLToPath(new URL('../../examples', import.meta.url))

test.skipIf(browser === undefined)('examples/next is built, and shows what it stores', async () => {
  for (const folder of ['next', 'react/src', 'shared']) {
    const from = join(examples, folder)
    cpSync(from, join(apps, 'examples', folder), {
      recursive: true,
      filter: (path) => !/node_modules|\.next/.test(path),
    })
  }
  // The tools lie one folder higher than in the repository.
  const config = join(apps, 'examples', 'next', 'next.config.mjs')
  writeFileSync(config, readFileSync(config, 'utf8').replace("'../..'", "'../../..'"))
  const built = await nodeTool('next/dist/bin/next', ['build'], 'examples/next', quietNext)
  expect(built.code, built.printed).toBe(0)
  const html = readFileSync(join(apps, 'examples', 'next', '.next', 'server', 'app', 'index.html'), 'utf8')
  // How many there are is not known before the browser looks.
  expect(html).toContain('<p role="status"></p>')

  const server = await serveNext('start', 'examples/next')
  const launched = await chromium.launch({ args: chromiumArgs(), ...(browser && { executablePath: browser.path }) })
  try {
    const page = await launched.newPage()
    const problems: string[] = []
    page.on('pageerror', (error) => problems.push(String(error)))
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) problems.push(message.text())
    })
    await page.goto(server.url)
    const add = page.getByLabel('New to-do')
    await expect
      .poll(async () => {
        // Until the page is taken over, what is typed goes nowhere.
        await add.fill('Milk')
        await add.press('Enter')
        return page.getByRole('checkbox', { name: 'Milk' }).count()
      })
      .toBeGreaterThan(0)
    await page.reload()
    await page.getByRole('checkbox', { name: 'Milk' }).first().waitFor()
    expect(problems).toEqual([])
  } finally {
    await launched.close()
    server.stop()
  }
})
