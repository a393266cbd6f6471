// npm run bench [-- --quick] [--only=text] [--sqlite] [--profile=contender]
// Measures tidemark beside IndexedDB by hand, in one browser session. Prints Markdown, writes bench/results/. See bench/README.md.
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { openBrowser } from './driver/browser.mjs'
import { readOptions } from './driver/options.mjs'
import { profiler } from './driver/profile.mjs'
import { report } from './driver/report.mjs'
import { measure } from './driver/rounds.mjs'
import { buildAndServe } from './driver/serve.mjs'

const results = fileURLToPath(new URL('./results/', import.meta.url))
const options = readOptions(process.argv.slice(2))
const started = Date.now()
const busyBefore = loadavg()[0]
await mkdir(results, { recursive: true })

// Names of functions are what a profile is for; everything else measures the code as users have it.
const site = await buildAndServe({ minify: options.profile === undefined, peers: options.peers })
let browser
try {
  browser = await openBrowser({ url: site.url, sqlite: options.sqlite })
  const profile = options.profile === undefined ? undefined : await profiler(browser.page, { contender: options.profile, folder: results })
  const cases = await measure(browser.page, { ...options, profile, say: (line) => console.error(line) })
  const result = {
    when: new Date(started).toISOString(), took: Date.now() - started, mode: options.mode, sizes: options.sizes,
    browser: browser.version, storage: await browser.storage(), cores: availableParallelism(), platform: `${process.platform} ${process.arch}`,
    /** What waited for the processor, ourselves included; 0 where the system does not say. */
    load: { before: busyBefore, after: loadavg()[0] }, cases,
  }
  const name = `${options.mode}${options.sqlite ? '-sqlite' : ''}`
  await writeFile(join(results, `${name}.json`), `${JSON.stringify(result, null, 1)}\n`)
  const markdown = report(result)
  await writeFile(join(results, `${name}.md`), `${markdown}\n`)
  console.log(markdown)
  if (profile !== undefined) console.log(await profile.finish())
} finally {
  await browser?.close()
  await site.close()
}
