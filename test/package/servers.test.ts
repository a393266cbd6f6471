// The server of the packed package in the runtimes that people serve from: each keeps the contract of a server.
import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apps, programOf, run as runTool } from './support.js'

const { serverContract } = (await import(
  pathToFileURL(join(apps, 'node_modules/tidemark/dist/testing/index.js')).href
)) as typeof import('tidemark/testing')

interface Running {
  readonly url: string
  readonly child: ChildProcess
}

/** Starts a server that says its address on its first line, or as the event of a socket of workerd. */
function serve(program: string, args: readonly string[], settings: NodeJS.ProcessEnv = {}): Promise<Running> {
  const { VITEST: _vitest, NODE_ENV: _env, NODE_OPTIONS: _options, ...env } = process.env
  const child = spawn(program, [...args], {
    cwd: join(apps, 'servers'),
    env: { ...env, NO_COLOR: '1', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return new Promise((resolve, reject) => {
    let printed = ''
    const read = (text: Buffer): void => {
      printed += text.toString()
      const [, port] = /"port":\s*(\d+)|$/.exec(printed) ?? []
      const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(printed) ?? []
      if (url !== undefined) resolve({ url, child })
      else if (port !== undefined) resolve({ url: `http://127.0.0.1:${port}`, child })
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('exit', (code) => reject(new Error(`The server ended with ${code}: ${printed}`)))
  })
}

const ended = ({ child }: Running): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
    child.kill('SIGKILL')
  })

/** What the runtimes have in common: a log with a new name for each case. */
function subjectOf(base: string) {
  const log = randomUUID()
  return {
    log,
    url: `${base}/logs/${log}`,
    otherUrl: `${base}/logs/${randomUUID()}`,
    headers: (author: string) => ({ 'X-User': encodeURIComponent(author) }),
    unknown: {},
    refusedType: 'Refused',
    dispose: () => Promise.resolve(),
  }
}

function inMemory(start: () => Promise<Running>): void {
  let running: Running
  beforeAll(async () => {
    running = await start()
  })
  afterAll(() => ended(running))
  for (const { name, run } of serverContract(() => Promise.resolve(subjectOf(running.url)))) test(name, run)
}

describe('Node, node:http', () => inMemory(() => serve(process.execPath, ['node.js'])))

describe('Hono, @hono/node-server', () => inMemory(() => serve(process.execPath, ['hono.js'])))

const bun = await programOf('bun/bin/bun.exe', 'bun/bin/bun')
describe.skipIf(bun === undefined)('Bun', () => inMemory(() => serve(bun ?? '', ['run', 'bun.js'])))

const deno = await programOf(
  '@deno/linux-x64-glibc/deno',
  '@deno/linux-arm64-glibc/deno',
  '@deno/darwin-arm64/deno',
  '@deno/darwin-x64/deno',
)
describe.skipIf(deno === undefined)('Deno', () =>
  inMemory(() =>
    serve(deno ?? '', [
      'run',
      '--allow-read',
      '--allow-env',
      '--allow-net=127.0.0.1',
      '--node-modules-dir=manual',
      '--no-lock',
      'deno.js',
    ]),
  ),
)

// Of the repository; its program comes for some processors only.
const cloudflare = fileURLToPath(new URL('../../node_modules/@cloudflare', import.meta.url))
const workerd = (existsSync(cloudflare) ? readdirSync(cloudflare) : [])
  .map((name) => join(cloudflare, name, 'bin', process.platform === 'win32' ? 'workerd.exe' : 'workerd'))
  .find((path) => existsSync(path))
describe.skipIf(workerd === undefined)('workerd', () =>
  inMemory(async () => {
    const bundled = await runTool(
      (await programOf('esbuild/bin/esbuild')) ?? 'esbuild',
      ['worker.js', '--bundle', '--format=esm', '--outfile=worker.mjs'],
      'servers',
    )
    expect(bundled.code, bundled.printed).toBe(0)
    return serve(workerd ?? '', ['serve', 'worker.capnp', '--control-fd=1'])
  }),
)

describe.skipIf(workerd === undefined)('the example of a server in Durable Objects', () => {
  const from = fileURLToPath(new URL('../../examples/server-durable-object', import.meta.url))
  const folder = join(apps, 'servers', 'durable-object')
  let running: Running
  const start = async () => {
    running = await serve(workerd ?? '', ['serve', 'durable-object/config.capnp', '--control-fd=1'])
  }
  beforeAll(async () => {
    mkdirSync(join(folder, 'logs'), { recursive: true })
    copyFileSync(join(from, 'src', 'worker.js'), join(folder, 'worker.js'))
    const config = readFileSync(join(from, 'config.capnp'), 'utf8')
    expect(config).toContain('127.0.0.1:8787')
    writeFileSync(
      join(folder, 'config.capnp'),
      config.replace(':8787', ':0').replace('path = "logs"', `path = ${JSON.stringify(join(folder, 'logs'))}`),
    )
    const bundled = await runTool(
      (await programOf('esbuild/bin/esbuild')) ?? 'esbuild',
      ['worker.js', '--bundle', '--format=esm', '--external:cloudflare:workers', '--outfile=dist/worker.mjs'],
      'servers/durable-object',
    )
    expect(bundled.code, bundled.printed).toBe(0)
    await start()
  })
  afterAll(async () => {
    await ended(running)
    rmSync(folder, { recursive: true, force: true })
  })

  const ask = (user: string, path: string, init: RequestInit = {}) =>
    fetch(`${running.url}/logs/${path}`, {
      ...init,
      headers: { 'Tidemark-Sync': '1', Authorization: `Bearer ${user}`, 'X-User': 'mallory', ...init.headers },
    })
  const push = async (user: string, id: string, title: string) => {
    const log = (await ask(user, 'home/info')).headers.get('Tidemark-Log') ?? ''
    const events = [{ stream: 'todo-1', type: 'TodoAdded', id, time: 1, data: { title } }]
    const headers = { 'Content-Type': 'application/json', 'Tidemark-Log': log }
    const response = await ask(user, 'home/push', {
      method: 'POST',
      headers,
      body: JSON.stringify({ commits: [{ events }] }),
    })
    return ((await response.json()) as { answers: unknown }).answers
  }

  test('the Worker says who it is, whatever the request says, and opens the log of one household', async () => {
    expect((await ask('mallory', 'home/info')).status).toBe(403)
    expect((await ask('', 'home/info')).status).toBe(401)
    expect((await ask('carl', 'home/info')).status).toBe(403)
    expect(await (await ask('anna', 'home/info')).json()).toMatchObject({ author: 'anna', head: 0 })
    expect((await ask('anna', 'home/ticket', { method: 'POST', body: '{}' })).status).toBe(200)
  })

  test('a rule refuses, and what is accepted is there after the server was killed', async () => {
    expect(await push('anna', 'a', 'milk')).toEqual([{ id: 'a', accepted: 1 }])
    expect(await push('bert', 'b', 'MILK')).toMatchObject([{ id: 'b', refused: { code: 'too-loud' } }])
    await ended(running)
    await start()
    expect(await (await ask('bert', 'home/pull?after=0')).text()).toContain('"title":"milk"')
  })
})

describe('Node, logs in files, killed where the contract starts the server again', () => {
  let folder: string
  let running: Running
  const start = async (port: string) => {
    running = await serve(process.execPath, ['node-file.js', folder, port])
  }
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tidemark-package-logs-'))
    await start('0')
  })
  afterAll(async () => {
    await ended(running)
    rmSync(folder, { recursive: true, force: true })
  })
  const open = () => {
    const subject = subjectOf(running.url)
    const file = join(folder, `${subject.log}.log`)
    const restart = async (whileEnded = () => {}) => {
      await ended(running)
      whileEnded()
      await start(new URL(running.url).port)
    }
    return Promise.resolve({
      ...subject,
      restart: () => restart(),
      backup: () => {
        const copy = `${file}.${randomUUID()}`
        copyFileSync(file, copy)
        return Promise.resolve(() => restart(() => copyFileSync(copy, file)))
      },
    })
  }
  for (const { name, run } of serverContract(open)) test(name, run)
})

describe('the example of a server in Node', () => {
  const from = fileURLToPath(new URL('../../examples/server-node/server.js', import.meta.url))
  let folder: string
  let running: Running
  const start = async () => {
    copyFileSync(from, join(apps, 'servers', 'example.js'))
    running = await serve(process.execPath, ['example.js'], { PORT: '0', FOLDER: folder })
  }
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tidemark-package-example-'))
    await start()
  })
  afterAll(async () => {
    await ended(running)
    rmSync(folder, { recursive: true, force: true })
  })

  const ask = (token: string, path: string, init: RequestInit = {}) =>
    fetch(`${running.url}/logs/${path}`, {
      ...init,
      headers: { 'Tidemark-Sync': '1', Authorization: `Bearer ${token}`, ...init.headers },
    })
  const push = async (token: string, id: string, title: unknown) => {
    const log = (await ask(token, 'green-street/info')).headers.get('Tidemark-Log') ?? ''
    const events = [{ stream: 'todo-1', type: 'TodoAdded', id, time: 1, data: { title } }]
    const headers = { 'Content-Type': 'application/json', 'Tidemark-Log': log }
    const body = JSON.stringify({ commits: [{ events }] })
    const response = await ask(token, 'green-street/push', { method: 'POST', headers, body })
    return ((await response.json()) as { answers: unknown }).answers
  }

  test('tokens say who it is, and open the log of one household', async () => {
    expect((await ask('nobody', 'green-street/info')).status).toBe(401)
    expect((await ask('token-of-carl', 'green-street/info')).status).toBe(403)
    expect(await (await ask('token-of-anna', 'green-street/info')).json()).toMatchObject({ author: 'anna', head: 0 })
  })

  test('a rule refuses, and what is accepted is there for the household, also after the server was started again', async () => {
    expect(await push('token-of-anna', 'a', 'milk')).toEqual([{ id: 'a', accepted: 1 }])
    expect(await push('token-of-bert', 'b', 'x'.repeat(201))).toEqual([
      { id: 'b', refused: { code: 'title-too-long', message: expect.any(String) } },
    ])
    const exited = new Promise((resolve) => running.child.once('exit', (code) => resolve(code)))
    running.child.kill('SIGTERM')
    expect(await exited).toBe(0)
    expect(readdirSync(folder).sort()).toEqual(['green-street.log', 'mill-lane.log'])
    await start()
    expect(await (await ask('token-of-bert', 'green-street/pull?after=0')).text()).toContain('"title":"milk"')
  })
})

describe('the example of a server over PostgreSQL, without a database of its own', () => {
  const from = fileURLToPath(new URL('../../examples/server-postgres/server.js', import.meta.url))
  let folder: string
  let running: Running
  const start = async () => {
    copyFileSync(from, join(apps, 'servers', 'example-postgres.js'))
    const settings = { PORT: '0', FOLDER: join(folder, 'data'), DATABASE_URL: '' }
    running = await serve(process.execPath, ['example-postgres.js'], settings)
  }
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tidemark-package-postgres-'))
    await start()
  }, 120_000)
  afterAll(async () => {
    await ended(running)
    rmSync(folder, { recursive: true, force: true })
  })

  const ask = (token: string, path: string, init: RequestInit = {}) =>
    fetch(`${running.url}/${path}`, {
      ...init,
      headers: { 'Tidemark-Sync': '1', Authorization: `Bearer ${token}`, ...init.headers },
    })
  const push = async (token: string, id: string, title: unknown) => {
    const log = (await ask(token, 'logs/home/info')).headers.get('Tidemark-Log') ?? ''
    const events = [{ stream: 'todo-1', type: 'TodoAdded', id, time: 86_400_000, data: { title } }]
    const headers = { 'Content-Type': 'application/json', 'Tidemark-Log': log }
    const body = JSON.stringify({ commits: [{ events }] })
    const response = await ask(token, 'logs/home/push', { method: 'POST', headers, body })
    return ((await response.json()) as { answers: unknown }).answers
  }

  test('tokens say who it is, and open one household', async () => {
    for (const path of ['logs/home/info', 'activity/home']) {
      expect((await ask('mallory', path)).status).toBe(401)
      expect((await ask('carl', path)).status).toBe(403)
    }
    expect(await (await ask('anna', 'logs/home/info')).json()).toMatchObject({ author: 'anna', head: 0 })
    expect(await (await ask('anna', 'activity/home')).json()).toEqual([])
  })

  test('a rule refuses; what is accepted counts once, and is there after the server was started again', async () => {
    expect(await push('anna', 'a', 'milk')).toEqual([{ id: 'a', accepted: 1 }])
    expect(await push('bert', 'b', 'x'.repeat(201))).toMatchObject([{ id: 'b', refused: { code: 'title-too-long' } }])
    expect(await push('bert', 'c', 'bread')).toEqual([{ id: 'c', accepted: 2 }])
    const counted = [{ day: '1970-01-02', events: 2 }]
    expect(await (await ask('anna', 'activity/home')).json()).toEqual(counted)
    const exited = new Promise((resolve) => running.child.once('exit', (code) => resolve(code)))
    running.child.kill('SIGTERM')
    expect(await exited).toBe(0)
    await start()
    expect(await (await ask('bert', 'logs/home/pull?after=0')).text()).toContain('"title":"milk"')
    expect(await (await ask('bert', 'activity/home')).json()).toEqual(counted)
    expect(await (await ask('carl', 'activity/mill-lane')).json()).toEqual([])
  }, 120_000)
})
