// node bench/experiments/layout/run.mjs [engine …] [--parts=a,b]
// Runs the page in each engine, one after another; prints Markdown, writes bench/results/layout-<engine>.json.
import { createServer } from 'node:http'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { engines, filesBelow } from './engines.mjs'
import { report } from './report.mjs'

const LIMIT_MS = 8 * 60_000
const here = fileURLToPath(new URL('.', import.meta.url))
const out = join(here, '../../results')
const args = process.argv.slice(2)
const named = args.filter((arg) => !arg.startsWith('--'))
const partsAsked = args.find((arg) => arg.startsWith('--parts='))?.slice(8)

await mkdir(out, { recursive: true })
for (const name of named.length > 0 ? named : Object.keys(engines)) {
  const parts = partsAsked ?? `capabilities,layouts,rowCommit,packedRows,reading,wrapper,clearSiteData`
  const result = await runIn(name, parts).catch((error) => ({ error: String(error?.stack ?? error) }))
  if (!result.absent) await writeFile(join(out, `layout-${name}.json`), JSON.stringify(result, null, 1))
  console.log(report(name, result))
  if (result.error) process.exitCode = 1
}

async function runIn(name, parts) {
  const engine = engines[name]
  if (!engine) return { error: `no such engine; there are: ${Object.keys(engines).join(', ')}` }
  const found = engine.find()
  if (!found) return { absent: true }
  const profile = await mkdtemp(join(tmpdir(), 'tidemark-layout-'))
  const site = await serve()
  let running
  try {
    running = await engine.start(found, `http://localhost:${site.port}/index.html?parts=${parts}`, profile)
    const storage = []
    site.onPartial = () => storage.push(...filesBelow(profile).filter(engine.onDisk))
    const result = await Promise.race([
      site.result,
      after(LIMIT_MS, () => ({ ...site.partial, error: `no result in ${LIMIT_MS} ms` })),
    ])
    result.engine = running.version
    result.onDisk = storage.length > 0
    if (!result.onDisk && !engine.inMemory)
      result.error ??= 'the databases of the expected storage engine were not on disk'
    return result
  } finally {
    await Promise.race([running?.stop(), after(15_000)])
    site.close()
    await rm(profile, { recursive: true, force: true, maxRetries: 5 }).catch(() => {})
  }
}

async function serve() {
  const types = { '.html': 'text/html', '.js': 'text/javascript' }
  let finish
  const site = { partial: {}, onPartial: () => {}, result: new Promise((resolve) => (finish = resolve)) }
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://localhost').pathname
    if (request.method === 'POST') {
      let text = ''
      for await (const piece of request) text += piece
      response.end()
      const body = JSON.parse(text)
      if (path === '/progress') console.error(body)
      if (path === '/partial') {
        site.partial = body
        site.onPartial()
      }
      if (path === '/result') finish(body)
      return
    }
    if (path === '/clear') return response.writeHead(200, { 'clear-site-data': '"storage"' }).end()
    try {
      const file = path === '/idb.js' ? fileURLToPath(import.meta.resolve('idb')) : join(here, path)
      const text = await readFile(file)
      response
        .writeHead(200, { 'content-type': types[extname(file)] ?? 'text/plain', 'cache-control': 'no-store' })
        .end(text)
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise((resolve) => server.listen(0, 'localhost', resolve))
  site.port = server.address().port
  site.close = () => {
    server.closeAllConnections()
    server.close()
  }
  return site
}

function after(ms, value) {
  return new Promise((resolve) => setTimeout(() => resolve(value?.()), ms).unref())
}
