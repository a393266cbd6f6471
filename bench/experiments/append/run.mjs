// node bench/experiments/append/run.mjs [engine] [rounds]
// What a single append costs, in steps from IndexedDB by hand to the library, alternately in one page. Prints Markdown.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { build, preview } from 'vite'
import { readAs } from '../../../scripts/builds.mjs'
import { closeAll, newProfile, openBrowser } from '../../driver/browser.mjs'

const [engine = 'firefox', rounds = 40] = process.argv.slice(2)
const limitMs = 10 * 60_000
const outDir = await mkdtemp(join(tmpdir(), 'tidemark-append-'))
const common = {
  configFile: false,
  root: fileURLToPath(new URL('.', import.meta.url)),
  logLevel: 'warn',
  build: { outDir, emptyOutDir: true, target: 'es2022' },
}
await build({
  ...common,
  resolve: {
    alias: [{ find: /^tidemark$/, replacement: fileURLToPath(new URL('../../../src/index.ts', import.meta.url)) }],
  },
  plugins: [readAs('production')],
})
const server = await preview({
  ...common,
  preview: {
    port: 0,
    host: '127.0.0.1',
    headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
  },
})
const profile = await newProfile()
// Ending the browser fails whatever waits for it.
const limit = setTimeout(closeAll, limitMs)
try {
  const url = `http://127.0.0.1:${server.httpServer.address().port}/`
  const browser = await openBrowser({ engine, url, profile: profile.path })
  const times = await browser.page.evaluate((options) => window.experiment(options), {
    rounds: Number(rounds),
    only: process.argv[4] ?? '',
  })
  console.log(
    `## ${browser.version}\n\n| step | ms, median | quartiles | speed, of the first |\n| --- | ---: | ---: | ---: |`,
  )
  const at = (all, share) => all.toSorted((one, other) => one - other)[Math.floor(all.length * share)]
  const [first] = Object.values(times)
  for (const [name, all] of Object.entries(times)) {
    const ratio = at(
      first.map((time, round) => time / all[round]),
      0.5,
    )
    console.log(
      `| ${name} | ${at(all, 0.5).toFixed(3)} | ${at(all, 0.25).toFixed(3)} to ${at(all, 0.75).toFixed(3)} | ${ratio.toFixed(2)} |`,
    )
  }
} finally {
  clearTimeout(limit)
  await closeAll()
  await profile.remove()
  await server.close()
  await rm(outDir, { recursive: true, force: true })
}
