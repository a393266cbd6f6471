// What docs/durable-objects.md shows must be bundled and run, all of it, in workerd with the configuration of that page.
import 'fake-indexeddb/auto'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { expect, test } from 'vitest'
import { defineEvents } from 'tidemark'
import { memoryLogStore, serverLog, type LogStore } from 'tidemark/server'
import { tidemark } from 'tidemark/sync'
import { readAs } from '../../scripts/builds.mjs'
import { alias } from '../../vite.config.js'
import { blocksOf } from '../support/doc-blocks.js'
import { workerd } from '../support/workerd/start.js'

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
const copying = blockWith('commits.at(-1)')

/** What the page leaves to the app: who asks, and a way for operators. */
const app = `
const userOf = async (request) =>
  ({ 'Bearer anna-token': { id: 'anna ', logs: ['home'] } })[request.headers.get('authorization')]
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    const log = env.LOG.get(env.LOG.idFromName('home'))
    if (pathname === '/operators/renew') return Response.json({ renewed: (await log.renewEpoch()) === undefined })
    if (pathname === '/operators/restore')
      return log.restore(Date.now()).then(() => new Response('gone back'), (error) => new Response(error.message, { status: 500 }))
    return front.fetch(request, env)
  },
}
`

test('every block of code is run here', () => {
  expect(new Set([object, front, operated, ofDevice, copying]).size).toBe(js.length)
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

test('the loop that copies a log copies it, with its chain', async () => {
  const from = memoryLogStore()
  const { head } = await filled(from)
  const to = memoryLogStore()
  const AsyncFunction = (async () => {}).constructor as new (
    ...parts: string[]
  ) => (from: LogStore, to: LogStore) => Promise<string>
  expect(await new AsyncFunction('from', 'to', `${copying}; return log`)(from, to)).toBe((await from.identity()).log)
  expect([await to.head(), await to.chainAt(head)]).toEqual([head, await from.chainAt(head)])
})

async function filled(store: LogStore) {
  const log = serverLog(store)
  for (const id of ['a', 'b', 'c'])
    await log.push({ commits: [{ events: [{ stream: id, type: 'A', id, time: 1, data: null }] }] }, { author: '' })
  return log.info()
}

/** Bundles the page as its example does, and starts it with its configuration, on a free port. */
async function started() {
  const folder = mkdtempSync(join(tmpdir(), 'durable-objects-guide-'))
  // In the repository, so that its packages are found.
  const cache = fileURLToPath(new URL('../../.cache/durable-objects-guide', import.meta.url))
  mkdirSync(cache, { recursive: true })
  const methods = operated.slice(operated.indexOf('// …') + '// …'.length, operated.lastIndexOf('}'))
  writeFileSync(
    join(cache, 'worker.js'),
    `${object.slice(0, object.lastIndexOf('}'))}${methods}}\n${front.replace('export default', 'const front =')}${app}`,
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
    const allowed = await ask('/logs/home/pull', { origin: 'https://app.example' }, 'OPTIONS')
    expect(allowed.headers.get('Access-Control-Allow-Origin')).toBe('https://app.example')
    await device.close()
  } finally {
    await end()
  }
})
