import { testSyncServer, virtualClock, type TestConnection } from 'tidemark/testing'
import { expect, test } from 'vitest'

const headers = (author: string, more: Record<string, string> = {}) => ({
  'Tidemark-Sync': '1',
  Authorization: `Bearer ${author}`,
  ...more,
})

const event = (id: string, stream = 's') => ({ stream, type: 'A', id, time: 1, data: { id } })

async function push(server: { url: string }, { fetch }: TestConnection, author: string, id: string, log: string) {
  const response = await fetch(`${server.url}/push`, {
    method: 'POST',
    headers: headers(author, { 'Content-Type': 'application/json', 'Tidemark-Log': log }),
    body: JSON.stringify({ commits: [{ events: [event(id)] }] }),
  })
  return { status: response.status, body: await response.json() }
}

const logOf = async (server: { url: string }, { fetch }: TestConnection) => {
  const response = await fetch(`${server.url}/info`, { headers: headers('anna') })
  return response.headers.get('Tidemark-Log') as string
}

test('two devices of two authors share the log', async () => {
  const server = testSyncServer()
  const [one, two] = [server.connection(), server.connection()]
  const log = await logOf(server, one)
  expect(await push(server, one, 'anna', 'x', log)).toEqual({
    status: 200,
    body: { head: 1, answers: [{ id: 'x', accepted: 1 }] },
  })
  expect((await push(server, two, 'bert', 'y', log)).body.head).toBe(2)
  await server.append([{ stream: 't', type: 'B', data: 1 }])
  expect((await server.log()).map(({ id, position }) => [id, position]).slice(0, 2)).toEqual([
    ['x', 1],
    ['y', 2],
  ])
  expect(server.requests).toEqual([
    { name: 'info', method: 'GET', author: 'anna', status: 200 },
    { name: 'push', method: 'POST', author: 'anna', status: 200 },
    { name: 'push', method: 'POST', author: 'bert', status: 200 },
  ])
})

test('a partition of one device lets the others through; with down the server does what it is asked', async () => {
  const server = testSyncServer()
  const [one, two] = [server.connection(), server.connection()]
  const log = await logOf(server, one)
  one.partition('up')
  await expect(push(server, one, 'anna', 'x', log)).rejects.toThrow(TypeError)
  expect(await server.log()).toEqual([])
  one.partition('down')
  await expect(push(server, one, 'anna', 'x', log)).rejects.toThrow(TypeError)
  expect(await server.log()).toHaveLength(1)
  expect((await push(server, two, 'bert', 'y', log)).status).toBe(200)
  one.partition()
  expect((await push(server, one, 'anna', 'x', log)).body.answers).toEqual([{ id: 'x', accepted: 1 }])
})

test('a restored server has forgotten, and looks at no request of the epoch before', async () => {
  const server = testSyncServer()
  const log = await logOf(server, server)
  await push(server, server, 'anna', 'x', log)
  const backup = server.backup()
  await push(server, server, 'anna', 'y', log)
  server.restore(backup)
  expect((await server.log()).map(({ id }) => id)).toEqual(['x'])
  expect(await push(server, server, 'anna', 'z', log)).toMatchObject({ status: 409, body: { code: 'other-epoch' } })
  const next = await logOf(server, server)
  expect((await push(server, server, 'anna', 'z', next)).body.head).toBe(2)
  server.restart()
  expect(await logOf(server, server)).not.toBe(next)
  expect(await server.log()).toHaveLength(2)
})

test('commits that the test refuses are refused, and requests that it lets fail do', async () => {
  const server = testSyncServer()
  const log = await logOf(server, server)
  server.refuse((commit, author) => author === 'bert' && commit.events.some(({ id }) => id === 'x'))
  expect((await push(server, server, 'bert', 'x', log)).body.answers).toMatchObject([{ refused: { code: 'refused' } }])
  expect((await push(server, server, 'anna', 'x', log)).body.answers).toEqual([{ id: 'x', accepted: 1 }])
  server.fail({ status: 429, on: 'push', times: 1, headers: { 'Retry-After': '3' }, body: '{}' })
  expect(await logOf(server, server)).toBe(log)
  expect((await push(server, server, 'anna', 'y', log)).status).toBe(429)
  expect((await push(server, server, 'anna', 'y', log)).status).toBe(200)
  server.fail(401)
  expect(await push(server, server, 'anna', 'z', log)).toMatchObject({ status: 401, body: { code: 'unauthorized' } })
  server.fail()
  expect((await push(server, server, 'anna', 'z', log)).status).toBe(200)
})

test('latency passes on the clock, both ways, and an abort ends it', async () => {
  const clock = virtualClock()
  const server = testSyncServer({ clock })
  server.latency(100)
  const log = await clock.runUntil(logOf(server, server))
  expect(clock.monotonic()).toBe(200)
  const own = server.connection()
  own.latency(1000)
  await clock.runUntil(push(server, own, 'anna', 'x', log))
  expect(clock.monotonic()).toBe(2400)
  const controller = new AbortController()
  const waiting = server.fetch(`${server.url}/info`, { headers: headers('anna'), signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
})

test('a response is cut off after so many bytes', async () => {
  const server = testSyncServer()
  await server.append(Array.from({ length: 50 }, () => ({ stream: 's', type: 'A', data: 1 })))
  server.cut(700)
  const response = await server.fetch(`${server.url}/pull?after=0`, { headers: headers('anna') })
  let bytes = 0
  const reader = response.body!.getReader()
  await expect(
    (async () => {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        bytes += value.byteLength
      }
    })(),
  ).rejects.toThrow(TypeError)
  expect(bytes).toBe(700)
})

test('a wake stream says the head, and ends with the partition', async () => {
  const clock = virtualClock()
  const server = testSyncServer({ clock })
  const response = await server.fetch(`${server.url}/wake`, { headers: headers('anna') })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  expect((await reader.read()).value).toBe('data: {"head":0}\n\n')
  await server.append([{ stream: 's', type: 'A', data: 1 }])
  await server.append([{ stream: 's', type: 'A', data: 1 }])
  await clock.advance(50)
  expect((await reader.read()).value).toBe('data: {"head":2}\n\n')
  await clock.advance(25_000)
  expect((await reader.read()).value).toBe(': \n\n')
  server.partition('down')
  await expect(reader.read()).rejects.toThrow()
  expect(clock.pending).toBe(0)
})
