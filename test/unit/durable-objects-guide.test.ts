// What docs/durable-objects.md shows must be bundled and run, all of it, in workerd with the configuration of that page.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { expect, test } from 'vitest'
import { defineEvents } from 'tidemark'
import { openFileLogStore } from 'tidemark/file'
import { memoryLogStore, serverLog } from 'tidemark/server'
import { tidemark } from 'tidemark/sync'
import { readAs } from '../../scripts/builds.mjs'
import { alias } from '../../vite.config.js'
import { blocksOf } from '../support/doc-blocks.js'
import { workerd } from '../support/workerd/start.js'
import { fakeIndexedDB } from '../support/fake-indexeddb.js'

fakeIndexedDB()

const page = 'durable-objects.md'
const js = blocksOf(page, 'js')

/** The only block that says so. */
function blockWith(text: string): string {
  const found = js.filter((block) => block.includes(text))
  expect(found.length, text).toBe(1)
  return found[0] as string
}

const object = blockWith('webSocketMessage(socket, message)')
const front = blockWith('export default')
const operated = blockWith('restore(time)')
const ofDevice = blockWith('sync: {')
const moved = blockWith('async begin(log)')
const operate = blockWith('async function operate')
const copying = blockWith('commits.at(-1)')
const [out, into] = [blockWith('await file.close()'), blockWith('to.begin(')]

/** What the page leaves to the app: who asks, and a way for operators. */
const app = `
const userOf = async (request) =>
  ({ 'Bearer anna-token': { id: 'anna ', logs: ['home'] } })[request.headers.get('authorization')]
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    if (request.headers.get('authorization') === 'Bearer of-operators') return operate(request, env)
    const log = env.LOG.get(env.LOG.idFromName('home'))
    if (pathname === '/operators/renew') return Response.json({ renewed: (await log.renewEpoch()) === undefined })
    if (pathname === '/operators/restore')
      return log.restore(Date.now()).then(() => new Response('gone back'), (error) => new Response(error.message, { status: 500 }))
    return front.fetch(request, env)
  },
}
`

test('every block of code is run here', () => {
  expect(new Set([object, front, operated, ofDevice, moved, operate, copying, out, into]).size).toBe(js.length)
})

test('wrangler is told of the class of the page', () => {
  const [text = ''] = blocksOf(page, 'jsonc')
  const config = JSON.parse(text.replaceAll(/,(\s*[}\]])/g, '$1')) as {
    durable_objects: { bindings: { name: string; class_name: string }[] }
    migrations: { new_sqlite_classes: string[] }[]
  }
  const [binding] = config.durable_objects.bindings
  expect(object).toContain(`export class ${binding?.class_name} extends DurableObject`)
  expect(front).toContain(`env.${binding?.name}.get(`)
  expect(config.migrations[0]?.new_sqlite_classes).toEqual([binding?.class_name])
})

/** Bundles the page as its example does, and starts it with its configuration, on a free port. */
async function started() {
  const folder = mkdtempSync(join(tmpdir(), 'durable-objects-guide-'))
  // In the repository, so that its packages are found.
  const cache = fileURLToPath(new URL('../../.cache/durable-objects-guide', import.meta.url))
  mkdirSync(cache, { recursive: true })
  const methodsOf = (block: string) => block.slice(block.indexOf('\n', block.indexOf('// …')), block.lastIndexOf('}'))
  const option = /one more option: (.*)/.exec(moved)?.[1]
  const whole = object.replace('generation:', `${option},\n    generation:`)
  const methods = `${methodsOf(operated)}${methodsOf(moved)}`
  writeFileSync(
    join(cache, 'worker.js'),
    `${whole.slice(0, whole.lastIndexOf('}'))}${methods}}\n${operate}\n${front.replace('export default', 'const front =')}${app}`,
  )
  await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { alias },
    plugins: [readAs('production')],
    build: {
      outDir: join(folder, 'dist'),
      emptyOutDir: false,
      minify: false,
      target: 'es2022',
      lib: { entry: join(cache, 'worker.js'), formats: ['es'], fileName: () => 'worker.mjs' },
      rolldownOptions: { external: [/^cloudflare:/] },
    },
  })
  const [config = ''] = blocksOf(page, 'capnp')
  writeFileSync(join(folder, 'config.capnp'), config.replace('127.0.0.1:8787', '127.0.0.1:0'))
  mkdirSync(join(folder, 'logs'))
  const child = spawn(workerd as string, ['serve', 'config.capnp', '--control-fd=1'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text))
  const port = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', () => {
      const [, found] = /"port":\s*(\d+)/.exec(said) ?? []
      if (found !== undefined) resolve(found)
    })
    child.once('exit', () => reject(new Error(said)))
  })
  return {
    url: `http://127.0.0.1:${port}`,
    async end() {
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

type Event = { type: 'Noted'; data: string }

test.skipIf(workerd === undefined)('it runs in workerd, and a device syncs with it', { timeout: 120_000 }, async () => {
  const { url, end } = await started()
  try {
    const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
      fetch(`${url}${path}`, { method, headers: { 'Tidemark-Sync': '1', ...headers } })
    const anna = { authorization: 'Bearer anna-token' }
    const token = () => 'Bearer anna-token'
    // oxlint-disable-next-line typescript/no-implied-eval -- it is what the page says
    const { sync } = new Function('token', `return {${ofDevice.replace('https://logs.example', url)}}`)(token) as {
      sync: Parameters<typeof tidemark>[0]['sync']
    }
    const device = tidemark({ name: 'guide', events: defineEvents<Event>(), models: {}, sync })
    const { sync: syncing } = device
    await device.append('notes', { type: 'Noted', data: 'hello' })
    await syncing.now()
    expect(syncing.status.getSnapshot()).toMatchObject({ pending: 0, cursor: 1 })
    const big = Array.from({ length: 101 }, () => ({ type: 'Noted' as const, data: '' }))
    await device.append('notes', big)
    await syncing.now()
    expect(syncing.status.getSnapshot()).toMatchObject({ pending: 0, refused: 1 })

    expect((await ask('/logs/home/info')).status).toBe(401)
    expect((await ask('/logs/other/info', anna)).status).toBe(403)
    // The author is who the Worker says, also with a space at the end.
    expect(await (await ask('/logs/home/info', { ...anna, 'X-User': 'bert' })).json()).toMatchObject({
      author: 'anna ',
      head: 1,
    })
    const log = async () => (await ask('/logs/home/info', anna)).headers.get('Tidemark-Log')
    const before = await log()
    expect(await (await ask('/operators/renew')).json()).toEqual({ renewed: true })
    expect(await log()).not.toBe(before)
    expect((await ask('/operators/restore')).status).toBe(500)
    // As the page says, and without the header of the protocol.
    const [curl = ''] = blocksOf(page, 'sh').filter((block) => block.startsWith('curl'))
    const given = [...curl.matchAll(/-H '([\w-]+): ([^']*)'/g)].map(([, name, value]) => [name, value])
    const looked = new URL(/http\S+/.exec(curl)?.[0] ?? '').pathname
    expect(await (await fetch(`${url}${looked}`, { headers: given as [string, string][] })).json()).toMatchObject({
      author: 'anna ',
      head: 1,
    })
    const refused = await fetch(`${url}${looked}`, { headers: anna })
    expect([refused.status, await refused.json()]).toEqual([400, { code: 'bad-request', message: 'Tidemark-Sync' }])
    const allowed = await ask('/logs/home/pull', { origin: 'https://app.example' }, 'OPTIONS')
    expect(allowed.headers.get('Access-Control-Allow-Origin')).toBe('https://app.example')
    await device.close()
  } finally {
    await end()
  }
})

test.skipIf(workerd === undefined)(
  'a log moves out of an object, and into another one',
  { timeout: 120_000 },
  async () => {
    const { url, end } = await started()
    const folder = mkdtempSync(join(tmpdir(), 'durable-objects-guide-'))
    try {
      const run = async (block: string, ending = '') => {
        const text = `${copying}\n${block}\n${ending}`
          .replaceAll('https://logs.example', url)
          .replaceAll('home.log', join(folder, 'home.log'))
        const AsyncFunction = (async () => {}).constructor as new (
          ...parts: string[]
        ) => (...given: unknown[]) => unknown
        return await new AsyncFunction('openFileLogStore', 'secret', text)(openFileLogStore, 'of-operators')
      }
      const begun = (await run(`const log = inObject('${url}/operators/home')`, 'return log.identity()')) as {
        log: string
      }
      const commits = Array.from({ length: 1200 }, (_, n) => ({
        events: [
          { stream: `s-${n % 7}`, type: 'A', id: `${n}\ud800`, time: n, data: { text: '\u2028'.repeat(n % 50) } },
        ],
      }))
      const source = memoryLogStore({ log: begun.log })
      const log = serverLog(source)
      for (const part of [commits.slice(0, 900), commits.slice(900)])
        await log.push({ commits: part }, { author: 'anna ' })
      await run(
        `const to = inObject('${url}/operators/home')`,
        `const all = ${JSON.stringify(await source.read(0, 5000))}
      await to.add(all)`,
      )
      await run(out)
      const file = await openFileLogStore({ path: join(folder, 'home.log') })
      expect([(await file.identity()).log, await file.head(), await file.chainAt(1200)]).toEqual([
        begun.log,
        1200,
        await source.chainAt(1200),
      ])
      await file.close()
      await run(into, 'await file.close()')
      const inMoved = (await run(
        `const log = inObject('${url}/operators/moved')`,
        'return { ...(await log.identity()), commits: await log.read(1195) }',
      )) as { log: string; commits: unknown }
      expect(inMoved.log).toBe(begun.log)
      expect(inMoved.commits).toEqual(await source.read(1195, 500))
      // What has begun is not begun once more.
      await expect(run(`const to = inObject('${url}/operators/home')`, `await to.begin('other')`)).rejects.toThrow(
        '500',
      )
      expect(await run(`const log = inObject('${url}/operators/home')`, 'return log.identity()')).toEqual(begun)
    } finally {
      await end()
      rmSync(folder, { recursive: true, force: true })
    }
  },
)
