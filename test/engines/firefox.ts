/** Firefox as installed, driven over WebDriver BiDi. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { whyMissing } from '../../scripts/engines.mjs'
import { findFirefox } from '../../scripts/find-browser.mjs'
import type { Engine } from './engine.js'

export const firefox: Engine = {
  name: 'firefox',
  browser: 'firefox',
  storage: 'firefox',
  async start(url, profile) {
    const executablePath = findFirefox()
    if (executablePath === undefined) throw new Error(whyMissing('firefox'))
    // Loaded when needed: every run of vitest reads this file.
    const { launch } = await import('puppeteer-core')
    const browser = await launch({ browser: 'firefox', executablePath, headless: true, userDataDir: profile })
    try {
      const [page = await browser.newPage()] = await browser.pages()
      await page.goto(url)
      // It answers `firefox/153.0`.
      const [, number] = (await browser.version()).split('/')
      return { version: `Firefox ${number}`, stop: () => browser.close() }
    } catch (error) {
      await browser.close()
      throw error
    }
  },
  async storageOnDisk(profile, origin) {
    // `http+++localhost+63315`, the origin with what no file name may hold replaced.
    const folder = join(profile, 'storage', 'default', origin.replaceAll(/[:/]/g, '+'), 'idb')
    const files = await readdir(folder).catch((): string[] => [])
    return files.some((file) => file.endsWith('.sqlite')) ? 'firefox' : 'none'
  },
}
