// What syncHandler does beyond the contract of a server, which test/contract/server.node.test.ts checks.
import { syncHandler, type WireCommit } from 'tidemark/server'
import { describe, expect, test, vi } from 'vitest'
import { commit, event, served } from './support.js'

describe('accept', () => {
  test('N54: is asked once for each commit without a verdict, with author and claims', async () => {
    const accept = vi.fn((given: WireCommit) =>
      given.events[0]!.id === 'no' ? { code: 'no', message: '' } : undefined,
    )
    const server = served({ accept })
    await server.push(commit('x', { healed: true }), commit('no'), commit('y'))
    expect(accept.mock.calls.map(([{ events }]) => events[0]!.id)).toEqual(['x', 'no', 'y'])
    expect(accept.mock.calls[0]).toEqual([
      { events: [event('x')], healed: true },
      { author: 'anna', claims: { role: 'tester' } },
    ])
    accept.mockClear()
    const { body } = await server.push(commit('x'), commit('no'), commit('y'), commit('z'))
    expect(accept.mock.calls.map(([{ events }]) => events[0]!.id)).toEqual(['z'])
    expect(body.answers.map((answer) => Object.keys(answer)[1])).toEqual([
      'accepted',
      'refused',
      'accepted',
      'accepted',
    ])
  })

  test('N136: is not asked about what is behind, and a no that was asked for too early is asked for again', async () => {
    const asked: string[] = []
    const ids: string[] = []
    const onError = vi.fn()
    const server = served({
      onError,
      // An owner who looks at the log: only who has it may close it.
      async accept({ events, requires = [] }) {
        const id = events[0]!.id
        asked.push(id)
        const there = await server.ids()
        if (requires.some((each) => !there.includes(each))) {
          if (id.startsWith('throws')) throw new Error('not yet')
          return { code: 'not-yours', message: 'Assigned to nobody.' }
        }
        return undefined
      },
    })
    const all = [
      commit('lost', { requires: ['elsewhere'], events: [event('lost', { stream: 'l' })] }),
      commit('after-lost', { requires: ['lost'], events: [event('after-lost', { stream: 'm' })] }),
      commit('a'),
      commit('b', { requires: ['a'] }),
      commit('throws', { requires: ['b'] }),
      commit('c'),
    ]
    for (let left = all; left.length > 0;) {
      const { status, body } = await server.push(...left)
      expect(status).toBe(200)
      for (const answer of body.answers) if ('accepted' in answer) ids.push(answer.id)
      expect(body.answers.slice(0, left === all ? 2 : 0)).toEqual(
        left === all
          ? [
              { id: 'lost', behind: 'elsewhere' },
              { id: 'after-lost', behind: 'lost' },
            ]
          : [],
      )
      left = left.slice(body.answers.length)
    }
    expect(ids).toEqual(['a', 'b', 'throws', 'c'])
    expect(onError).not.toHaveBeenCalled()
    expect(asked).not.toContain('lost')
    expect(asked).not.toContain('after-lost')
    await server.push(commit('elsewhere'))
    expect((await server.push(all[0]!)).body.answers).toMatchObject([{ id: 'lost', accepted: 6 }])
  })

  test('N136: what is in conflict is in conflict, whatever it would have against it', async () => {
    const server = served({ accept: ({ expect }) => (expect ? { code: 'no', message: '' } : undefined) })
    await server.push(commit('x'))
    const { body } = await server.push(commit('y', { expect: { s: null } }), commit('z', { expect: { s: 'x' } }))
    expect(body.answers).toEqual([
      { id: 'y', conflict: { stream: 's', last: 'x' } },
      { id: 'z', refused: { code: 'no', message: '' } },
    ])
  })

  test('is not asked about a commit that is too large, or whose id is taken', async () => {
    const accept = vi.fn(() => undefined)
    const server = served({ accept })
    await server.push(commit('x'))
    accept.mockClear()
    await server.push(
      { events: [event('x', { data: 'other' })] },
      { events: [event('large', { data: 'x'.repeat(300_000) })] },
    )
    expect(accept).not.toHaveBeenCalled()
  })

  test('N54: that throws for one commit holds up no other one: it is not decided, and no verdict is kept', async () => {
    const onError = vi.fn()
    let isBroken = true
    const thrown = new Error('password of the database is 1234')
    const server = served({
      onError,
      accept: ({ events }) => {
        if (isBroken && events[0]!.id === 'p') throw thrown
        return events[0]!.id === 'no' ? { code: 'no', message: 'Not now.' } : undefined
      },
    })
    const inStream = (id: string, stream: string, more = {}) => commit(id, { events: [event(id, { stream })], ...more })
    const pushed = [
      inStream('a', 's1'),
      inStream('p', 's2'),
      // In its stream, and decided on it.
      inStream('b', 's2'),
      inStream('c', 's3', { requires: ['p'] }),
      inStream('d', 's4'),
      inStream('no', 's5'),
    ]
    const { status, body } = await server.push(...pushed)
    expect(status).toBe(200)
    expect(body.answers).toEqual([
      { id: 'a', accepted: 1 },
      { id: 'p', behind: 'p' },
      { id: 'b', behind: 'p' },
      { id: 'c', behind: 'p' },
      { id: 'd', accepted: 2 },
      { id: 'no', refused: { code: 'no', message: 'Not now.' } },
    ])
    expect(JSON.stringify(body)).not.toContain('1234')
    expect(onError.mock.calls).toEqual([[thrown]])
    expect(await server.store.decide((log) => log.verdicts('anna', ['p', 'b', 'c']))).toEqual(new Map())
    isBroken = false
    expect((await server.push(...pushed.slice(1, 4))).body.answers).toEqual([
      { id: 'p', accepted: 3 },
      { id: 'b', accepted: 4 },
      { id: 'c', accepted: 5 },
    ])
  })

  test('N54: what needs no word of the rules is final, although they throw', async () => {
    const server = served({
      onError: () => {},
      accept: ({ events }) => {
        if (events[0]!.type === 'Broken') throw new Error('broken')
        return events[0]!.id === 'no' ? { code: 'no', message: '' } : undefined
      },
    })
    await server.push(commit('a'), commit('no'))
    const broken = (id: string, more: object) => commit(id, { events: [event(id, { type: 'Broken' })], ...more })
    const { body } = await server.push(
      broken('x', { expect: { s: null } }),
      broken('y', { requires: ['no'] }),
      commit('z'),
    )
    expect(body.answers).toEqual([
      { id: 'x', conflict: { stream: 's', last: 'a' } },
      { id: 'y', blocked: 'no' },
      { id: 'z', accepted: 2 },
    ])
  })

  test('N54, N58: that throws for all makes the push fail: nothing is stored, no verdict is kept, no text leaks', async () => {
    const onError = vi.fn()
    let isBroken = true
    const thrown = new Error('password of the database is 1234')
    const server = served({
      onError,
      accept: () => {
        if (isBroken) throw thrown
      },
    })
    const { status, response, body } = await server.push(commit('x', { requires: ['w'] }), commit('v'), commit('y'))
    expect([status, response.headers.get('Retry-After')]).toEqual([503, '1'])
    expect(body).toMatchObject({ code: 'unavailable' })
    expect(JSON.stringify(body)).not.toContain('1234')
    expect(onError.mock.calls).toEqual([[thrown]])
    expect(await server.ids()).toEqual([])
    isBroken = false
    expect((await server.push(commit('v'), commit('y'))).body.answers).toEqual([
      { id: 'v', accepted: 1 },
      { id: 'y', accepted: 2 },
    ])
  })

  test.each([
    false,
    true,
    null,
    'no',
    {},
    { code: 'no' },
    { message: 'no' },
    { code: 1, message: 'no' },
    { code: '', message: 'no' },
  ])('that returns %j is a mistake, and stores nothing', async (reply) => {
    const onError = vi.fn()
    const server = served({ onError, accept: () => reply as never })
    expect((await server.push(commit('x'))).status).toBe(503)
    expect(onError.mock.calls[0]![0]).toMatchObject({ code: 'invalid-argument' })
    expect(await server.ids()).toEqual([])
    expect(await server.store.decide((log) => log.verdicts('anna', ['x']))).toEqual(new Map())
  })

  test('a refusal has a code of at most 255 characters, and its message is cut behind 1,000', async () => {
    let reply = { code: 'c'.repeat(255), message: 'm'.repeat(1000) }
    const onError = vi.fn()
    const server = served({ accept: () => reply, onError })
    expect((await server.push(commit('a'))).body.answers).toEqual([{ id: 'a', refused: reply }])
    reply = { code: 'c', message: `${'m'.repeat(999)}\u{1f600}m` }
    expect((await server.push(commit('b'))).body.answers).toEqual([
      { id: 'b', refused: { code: 'c', message: 'm'.repeat(999) } },
    ])
    reply = { code: 'c'.repeat(256), message: '' }
    expect((await server.push(commit('c'))).status).toBe(503)
    expect(onError.mock.calls).toMatchObject([[{ code: 'invalid-argument' }]])
  })

  test('only code and message of a refusal are kept', async () => {
    const server = served({ accept: () => ({ code: 'no', message: 'Not now.', secret: 1 }) })
    expect((await server.push(commit('x'))).body.answers).toEqual([
      { id: 'x', refused: { code: 'no', message: 'Not now.' } },
    ])
  })

  test('changes nothing of what is stored', async () => {
    const server = served({
      accept: (given) => {
        const [first] = given.events as unknown as { data: unknown; stream: string }[]
        first!.data = 'changed'
        first!.stream = 'other'
      },
    })
    await server.push(commit('x'))
    const [stored] = await server.store.read(0, 1)
    expect(JSON.parse(stored!.events[0]!.line)).toMatchObject({ stream: 's', data: 'x' })
  })

  test('N54: is asked outside of the lock: others are stored meanwhile', async () => {
    let go = () => {}
    const wait = new Promise<void>((resolve) => (go = resolve))
    const server = served({
      accept: async ({ events }) => {
        if (events[0]!.id === 'slow') await wait
      },
    })
    const slow = server.push(commit('slow', { expect: { s: null } }))
    expect((await server.push(commit('fast'))).status).toBe(200)
    go()
    // It is decided on the log as it is then.
    expect((await slow).body.answers).toEqual([{ id: 'slow', conflict: { stream: 's', last: 'fast' } }])
  })

  test('N55: a restore meanwhile ends the epoch of the request: it stores nothing', async () => {
    let go = () => {}
    const wait = new Promise<void>((resolve) => (go = resolve))
    let isAsked = () => {}
    const asked = new Promise<void>((resolve) => (isAsked = resolve))
    const server = served({
      accept: () => {
        isAsked()
        return wait
      },
    })
    const backup = server.store.snapshot()
    const slow = server.push(commit('x'))
    await asked
    server.store.restore(backup)
    go()
    expect(await slow).toMatchObject({ status: 409, body: { code: 'other-epoch' } })
    expect(await server.ids()).toEqual([])
  })

  test('is asked after all if a restore took back what was accepted before', async () => {
    const asked: string[] = []
    let meanwhile = () => {}
    const server = served({
      accept: ({ events }) => {
        asked.push(events[0]!.id)
        meanwhile()
        return events[0]!.id === 'x' && asked.length > 1 ? { code: 'late', message: '' } : undefined
      },
    })
    const backup = server.store.snapshot()
    await server.push(commit('x'))
    meanwhile = () => {
      meanwhile = () => {}
      server.store.restore(backup, { sameEpoch: true })
    }
    const { body } = await server.push(commit('x'), commit('y'))
    expect(asked).toEqual(['x', 'y', 'x'])
    expect(body.answers).toEqual([
      { id: 'x', refused: { code: 'late', message: '' } },
      { id: 'y', accepted: 1 },
    ])
  })
})

describe('open', () => {
  test('that throws is 503, and its error is told to the server alone', async () => {
    const onError = vi.fn()
    const server = served({
      onError,
      open: () => {
        throw new Error('secret')
      },
    })
    const response = await server.send('info')
    expect(response.status).toBe(503)
    expect(await response.text()).not.toContain('secret')
    expect(onError).toHaveBeenCalledTimes(1)
  })

  test('may respond itself; the page of another origin can read that', async () => {
    const server = served({
      origins: ['https://shop.example'],
      open: () => Response.json({ code: 'unauthorized', message: 'Sign in.' }, { status: 401 }),
    })
    const response = await server.send('info', { headers: { Origin: 'https://shop.example' } })
    expect([response.status, response.headers.get('Tidemark-Sync')]).toEqual([401, '1'])
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('https://shop.example')
    expect(await response.json()).toEqual({ code: 'unauthorized', message: 'Sign in.' })
  })

  test('is not asked for a request that is no sync request', async () => {
    const open = vi.fn()
    const handler = syncHandler({ open })
    for (const [path, version] of [
      ['info', undefined],
      ['push', '2'],
      ['other', '1'],
    ] as const)
      await handler(new Request(`http://localhost/${path}`, { headers: version ? { 'Tidemark-Sync': version } : {} }))
    expect(open).not.toHaveBeenCalled()
  })

  test.each(['\ud800', undefined, null, 7, {}])(
    'N135: an author that is %j is the mistake of the app: 503',
    async (author) => {
      const onError = vi.fn()
      const server = served({ onError, open: () => ({ log: served().log, author: author as string }) })
      expect((await server.send('info')).status).toBe(503)
      expect(onError).toHaveBeenCalledTimes(1)
    },
  )

  const log = () => served().log
  test.each<[string, () => unknown]>([
    ['nothing', () => undefined],
    ['null', () => null],
    ['a text', () => 'anna'],
    ['no log', () => ({ author: 'anna' })],
    ['a log that was not found', () => ({ log: undefined, author: 'anna' })],
    ['a log store', () => ({ log: served().store, author: 'anna' })],
    ['a log that was not awaited', () => ({ log: Promise.resolve(log()), author: 'anna' })],
    ['a log itself', () => log()],
    ['a log beside a status', () => ({ log: null, status: 200 })],
  ])('N135: %s in the place of a log or a response is the mistake of the app: 503', async (_, open) => {
    const onError = vi.fn()
    const server = served({ onError, open: open as never })
    const response = await server.send('info')
    expect([response.status, await response.json()]).toEqual([503, expect.objectContaining({ code: 'unavailable' })])
    expect(onError).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ code: 'invalid-argument', message: expect.stringContaining('serverLog()') }),
    )
  })

  test('a response of another realm is sent as it is', async () => {
    class Other extends Response {
      static override [Symbol.hasInstance] = () => false
    }
    const server = served({ open: () => new Other('gone', { status: 410 }) })
    expect((await server.send('info')).status).toBe(410)
  })

  test('without an author it is that of the empty name', async () => {
    const server = served({ open: () => ({ log: served().log }) })
    expect(await (await server.send('info')).json()).toMatchObject({ author: '' })
  })
})

test.each([undefined, null, {}, { open: 1 }, { open: () => {}, acept: () => {} }])(
  'options such as %j are refused',
  (options) => {
    expect(() => syncHandler(options as never)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  },
)

describe('the body of a push', () => {
  /** As many bytes as are asked for, without a length. */
  function endless() {
    const seen = { bytes: 0, cancelled: false }
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          seen.bytes += 65_536
          controller.enqueue(new Uint8Array(65_536).fill(32))
        },
        cancel() {
          seen.cancelled = true
        },
      },
      { highWaterMark: 0 },
    )
    return { body, seen }
  }

  test('N58: is counted while it is read: what is too large is not read to its end', async () => {
    const { body, seen } = endless()
    const response = await served().post(body)
    expect([response.status, (await response.json()).code]).toEqual([413, 'too-large'])
    expect(seen.bytes).toBeLessThanOrEqual(4_194_304 + 2 * 65_536)
    expect(seen.cancelled).toBe(true)
  })

  test('an event that is nested very deep, in a commit of many bytes, is refused; the rest is accepted', async () => {
    const { post, ids } = served()
    const depth = 100_000
    const deep = JSON.stringify(event('b', { data: 'deep' })).replace('"deep"', '['.repeat(depth) + ']'.repeat(depth))
    const long = JSON.stringify(event('a', { data: 'x'.repeat(100_000) }))
    const response = await post(`{"commits":[{"events":[${long},${deep}]},${JSON.stringify(commit('c'))}]}`)
    expect([response.status, await response.json()]).toMatchObject([
      200,
      { answers: [{ refused: { code: 'too-large' } }, { accepted: 1 }] },
    ])
    expect(await ids()).toEqual(['c'])
  })

  test('is not read at all if its length says that it is too large', async () => {
    const { body, seen } = endless()
    expect((await served().post(body, { 'Content-Length': '4194305' })).status).toBe(413)
    expect(seen.bytes).toBe(0)
  })

  test('that ends early is 400', async () => {
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new Error('gone'))
      },
    })
    const response = await served().post(body)
    expect([response.status, (await response.json()).code]).toEqual([400, 'bad-request'])
  })
})

describe('CORS', () => {
  const asked = {
    Origin: 'https://shop.example',
    'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers': 'authorization,tidemark-sync',
  }
  const cors = (response: Response) =>
    Object.fromEntries([...response.headers].filter(([name]) => /^(access-control|vary)/.test(name)))
  const exposed = 'Tidemark-Sync, Tidemark-Log, Tidemark-Author, Retry-After'

  test('a listed origin may ask, with cookies', async () => {
    const server = served({ origins: ['https://a.example', 'https://shop.example'] })
    const preflight = await server.send('push', { method: 'OPTIONS', headers: asked })
    expect(preflight.status).toBe(204)
    const own = {
      'access-control-allow-origin': 'https://shop.example',
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': exposed,
      vary: 'Origin',
    }
    expect(cors(preflight)).toEqual({
      ...own,
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': 'authorization,tidemark-sync',
      'access-control-max-age': '86400',
    })
    expect(cors(await server.send('info', { headers: asked }))).toEqual(own)
    expect(cors(await server.send('nothing', { headers: asked }))).toEqual(own)
  })

  test('any origin may ask, without cookies', async () => {
    const server = served({ origins: '*' })
    expect(cors(await server.send('info', { headers: asked }))).toEqual({
      'access-control-allow-origin': '*',
      'access-control-expose-headers': exposed,
    })
  })

  test.each([[[]], [['https://other.example']]])('of %j no other origin may ask', async (origins) => {
    const server = served({ origins })
    for (const init of [{ method: 'OPTIONS', headers: asked }, { headers: asked }])
      expect(cors(await server.send('info', init))).toEqual(origins.length === 0 ? {} : { vary: 'Origin' })
  })
})

describe('gzip', () => {
  const encodingFor = async (accepted: string | undefined, compress?: boolean) => {
    const server = served(compress === undefined ? {} : { compress })
    const response = await server.send(
      'pull',
      accepted === undefined ? {} : { headers: { 'Accept-Encoding': accepted } },
    )
    return response.headers.get('Content-Encoding')
  }

  test.each([
    [undefined, null],
    ['', null],
    ['br', null],
    ['identity', null],
    ['gzip;q=0', null],
    ['gzip; q=0.0, br', null],
    ['gzip', 'gzip'],
    ['deflate, GZIP;q=0.5', 'gzip'],
    ['br, gzip;q=1.0, *;q=0', 'gzip'],
  ])('Accept-Encoding %j: %j', async (accepted, encoding) => {
    expect(await encodingFor(accepted)).toBe(encoding)
  })

  test('can be turned off', async () => {
    expect(await encodingFor('gzip', false)).toBeNull()
  })

  test('packs all of a page', async () => {
    const server = served()
    await server.push({ events: Array.from({ length: 1000 }, (_, n) => event(`${n}`, { data: 'x'.repeat(100) })) })
    const plain = await (await server.send('pull')).text()
    const packed = await server.send('pull', { headers: { 'Accept-Encoding': 'gzip' } })
    const bytes = await packed.arrayBuffer()
    expect(bytes.byteLength).toBeLessThan(plain.length / 4)
    expect(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text()).toBe(
      plain,
    )
  })
})
