// Firefox as installed, over WebDriver BiDi. It has no DevTools session, so it is not slowed down.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { findFirefox } from '../../../scripts/find-browser.mjs'

/** Entries are samples: 64 MiB of them, one each 0.5 ms. */
const profiling = {
  MOZ_PROFILER_STARTUP: '1',
  MOZ_PROFILER_STARTUP_ENTRIES: '33554432',
  MOZ_PROFILER_STARTUP_INTERVAL: '0.5',
  MOZ_PROFILER_STARTUP_FEATURES: 'js',
  MOZ_PROFILER_STARTUP_FILTERS: 'GeckoMain',
}

export const firefox = {
  /** @param {string | undefined} profileFile where it writes a CPU profile when it ends */
  async start(profile, profileFile) {
    const { launch } = await import('puppeteer-core')
    const browser = await launch({
      // A page under remote control counts as one that is debugged, and then every `await` notes who called: three times as slow as for users.
      extraPrefsFirefox: { 'javascript.options.asyncstack': false },
      browser: 'firefox',
      executablePath: findFirefox(),
      headless: true,
      userDataDir: profile,
      handleSIGINT: false,
      protocolTimeout: 15 * 60_000,
      ...(profileFile !== undefined && { env: { ...process.env, ...profiling, MOZ_PROFILER_SHUTDOWN: profileFile } }),
    })
    const [blank] = await browser.pages()
    return {
      version: (await browser.version()).replace(/^firefox\//, 'Firefox '),
      firstPage: async () => blank ?? browser.newPage(),
      newPage: () => browser.newPage(),
      devtools: undefined,
      profileFile,
      close: () => browser.close(),
    }
  },
  storage: 'firefox',
  async storageOnDisk(profile) {
    const origins = await readdir(join(profile, 'storage', 'default')).catch(() => [])
    const files = await Promise.all(
      origins.map((origin) => readdir(join(profile, 'storage', 'default', origin, 'idb')).catch(() => [])),
    )
    return files.flat().some((file) => file.endsWith('.sqlite')) ? 'firefox' : 'none'
  },
}
