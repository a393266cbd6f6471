// Next builds the app of the guide, whose page renders on the server, serves it, and the browser takes it over.
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from '@playwright/test'
import { expect, test } from 'vitest'
import { chromiumArgs, findChromium } from '../../scripts/find-browser.mjs'
import { apps, nodeTool } from './support.js'

const tools = fileURLToPath(new URL('./node_modules', import.meta.url))
const quiet = { NEXT_TELEMETRY_DISABLED: '1' }
const browser = findChromium()
const guide = readFileSync(new URL('../../docs/guide.md', import.meta.url), 'utf8')

test.skipIf(browser === undefined)(
  'Next: a page with a live query is built, rendered on the server and taken over without a warning',
  async () => {
    const files = [...guide.matchAll(/^```jsx\n\/\/ (\S+)\n([\s\S]*?)^```/gm)]
    expect(files.map(([, path]) => path)).toEqual(['app/shop.js', 'app/baskets.jsx'])
    for (const [, path = '', code = ''] of files) writeFileSync(join(apps, 'next', path), code)
    const built = await nodeTool('next/dist/bin/next', ['build'], 'next', quiet)
    expect(built.code, built.printed).toBe(0)
    expect(built.printed).not.toMatch(/unhandled|storage-unavailable|ReferenceError|Error:/i)
    expect(readFileSync(join(apps, 'next', '.next', 'server', 'app', 'index.html'), 'utf8')).toContain('Opening …')

    const server = spawn(
      process.execPath,
      [join(tools, 'next/dist/bin/next'), 'start', '--hostname', '127.0.0.1', '--port', '0'],
      { cwd: join(apps, 'next'), env: { ...process.env, ...quiet, NODE_ENV: 'production' } },
    )
    let log = ''
    try {
      const address = await new Promise<string>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`Next did not start within 60 s: ${log}`)), 60_000)
        const read = (text: Buffer): void => {
          log += text.toString()
          const [found] = /http:\/\/127\.0\.0\.1:\d+/.exec(log) ?? []
          if (found === undefined || found.endsWith(':0')) return
          clearTimeout(timer)
          resolve(found)
        }
        server.stdout.on('data', read)
        server.stderr.on('data', read)
        server.once('exit', (code) => reject(new Error(`Next ended with ${code}: ${log}`)))
      })
      const launched = await chromium.launch({ args: chromiumArgs(), ...(browser && { executablePath: browser.path }) })
      try {
        const page = await launched.newPage()
        const problems: string[] = []
        page.on('pageerror', (error) => problems.push(String(error)))
        page.on('console', (message) => {
          if (['error', 'warning'].includes(message.type())) problems.push(message.text())
        })
        await page.goto(address)
        await page.getByRole('button', { name: 'Add two' }).click({ timeout: 60_000 })
        await page.getByText('basket-1: 2').waitFor({ timeout: 60_000 })
        expect(problems).toEqual([])
      } finally {
        await launched.close()
      }
      expect(log).not.toMatch(/unhandled|storage-unavailable/i)
    } finally {
      server.kill()
    }
  },
)
