// What the code takes an engine for, by what engines say of themselves.
import { afterEach, expect, test, vi } from 'vitest'
import {
  inChromium,
  isWorkerOfWebKit,
  mayCommitEarly,
  takesBackCommitted,
} from '../../../src/platform/engine-quirks.js'

const agents = {
  chromium: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  firefox: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  webkit: 'Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15',
}

function stub(engine: keyof typeof agents, isPage: boolean): void {
  const data = engine === 'chromium' ? { userAgentData: {} } : {}
  vi.stubGlobal('navigator', { userAgent: agents[engine], ...data })
  vi.stubGlobal('document', isPage ? {} : undefined)
}

afterEach(() => vi.unstubAllGlobals())

test.for<[keyof typeof agents, boolean, { chromium: boolean; webkitWorker: boolean }]>([
  ['chromium', true, { chromium: true, webkitWorker: false }],
  ['chromium', false, { chromium: true, webkitWorker: false }],
  ['firefox', true, { chromium: false, webkitWorker: false }],
  ['firefox', false, { chromium: false, webkitWorker: false }],
  ['webkit', true, { chromium: false, webkitWorker: false }],
  ['webkit', false, { chromium: false, webkitWorker: true }],
])('%s, in a page: %s', ([engine, isPage, { chromium, webkitWorker }]) => {
  stub(engine, isPage)
  expect(inChromium()).toBe(chromium)
  expect(takesBackCommitted()).toBe(chromium)
  expect(isWorkerOfWebKit()).toBe(webkitWorker)
  expect(mayCommitEarly()).toBe(!webkitWorker)
})

test('without a navigator nothing is assumed', () => {
  vi.stubGlobal('navigator', undefined)
  expect([inChromium(), takesBackCommitted(), isWorkerOfWebKit()]).toEqual([false, false, false])
})
