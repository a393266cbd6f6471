// Firefox as installed, over WebDriver BiDi. It has no DevTools session, so it takes no profiles and is not slowed down.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { findFirefox } from '../../../scripts/find-browser.mjs'

export const firefox = {
  async start(profile) {
    const { launch } = await import('puppeteer-core')
    const browser = await launch({ browser: 'firefox', executablePath: findFirefox(), headless: true, userDataDir: profile, handleSIGINT: false, protocolTimeout: 15 * 60_000 })
    const [blank] = await browser.pages()
    return {
      version: (await browser.version()).replace(/^firefox\//, 'Firefox '),
      firstPage: async () => blank ?? browser.newPage(),
      newPage: () => browser.newPage(),
      devtools: undefined,
      close: () => browser.close(),
    }
  },
  storage: 'firefox',
  async storageOnDisk(profile) {
    const origins = await readdir(join(profile, 'storage', 'default')).catch(() => [])
    const files = await Promise.all(origins.map((origin) => readdir(join(profile, 'storage', 'default', origin, 'idb')).catch(() => [])))
    return files.flat().some((file) => file.endsWith('.sqlite')) ? 'firefox' : 'none'
  },
}
