// node bench/experiments/columns/run.mjs [engine …]
// What it costs to write and read the events of a record one after the other, and in columns. Prints Markdown; writes bench/results/columns-<engine>.json.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import process from 'node:process'
import { closeAll, engines, newProfile, openBrowser } from '../../driver/browser.mjs'

const limitMs = 10 * 60_000
const results = new URL('../../results/', import.meta.url)
const page = await readFile(new URL('page.js', import.meta.url))
const named = process.argv.slice(2)

/** The bench opens a page when it finds `window.bench`. */
const html =
  '<!doctype html><meta charset="utf-8"><title>Columns</title><script src="page.js"></script><script>window.bench = true</script>'
const server = createServer(({ url }, response) => {
  const script = url === '/page.js'
  response
    .writeHead(200, {
      'content-type': script ? 'text/javascript' : 'text/html',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    })
    .end(script ? page : html)
})
await new Promise((resolve) => server.listen(0, 'localhost', resolve))
const url = `http://localhost:${server.address().port}/`
await mkdir(results, { recursive: true })

for (const engine of named.length > 0 ? named : Object.keys(engines)) {
  const profile = await newProfile()
  // Ending the browser fails whatever waits for it.
  const limit = setTimeout(closeAll, limitMs)
  try {
    const browser = await openBrowser({ engine, url, profile: profile.path })
    const figures = await browser.page.evaluate(() => window.experiment())
    await writeFile(
      new URL(`columns-${engine}.json`, results),
      JSON.stringify({ engine, browser: browser.version, figures }, null, 2),
    )
    console.log(`## ${engine}, ${browser.version}\n`)
    console.log(
      table(
        'events in a record',
        figures.large,
        ({ characters, write, read }) => [characters.toFixed(0), spread(write), spread(read)],
        ['characters an event', 'write, µs', 'read, µs'],
      ),
    )
    console.log(
      table('small records, without storage', figures.small, ({ write, read }) => [spread(write), spread(read)], [
        'write, µs',
        'read, µs',
      ]),
    )
  } finally {
    clearTimeout(limit)
    await closeAll()
    await profile.remove()
  }
}
server.close()

function table(title, figures, cells, heads) {
  const row = (list) => `| ${list.join(' | ')} |`
  return [
    row([title, ...heads]),
    row(['---', ...heads.map(() => '---:')]),
    ...Object.entries(figures).map(([name, of]) => row([name, ...cells(of)])),
    '',
  ].join('\n')
}

/** The median of all rounds, and what they lie between. */
function spread(times) {
  const sorted = times.toSorted((a, b) => a - b)
  return `${sorted[sorted.length >> 1].toFixed(2)} (${sorted[0].toFixed(2)} to ${sorted.at(-1).toFixed(2)})`
}
