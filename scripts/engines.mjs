// The browser engines that the suites run on, and what this machine lacks for each. How each is started: test/engines/.
import process from 'node:process'
import { findChromium, findFirefox, findWebKit, findXvfb } from './find-browser.mjs'

/** Names of engines; each is a vitest project. */
export const engineNames = ['chromium-leveldb', 'chromium-sqlite', 'firefox', 'webkit']

/**
 * Why an engine cannot be run here, with what to do about it.
 *
 * @param {string} name one of `engineNames`
 * @returns {string | undefined} nothing if it can
 */
export function whyMissing(name) {
  switch (name) {
    case 'chromium-leveldb':
    case 'chromium-sqlite':
      return findChromium()
        ? undefined
        : (wrong('TIDEMARK_CHROMIUM') ?? 'no Chromium found; run `node scripts/provision-browser.mjs`')
    case 'firefox':
      return findFirefox()
        ? undefined
        : (wrong('TIDEMARK_FIREFOX') ?? 'no Firefox found; install it (Debian: firefox-esr)')
    case 'webkit':
      if (process.platform !== 'linux') return 'WebKitGTK is run on Linux only'
      if (!findWebKit())
        return (
          wrong('TIDEMARK_WEBKIT_BROWSER') ??
          'no MiniBrowser of WebKitGTK found; install it (Debian: libwebkit2gtk-4.1-0)'
        )
      return findXvfb() ? undefined : (wrong('TIDEMARK_XVFB') ?? 'WebKitGTK needs Xvfb; install it (Debian: xvfb)')
    default:
      return `there is no such engine; the engines are ${engineNames.join(', ')}`
  }
}

/** A choice that does not exist is never replaced silently. */
function wrong(variable) {
  return process.env[variable] ? `${variable} is '${process.env[variable]}', which does not exist` : undefined
}
