/** The proxy of the ledger: each fault as the device and the server see it. */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { faultKinds, startFaultProxy, type FaultProxy } from '../../sync-ledger/fault-proxy.js'

const text = 'x'.repeat(1000)
let seen: string[] = []
const waiting = new Set<() => void>()
const server = createServer((request, response) => {
  void bodyOf(request).then((body) => {
    seen.push(`${request.method} ${request.url} ${body}`)
    if (request.url === '/wake') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n')
      waiting.add(() => response.write('data: 2\n\n'))
    } else response.end(request.url === '/long' ? text : `${seen.length}`)
  })
})
let target = ''
let proxy: FaultProxy

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const part of request) body += String(part)
  return body
}

beforeEach(async () => {
  seen = []
  waiting.clear()
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  target = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  proxy = await startFaultProxy({ target, seed: 1, longest: 30 })
})

afterEach(async () => {
  await proxy.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const post = (path = '/push', body = 'b') => fetch(`${proxy.url}${path}`, { method: 'POST', body })
const read = async (path?: string) => (await post(path)).text()

test('without faults everything passes as it is', async () => {
  expect(await read()).toBe('1')
  expect(await read('/long?x=1')).toBe('2')
  expect(seen).toEqual(['POST /push b', 'POST /long?x=1 b'])
  expect(Object.values(proxy.happened).every((count) => count === 0)).toBe(true)
})

test('what reaches the server and the device of each fault', async () => {
  const outcomes: Record<string, unknown> = {}
  for (const kind of faultKinds) {
    seen = []
    proxy.faults({ [kind]: 1 })
    const got = await post()
      .then(async (response) => [response.status, response.headers.get('content-type'), await response.text()])
      .catch(() => 'broken')
    await proxy.settled()
    outcomes[kind] = [got, seen.length, proxy.happened[kind]]
  }
  expect(outcomes).toEqual({
    cut: ['broken', 1, 1],
    twice: [[200, null, '2'], 2, 1],
    'again-later': [[200, null, expect.stringMatching(/^[12]$/)], 2, 1],
    'late-request': [[200, null, '1'], 1, 1],
    'late-response': [[200, null, '1'], 1, 1],
    'lost-request': ['broken', 0, 1],
    'lost-response': ['broken', 1, 1],
    'status-401': [[401, 'application/json', expect.stringContaining('unauthorized')], 0, 1],
    'status-429': [[429, 'application/json', expect.stringContaining('too-many')], 0, 1],
    'status-500': [[500, 'text/plain', 'Oh.'], 0, 1],
    portal: [[200, 'text/html', '<title>Welcome</title>'], 0, 1],
  })
})

test('responses are cut at any of their bytes', async () => {
  proxy.faults({ cut: 1 })
  const lengths = new Set<number>()
  for (let n = 0; n < 20; n += 1) {
    const response = await post('/long')
    let length = 0
    const reader = response.body!.getReader()
    const ended = await (async () => {
      for (;;) {
        const part = await reader.read()
        if (part.done) return true
        length += part.value.length
      }
    })().catch(() => false)
    expect(ended).toBe(false)
    lengths.add(length)
  }
  expect(lengths.size).toBeGreaterThan(10)
  expect(Math.max(...lengths)).toBeLessThan(1000)
})

test('the same seed has the same faults', async () => {
  const plan = Object.fromEntries(faultKinds.map((kind) => [kind, 0.07]))
  const run = async (seed: number) => {
    const own = await startFaultProxy({ target, seed, longest: 1 })
    own.faults(plan)
    for (let n = 0; n < 40; n += 1)
      await fetch(`${own.url}/x`, { method: 'POST', body: 'b' })
        .then(
          (r) => r.text(),
          () => {},
        )
        .catch(() => {})
    await own.close()
    return own.happened
  }
  const first = await run(7)
  expect(await run(7)).toEqual(first)
  expect(await run(8)).not.toEqual(first)
  expect(Object.values(first).filter((count) => count > 0).length).toBeGreaterThan(5)
})

test.each([
  ['up', 0],
  ['down', 1],
  ['both', 0],
] as const)('partition %s: the server sees %i requests, and the device no response', async (which, requests) => {
  proxy.partition(which)
  await expect(post()).rejects.toThrow()
  expect(seen.length).toBe(requests)
  expect(proxy.happened.partitioned).toBe(1)
  proxy.partition()
  expect(await read()).toBe(`${requests + 1}`)
})

test('a stream passes part by part, and a partition ends it', async () => {
  const reader = (await fetch(`${proxy.url}/wake`)).body!.getReader()
  const next = async () => new TextDecoder().decode((await reader.read()).value)
  expect(await next()).toBe('data: 1\n\n')
  for (const go of waiting) go()
  expect(await next()).toBe('data: 2\n\n')
  proxy.partition('down')
  await expect(reader.read()).rejects.toThrow()
})

test('without a server, and with one that comes at another address', async () => {
  proxy.target(undefined)
  await expect(post()).rejects.toThrow()
  proxy.target('http://127.0.0.1:9')
  await expect(post()).rejects.toThrow()
  proxy.target(target)
  expect(await read()).toBe('1')
})

test('a page of another origin sees the status of a replaced response, and may ask without the server', async () => {
  proxy.faults({ 'status-401': 1 })
  const response = await fetch(`${proxy.url}/info`, { headers: { Origin: 'http://page.example' } })
  expect(response.headers.get('access-control-allow-origin')).toBe('http://page.example')
  proxy.target(undefined)
  const headers = { Origin: 'http://page.example', 'Access-Control-Request-Headers': 'x-user' }
  const preflight = await fetch(`${proxy.url}/info`, { method: 'OPTIONS', headers })
  expect([preflight.status, preflight.headers.get('access-control-allow-headers')]).toEqual([204, 'x-user'])
})
