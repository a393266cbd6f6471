// Next builds the app of the guide, whose page renders on the server, serves it, and the browser takes it over.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from '@playwright/test'
import { expect, test } from 'vitest'
import { chromiumArgs, findChromium } from '../../scripts/find-browser.mjs'
import { apps, nodeTool, quietNext, serveNext } from './support.js'

const browser = findChromium()
const guide = readFileSync(new URL('../../docs/guide.md', import.meta.url), 'utf8')

test.skipIf(browser === undefined)(
  'Next: a page with a live query is built, rendered on the server and taken over without a warning',
  async () => {
    const files = [...guide.matchAll(/^```jsx\n\/\/ (\S+)\n([\s\S]*?)^```/gm)]
    expect(files.map(([, path]) => path)).toEqual(['app/shop.js', 'app/baskets.jsx'])
    for (const [, path = '', code = ''] of files) writeFileSync(join(apps, 'next', path), code)
    const built = await nodeTool('next/dist/bin/next', ['build'], 'next', quietNext)
    expect(built.code, built.printed).toBe(0)
    expect(built.printed).not.toMatch(/unhandled|storage-unavailable|ReferenceError|Error:/i)
    expect(readFileSync(join(apps, 'next', '.next', 'server', 'app', 'index.html'), 'utf8')).toContain('Opening …')

    const chunks = join(apps, 'next', '.next', 'static', 'chunks')
    const codes = readdirSync(chunks, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.js'))
      .map((file) => readFileSync(join(chunks, file), 'utf8'))
    // The code of errors is in it, and the text is not: the production build of the package.
    expect(codes.some((code) => code.includes('version-conflict'))).toBe(true)
    expect(codes.filter((code) => code.includes('but the append expected'))).toEqual([])

    const server = await serveNext('start', 'next')
    try {
      const launched = await chromium.launch({ args: chromiumArgs(), ...(browser && { executablePath: browser.path }) })
      try {
        const page = await launched.newPage()
        const problems: string[] = []
        page.on('pageerror', (error) => problems.push(String(error)))
        page.on('console', (message) => {
          if (['error', 'warning'].includes(message.type())) problems.push(message.text())
        })
        await page.goto(server.url)
        await page.getByRole('button', { name: 'Add two' }).click({ timeout: 60_000 })
        await page.getByText('basket-1: 2').waitFor({ timeout: 60_000 })
        expect(problems).toEqual([])
      } finally {
        await launched.close()
      }
      expect(server.log()).not.toMatch(/unhandled|storage-unavailable/i)
    } finally {
      server.stop()
    }
  },
)
