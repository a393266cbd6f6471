// npm run bench [-- --quick] [--only=text] [--peers | --no-peers] [--engine=name] [--profile=contender]
// Measures tidemark and compares it with IndexedDB by hand and with other libraries. Prints Markdown, writes bench/results/. See bench/README.md.
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { closeAll, newProfile, openBrowser } from './driver/browser.mjs'
import { measureColdOpen } from './driver/cold-open.mjs'
import { draw } from './driver/draw.mjs'
import { measureManyDevices } from './driver/many-devices.mjs'
import { readOptions } from './driver/options.mjs'
import { installPeers } from './driver/peers.mjs'
import { profiler } from './driver/profile.mjs'
import { report } from './driver/report.mjs'
import { measure } from './driver/rounds.mjs'
import { buildAndServe } from './driver/serve.mjs'

const results = fileURLToPath(new URL('./results/', import.meta.url))
const options = { ...readOptions(import.meta.url), say: (line) => console.error(line) }
const started = Date.now()
await mkdir(results, { recursive: true })
const peers = options.peers ? installPeers(options.say) : {}
const busyBefore = loadavg()[0]
process.once('SIGINT', () => void closeAll())

// Names of functions are what a profile is for; everything else measures the code as users have it.
const site = await buildAndServe({ minify: options.profile === undefined, peers: options.peers })
const disk = await newProfile()
let browser
try {
  browser = await openBrowser({
    url: site.url,
    engine: options.engine,
    profile: disk.path,
    ...(options.profile !== undefined && { profileFile: join(disk.path, 'cpu-profile.json') }),
  })
  const { version, storage } = browser
  const profile =
    options.profile === undefined ? undefined : await profiler(browser, { contender: options.profile, folder: results })
  const cases = await measure(browser, { ...options, profile })
  const ran = { browser: version, storage: cases.length === 0 ? '' : await storage() }
  await browser.close()
  // What is there is kept, if anything should go wrong while browsers come and go.
  if (cases.length > 0) await keep(cases, ran)
  cases.push(...(await measureManyDevices({ ...options, url: site.url, program: site.devices })))
  cases.push(...(await measureColdOpen({ ...options, url: site.url })))
  if (cases.length === 0) throw new Error(`No case has '${options.only}' in its name`)
  console.log(await keep(cases, ran))
  if (profile !== undefined) console.log(await profile.finish())
} finally {
  await browser?.close()
  await disk.remove()
  await site.close()
}

/** Writes the results in every form. @returns them as Markdown */
async function keep(cases, ran) {
  const result = {
    when: new Date(started).toISOString(),
    took: Date.now() - started,
    mode: options.mode,
    sizes: options.sizes,
    ...ran,
    peers,
    cores: availableParallelism(),
    platform: `${process.platform} ${process.arch}`,
    /** What waited for the processor, ourselves included; 0 where the system does not say. */
    load: { before: busyBefore, after: loadavg()[0] },
    cases,
  }
  const name = [
    options.mode,
    ...(options.engine === 'chromium-leveldb' ? [] : [options.engine]),
    ...(options.only === undefined ? [] : ['part']),
  ].join('-')
  await writeFile(join(results, `${name}.json`), `${JSON.stringify(result, null, 1)}\n`)
  const markdown = report(result)
  await writeFile(join(results, `${name}.md`), `${markdown}\n`)
  await writeFile(join(results, `${name}.html`), draw(result))
  return markdown
}
