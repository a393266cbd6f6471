// npm run bench [-- --quick] [--only=text] [--peers | --no-peers] [--sqlite] [--profile=contender]
// Measures tidemark beside IndexedDB by hand and beside its peers. Prints Markdown, writes bench/results/. See bench/README.md.
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { newProfile, openBrowser } from './driver/browser.mjs'
import { measureColdOpen } from './driver/cold-open.mjs'
import { draw } from './driver/draw.mjs'
import { readOptions } from './driver/options.mjs'
import { installPeers } from './driver/peers.mjs'
import { profiler } from './driver/profile.mjs'
import { report } from './driver/report.mjs'
import { measure } from './driver/rounds.mjs'
import { buildAndServe } from './driver/serve.mjs'

const results = fileURLToPath(new URL('./results/', import.meta.url))
const options = { ...readOptions(process.argv.slice(2)), say: (line) => console.error(line) }
const started = Date.now()
await mkdir(results, { recursive: true })
const peers = options.peers ? installPeers(options.say) : {}
const busyBefore = loadavg()[0]

// Names of functions are what a profile is for; everything else measures the code as users have it.
const site = await buildAndServe({ minify: options.profile === undefined, peers: options.peers })
const disk = await newProfile()
let browser
try {
  browser = await openBrowser({ url: site.url, sqlite: options.sqlite, profile: disk.path })
  const { page, version, storage } = browser
  const profile = options.profile === undefined ? undefined : await profiler(page, { contender: options.profile, folder: results })
  const cases = await measure(page, { ...options, profile })
  const engine = cases.length === 0 ? 'leveldb' : await storage()
  await browser.close()
  cases.push(...(await measureColdOpen({ ...options, url: site.url })))
  if (cases.length === 0) throw new Error(`No case has '${options.only}' in its name`)
  const result = {
    when: new Date(started).toISOString(), took: Date.now() - started, mode: options.mode, sizes: options.sizes, browser: version, storage: engine, peers,
    cores: availableParallelism(), platform: `${process.platform} ${process.arch}`,
    /** What waited for the processor, ourselves included; 0 where the system does not say. */
    load: { before: busyBefore, after: loadavg()[0] }, cases,
  }
  const name = `${options.mode}${options.sqlite ? '-sqlite' : ''}${options.only === undefined ? '' : '-part'}`
  await writeFile(join(results, `${name}.json`), `${JSON.stringify(result, null, 1)}\n`)
  const markdown = report(result)
  await writeFile(join(results, `${name}.md`), `${markdown}\n`)
  await writeFile(join(results, `${name}.html`), draw(result))
  console.log(markdown)
  if (profile !== undefined) console.log(await profile.finish())
} finally {
  await browser?.close()
  await disk.remove()
  await site.close()
}
