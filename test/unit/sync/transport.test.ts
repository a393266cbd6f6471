// The client of the protocol against scripted responses: what each of them means, and that nothing is believed unchecked.
import { describe, expect, test } from 'vitest'
import { virtualClock } from 'tidemark/testing'
import { followWake } from '../../../src/sync/follow-wake.js'
import { openTransport, longestSilence, type Transport } from '../../../src/sync/transport.js'
import type { RemoteOptions } from '../../../src/sync/sync-parts.js'
import type { PullReply } from '../../../src/sync/sync-effects.js'
import type { OutboxRow } from '../../../src/sync/sync-state.js'
import { chainStart, leastLimits } from '../../../src/wire/protocol.js'

const as = { log: 'log-1', epoch: 'epoch-1', author: 'Zoë' }
const own = { 'Tidemark-Log': 'log-1/epoch-1', 'Tidemark-Author': 'Zo%C3%AB' }
const start = { at: 0, chain: chainStart }
const never = new AbortController().signal

interface Sent {
  readonly url: string
  readonly init: RequestInit
  readonly headers: Headers
}

type Script = (request: Sent) => Response | Promise<Response>

function client(script: Script, options: Partial<RemoteOptions> = {}) {
  const sent: Sent[] = []
  const clock = virtualClock({ start: Date.UTC(2026, 0, 1) })
  let contacts = 0
  const fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const request: Sent = { url: String(input), init, headers: new Headers(init.headers) }
    sent.push(request)
    return script(request)
  }
  const transport = openTransport({ url: 'https://x.test/logs/a', fetch, ...options }, clock, () => (contacts += 1))
  return { transport, sent, clock, contacts: () => contacts }
}

const json = (value: unknown, status = 200, headers: Record<string, string> = own) =>
  new Response(JSON.stringify(value), { status, headers: { 'Content-Type': 'application/json', ...headers } })
const lines = (text: string | ReadableStream<Uint8Array>) =>
  new Response(text, { headers: { 'Content-Type': 'application/x-ndjson; charset=utf-8', ...own } })
const line = (value: object) => `${JSON.stringify(value)}\n`
const header = (more: object = {}) =>
  line({ tidemark: 'export', format: 1, log: 'log-1', epoch: 'epoch-1', after: 0, head: 4, ...more })
const event = (position: number, commit: number, version: number, more: object = {}) =>
  line({
    position,
    commit,
    stream: 's',
    version,
    type: 'A',
    id: `e${position}`,
    time: 5,
    data: { n: position },
    ...more,
  })
const cursor = (scannedTo: number, chain = `c${scannedTo}`) => line({ scannedTo, chain })
const pull = (transport: Transport) => transport.pull({ after: start, limit: 100, as }, never)
const pulled = (body: string | ReadableStream<Uint8Array>) => pull(client(() => lines(body)).transport)

/** A body of these pieces, which then fails or is silent. */
function broken(pieces: readonly (string | Uint8Array)[], end: 'fails' | 'silent'): ReadableStream<Uint8Array> {
  const left = [...pieces]
  return new ReadableStream({
    pull(controller) {
      const piece = left.shift()
      if (piece !== undefined) controller.enqueue(typeof piece === 'string' ? new TextEncoder().encode(piece) : piece)
      else if (end === 'fails') controller.error(new TypeError('network'))
      else return new Promise(() => {})
      return undefined
    },
  })
}

const info = { ...as, head: 7, first: 1, format: 1, limits: leastLimits }

const row = (more: Partial<OutboxRow> = {}): OutboxRow => ({
  n: 1,
  name: 'e1',
  time: 1,
  events: [
    { type: 'A', stream: 's', id: 'e1', idGiven: false, time: 1, schema: 1, data: '{"a":1}', meta: undefined },
    { type: 'B', stream: 's"', id: 'é\n', idGiven: true, time: 2, schema: 3, data: '[2]', meta: '{"m":0}' },
  ],
  expect: [],
  ...more,
})

describe('requests', () => {
  test('the first one says the version only, and takes no cookies or redirects elsewhere', async () => {
    const { transport, sent } = client(() => json(info))
    expect(await transport.info(never)).toEqual({ kind: 'info', info })
    const [{ url, init, headers }] = sent as [Sent]
    expect(url).toBe('https://x.test/logs/a/info')
    expect(init).toMatchObject({ method: 'GET', redirect: 'error', cache: 'no-store' })
    expect(init.credentials).toBeUndefined()
    expect(headers.get('Tidemark-Sync')).toBe('1')
    expect(headers.has('Tidemark-Log')).toBe(false)
  })

  test('the others name log and author; headers and credentials are as the app wishes', async () => {
    const { transport, sent } = client(() => lines(header() + cursor(0)), {
      url: 'https://x.test/a/?tenant=b%20c#x',
      headers: async () => ({ Authorization: 'Bearer 1', 'Tidemark-Log': 'forged' }),
      credentials: 'include',
    })
    await transport.pull({ after: start, limit: 3, as }, never)
    const [{ url, init, headers }] = sent as [Sent]
    expect(url).toBe(`https://x.test/a/pull?after=0&chain=${chainStart}&limit=3&tenant=b%20c`)
    expect(init.credentials).toBe('include')
    expect(Object.fromEntries(headers)).toMatchObject({
      authorization: 'Bearer 1',
      'tidemark-log': 'log-1/epoch-1',
      'tidemark-author': 'Zo%C3%AB',
      accept: 'application/x-ndjson',
    })
  })

  test('a push has the stored text of its events, as it is', async () => {
    const { transport, sent } = client(() => json({ head: 2, answers: [{ id: 'e1', accepted: 1 }] }))
    const commit = row({
      expect: [
        ['__proto__', 'e0'],
        ['new', null],
      ],
      condition: { failIfEventsMatch: { types: ['A'], streamPrefix: 'x/' }, at: 0, after: null, except: ['e1'] },
      requires: ['e0'],
      healed: true,
    })
    const reply = await transport.push({ commits: [commit, row()], cancel: [['c1', 'c2']], at: 4, as }, never)
    expect(reply).toEqual({ kind: 'pushed', by: as, head: 2, answers: [{ id: 'e1', accepted: 1 }] })
    const [{ init, headers }] = sent as [Sent]
    expect(headers.get('Content-Type')).toBe('application/json')
    expect(init.method).toBe('POST')
    const events = [
      { stream: 's', type: 'A', id: 'e1', time: 1, data: { a: 1 } },
      { stream: 's"', type: 'B', schema: 3, id: 'é\n', time: 2, data: [2], meta: { m: 0 } },
    ]
    expect(JSON.parse(init.body as string)).toEqual({
      commits: [
        {
          events,
          expect: JSON.parse('{"__proto__":"e0","new":null}') as object,
          condition: { failIfEventsMatch: { types: ['A'], streamPrefix: 'x/' }, after: null, except: ['e1'] },
          requires: ['e0'],
          healed: true,
        },
        { events },
      ],
      at: 4,
      cancel: [['c1', 'c2']],
    })
  })

  test('nothing but the signal makes them reject', async () => {
    const { transport } = client(() => new Promise(() => {}))
    const controller = new AbortController()
    const asked = transport.info(controller.signal)
    controller.abort(new Error('enough'))
    await expect(asked).rejects.toThrow('enough')
    await expect(transport.info(controller.signal)).rejects.toThrow('enough')
  })

  test('N65: a server that is silent is offline, also in the middle of a body', async () => {
    const silent = client(() => new Promise(() => {}))
    expect(await silent.clock.runUntil(silent.transport.info(never))).toMatchObject({ kind: 'offline' })
    expect(silent.clock.monotonic()).toBe(longestSilence)
    const stuck = client(() => lines(broken([header()], 'silent')))
    expect(await stuck.clock.runUntil(pull(stuck.transport))).toEqual({ kind: 'offline', isCut: true })
    expect([silent.clock.pending, stuck.clock.pending]).toEqual([0, 0])
  })

  test('a push that has no response in time may have a slow link', async () => {
    const { clock, transport } = client(() => new Promise(() => {}))
    const pushed = transport.push({ as, commits: [], cancel: [['x']] }, never)
    expect(await clock.runUntil(pushed)).toMatchObject({ kind: 'offline', isSlow: true })
    const gone = client(() => Promise.reject(new TypeError('Failed to fetch')))
    expect(await gone.transport.push({ as, commits: [], cancel: [['x']] }, never)).toEqual({
      kind: 'offline',
      message: 'Failed to fetch',
    })
  })

  test('a body may take as long as it likes while it comes', async () => {
    const clock = virtualClock()
    const pieces = [header(), event(1, 1, 1), event(2, 2, 2), cursor(2)]
    const slow = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const piece = pieces.shift()
        await new Promise<void>((resolve) => void clock.schedule(longestSilence - 1, resolve))
        if (piece === undefined) controller.close()
        else controller.enqueue(new TextEncoder().encode(piece))
      },
    })
    const transport = openTransport({ url: 'https://x.test', fetch: async () => lines(slow) }, clock)
    expect(await clock.runUntil(pull(transport))).toMatchObject({ kind: 'page', cursor: { at: 2 } })
    expect(clock.monotonic()).toBeGreaterThan(3 * longestSilence)
  })

  test('headers that fail, or never come, are no harm', async () => {
    const failing = client(() => json(info), { headers: () => Promise.reject(new Error('no token')) })
    expect(await failing.transport.info(never)).toEqual({ kind: 'offline', message: 'no token' })
    const stuck = client(() => json(info), { headers: () => new Promise(() => {}) })
    expect(await stuck.clock.runUntil(stuck.transport.info(never))).toMatchObject({
      kind: 'offline',
      message: expect.stringMatching(/headers.*30000 ms/),
    })
    // No slow link: the next push is no smaller.
    const pushed = stuck.transport.push({ commits: [row()], cancel: [], as }, never)
    expect(await stuck.clock.runUntil(pushed)).not.toHaveProperty('isSlow')
    expect(failing.sent.length + stuck.sent.length).toBe(0)
  })

  test('after a 401 they are asked for once more', async () => {
    let token = 0
    const options = { headers: () => ({ Authorization: String((token += 1)) }) }
    const { transport } = client(
      ({ headers }) => (headers.get('Authorization') === '2' ? json(info) : json({ code: 'x', message: 'no' }, 401)),
      options,
    )
    expect(await transport.info(never)).toMatchObject({ kind: 'info' })
    token = 5
    expect(await transport.info(never)).toMatchObject({ kind: 'refused', status: 401, code: 'unauthorized' })
    expect(token).toBe(7)
  })

  test('N128: headers learn that those of a moment ago were refused', async () => {
    const told: boolean[] = []
    const headers = ({ unauthorized }: { unauthorized: boolean }) => {
      told.push(unauthorized)
      return { Authorization: unauthorized ? 'new' : 'kept' }
    }
    const { transport } = client(
      (request) => (request.headers.get('Authorization') === 'new' ? json(info) : json({ code: 'x' }, 401)),
      { headers },
    )
    expect(await transport.info(never)).toMatchObject({ kind: 'info' })
    expect(await transport.info(never)).toMatchObject({ kind: 'info' })
    expect(told).toEqual([false, true, false, true])
  })

  test('N127: with an author, nothing is sent for a store of another one, and nothing is taken from another session', async () => {
    const { transport, sent } = client(() => json(info), { author: 'tom' })
    const refused = { kind: 'refused', code: 'other-author', message: expect.stringMatching(/'Zoë'.*'tom'/) }
    expect(await pull(transport)).toMatchObject(refused)
    expect(await transport.push({ commits: [row()], cancel: [], as }, never)).toMatchObject(refused)
    expect(await transport.openWake(as, never)).toMatchObject(refused)
    expect(await transport.ticket(as, never)).toMatchObject(refused)
    expect(sent).toEqual([])
    expect(await transport.info(never)).toMatchObject(refused)
    expect(sent).toHaveLength(1)
    const nobody = client(() => json(info), { author: '' })
    expect(await nobody.transport.info(never)).toMatchObject({ code: 'other-author' })
    const own = client(() => json(info), { author: 'Zoë' })
    expect(await own.transport.info(never)).toMatchObject({ kind: 'info' })
  })
})

describe('what a response means', () => {
  const failed = (response: Response | (() => Response)) =>
    client(() => (typeof response === 'function' ? response() : response)).transport.info(never)

  test.each<[status: number, code: string | undefined, expected: object]>([
    [401, undefined, { kind: 'refused', code: 'unauthorized' }],
    [403, undefined, { kind: 'refused', code: 'forbidden' }],
    [403, 'something', { kind: 'refused', code: 'forbidden' }],
    [404, undefined, { kind: 'refused', code: 'bad-request' }],
    [400, undefined, { kind: 'refused', code: 'bad-request' }],
    [415, 'wrong-type', { kind: 'refused', code: 'wrong-type' }],
    [422, 'invalid-push', { kind: 'refused', code: 'invalid-push' }],
    [409, 'diverged', { kind: 'refused', code: 'diverged' }],
    [409, 'other-epoch', { kind: 'refused', code: 'other-epoch' }],
    [409, 'other-log', { kind: 'refused', code: 'other-log' }],
    [409, 'other-author', { kind: 'refused', code: 'other-author' }],
    [409, 'moved', { kind: 'refused', code: 'moved' }],
    [410, undefined, { kind: 'refused', code: 'before-first' }],
    [413, undefined, { kind: 'refused', code: 'too-large' }],
    [426, undefined, { kind: 'refused', code: 'newer-protocol' }],
    [408, undefined, { kind: 'busy', isSlow: true }],
    [429, undefined, { kind: 'busy' }],
    [500, undefined, { kind: 'busy' }],
    [503, 'unavailable', { kind: 'busy' }],
    [511, undefined, { kind: 'offline' }],
    [302, undefined, { kind: 'offline' }],
    [204, undefined, { kind: 'offline' }],
  ])('%i %s', async (status, code, expected) => {
    const body = status === 204 ? null : JSON.stringify({ ...(code !== undefined && { code }), message: 'why' })
    const reply = await failed(new Response(body, { status, headers: { ...own, 'Content-Type': 'application/json' } }))
    expect(reply).toMatchObject(expected)
    if (reply.kind === 'refused') expect(reply).toMatchObject({ status, by: as, message: 'why' })
    if (reply.kind === 'busy') expect(reply.message).toBe('why')
  })

  test('a body that ends anywhere before its end is asked for again, whatever the engine says of the connection', async () => {
    const problem = JSON.stringify({ code: 'other-epoch', message: 'It "began", again: {[\\' })
    const whole = JSON.stringify(info)
    const pushed = JSON.stringify({ head: 1, answers: [{ id: 'e1', conflict: { stream: 's}', last: '\\"' } }] })
    const given = (body: string, status: number) => client(() => new Response(body, json({}, status))).transport
    const push = (body: string) => given(body, 200).push({ commits: [row()], cancel: [], as }, never)
    expect(await given(problem, 409).info(never)).toMatchObject({ kind: 'refused', code: 'other-epoch' })
    for (let end = 0; end < problem.length; end += 1)
      expect(await given(problem.slice(0, end), 409).info(never), String(end)).toMatchObject({ kind: 'offline' })
    expect(await given(whole, 200).info(never)).toMatchObject({ kind: 'info' })
    for (let end = 0; end < whole.length; end += 1)
      expect(await given(whole.slice(0, end), 200).info(never), String(end)).toMatchObject({ kind: 'offline' })
    expect(await push(pushed)).toMatchObject({ kind: 'pushed' })
    for (let end = 0; end < pushed.length; end += 1)
      expect(await push(pushed.slice(0, end)), String(end)).toMatchObject({ kind: 'offline' })
    // What the status alone says is known without a body.
    expect(await given('{"code":"n', 403).info(never)).toMatchObject({ kind: 'refused', code: 'forbidden' })
  })

  test('N65: a proxy whose server is gone is offline, also if it says 500 and above; nothing is heard of the server', async () => {
    const html = { 'Content-Type': 'text/html' }
    const jsonType = { 'Content-Type': 'application/json' }
    for (const status of [500, 502, 503, 504, 522, 530])
      for (const [body, headers] of [
        ['<html>Bad gateway', html],
        ['', {}],
        ['{"code":"x', jsonType],
        ['{"code":502}', jsonType],
        ['{"message":"no upstream"}', jsonType],
        ['"code"', jsonType],
      ] as const)
        expect(await failed(new Response(body, { status, headers })), `${status} ${body}`).toEqual({
          kind: 'offline',
          message: `The response was not that of a tidemark server: status ${status}.`,
        })
  })

  test('what something else responds is named, as it may be all that is at the address', async () => {
    for (const status of [200, 204, 302, 404, 405, 418]) {
      const body = status === 204 ? null : '<html>Not found</html>'
      const page = new Response(body, { status, headers: { 'Content-Type': 'text/html; charset=utf-8' } })
      const reply = await client(() => page).transport.info(never)
      expect(reply, String(status)).toMatchObject({ kind: 'offline', isForeign: true })
      expect((reply as { message: string }).message).toMatch(
        new RegExp(`https://.* is not a .*status ${status} text/html$`),
      )
    }
    for (const status of [502, 511]) expect(await failed(new Response('', { status }))).not.toHaveProperty('isForeign')
    const own404 = await failed(new Response('', { status: 404, headers: own }))
    expect(own404).toMatchObject({ kind: 'refused', code: 'bad-request' })
  })

  test('a server that is busy, or a proxy that asks to come again, is not offline', async () => {
    const busy = { kind: 'busy', message: 'The server responded with status 503.' }
    // By what only a tidemark server sends: its headers (all of them, or the version before the log is known), its body.
    expect(await failed(new Response('<html>', { status: 503, headers: own }))).toEqual(busy)
    expect(await failed(new Response('', { status: 503, headers: { 'Tidemark-Sync': '1' } }))).toEqual(busy)
    expect(await failed(new Response('{"code":"unavailable","message":"no"}', { status: 503 }))).toEqual({
      kind: 'busy',
      message: 'no',
    })
    // And by what says when to come again.
    expect(await failed(new Response('<html>', { status: 503, headers: { 'Retry-After': '3' } }))).toEqual({
      ...busy,
      after: 3000,
    })
    for (const status of [408, 425, 429])
      expect(await failed(new Response('<html>', { status }))).toMatchObject({ kind: 'busy' })
    const long = JSON.stringify({ code: 'x', message: 'x'.repeat(5000) })
    expect(await failed(new Response(long, { status: 502 }))).toEqual({ kind: 'busy', message: 'x'.repeat(1000) })
  })

  test('Retry-After in seconds and as a date, by the clock of the server', async () => {
    const after = async (value: string, more: Record<string, string> = {}) => {
      const reply = await failed(new Response(null, { status: 503, headers: { 'Retry-After': value, ...more } }))
      return reply.kind === 'busy' ? reply.after : reply
    }
    expect(await after('7')).toBe(7000)
    expect(await after('Thu, 01 Jan 2026 00:00:30 GMT')).toBe(30_000)
    expect(await after('Thu, 01 Jan 2024 00:01:00 GMT', { Date: 'Thu, 01 Jan 2024 00:00:00 GMT' })).toBe(60_000)
    expect(await after('Thu, 01 Jan 2020 00:01:00 GMT')).toBe(0)
    expect(await after('999999999')).toBe(3_600_000)
    expect(await after('soon', own)).toBeUndefined()
    expect(await after('soon')).toMatchObject({ kind: 'offline' })
  })

  test('N65: a captive portal is offline, and no contact', async () => {
    const html = { 'Content-Type': 'text/html' }
    for (const response of [
      () => new Response('<html>', { headers: html }),
      () => new Response('<html>', { headers: { ...html, ...own } }),
      () => new Response('<html>', { status: 404, headers: html }),
      // A proxy whose server is being replaced.
      () => new Response('404 page not found', { status: 404, headers: { 'Content-Type': 'text/plain' } }),
      () => new Response('bad', { status: 400 }),
      () => new Response('{}', { status: 409, headers: { 'Content-Type': 'application/json' } }),
      () => json(info, 200, {}),
      () => json(info, 200, { 'Tidemark-Log': 'log-1' }),
      () => json(info, 200, { 'Tidemark-Log': 'log-1/epoch-1', 'Tidemark-Author': '%E0%A4%A' }),
      () => Response.error(),
    ])
      expect(await failed(response)).toMatchObject({ kind: 'offline' })
    const { transport, contacts } = client(() => new Response('<html>', { headers: html }))
    await transport.info(never)
    expect(contacts()).toBe(0)
    // A proxy that takes smaller bodies, and one that does not let this user in.
    const tooLarge = await failed(new Response('<html>', { status: 413, headers: html }))
    expect(tooLarge).toMatchObject({ kind: 'refused', code: 'too-large' })
    expect(tooLarge).not.toHaveProperty('by')
    expect(await failed(new Response('<html>', { status: 401, headers: html }))).toMatchObject({ code: 'unauthorized' })
    const refused = client(() => json({}, 409, own))
    await refused.transport.info(never)
    expect(refused.contacts()).toBe(1)
  })

  test('a fetch that rejects, as for a redirect, is offline', async () => {
    const { transport } = client(() => Promise.reject(new TypeError('redirect')))
    expect(await transport.info(never)).toEqual({ kind: 'offline', message: 'redirect' })
  })

  test('N64: the response of another log, author or epoch is refused, whatever it holds', async () => {
    const reply = async (headers: Record<string, string>) => {
      const { transport } = client(() => json({ head: 1, answers: [] }, 200, { ...own, ...headers }))
      const pushed = await transport.push({ commits: [], cancel: [], as }, never)
      return pushed.kind === 'refused' ? pushed.code : pushed.kind
    }
    expect(await reply({ 'Tidemark-Log': 'log-2/epoch-1' })).toBe('other-log')
    expect(await reply({ 'Tidemark-Log': 'log-1/epoch-2' })).toBe('other-epoch')
    expect(await reply({ 'Tidemark-Author': 'b' })).toBe('other-author')
    expect(await reply({})).toBe('pushed')
  })

  test.each<[string, unknown]>([
    ['no JSON', 'nonsense{'],
    ['a list', '[]'],
    ['no head', { answers: [] }],
    ['no answers', { head: 1 }],
    ['about a commit that was not sent', { head: 1, answers: [{ id: 'x', accepted: 1 }] }],
    ['about no commit', { head: 1, answers: [null] }],
    ['nothing about a commit', { head: 1, answers: [{ id: 'e1' }] }],
    ['two things about a commit', { head: 1, answers: [{ id: 'e1', accepted: 1, blocked: 'x' }] }],
    ['a position that is none', { head: 1, answers: [{ id: 'e1', accepted: -1 }] }],
    ['a conflict with nothing', { head: 1, answers: [{ id: 'e1', conflict: {} }] }],
  ])('N64: a response to a push that says %s is inconsistent', async (_, body) => {
    const { transport } = client(() => json(body))
    const bad = typeof body === 'string' ? client(() => new Response(body, json({}))).transport : transport
    const reply = await bad.push({ commits: [row()], cancel: [], as }, never)
    expect(reply).toMatchObject({ kind: 'refused', code: 'inconsistent' })
  })

  test('each verdict', async () => {
    const answers = [
      { id: 'e1', conflict: { stream: 's', last: null } },
      { id: 'e2', conflict: { position: 3 } },
      { id: 'e3', refused: { code: 'rule', message: 'no' } },
      { id: 'e4', blocked: 'x' },
      { id: 'e5', behind: 'y' },
      { id: 'e6', accepted: 6 },
    ]
    const { transport } = client(() => json({ head: 9, answers, chain: 'c' }))
    const cancel = answers.map(({ id }) => [id])
    expect(await transport.push({ commits: [], cancel, as }, never)).toMatchObject({ head: 9, answers, chain: 'c' })
  })

  test('a long text of a server ends at a character, and not in the middle of one', async () => {
    const message = `${'x'.repeat(999)}🙂`
    const answers = [{ id: 'e1', refused: { code: 'rule', message } }]
    const { transport } = client(() => json({ head: 9, answers }))
    const reply = await transport.push({ commits: [row()], cancel: [], as }, never)
    const cut = 'x'.repeat(999)
    expect(reply).toMatchObject({ answers: [{ refused: { message: cut } }] })
    const busy = client(() => json({ code: 'x', message }, 503)).transport
    expect(await busy.push({ commits: [row()], cancel: [], as }, never)).toMatchObject({ kind: 'busy', message: cut })
  })
})

describe('a pull', () => {
  test('has events as text, with versions and the beginnings of commits', async () => {
    const body =
      header() +
      event(1, 1, 5) +
      event(2, 1, 6, { schema: 2, meta: { m: 1 } }) +
      event(3, 3, 1, { stream: 't' }) +
      cursor(3)
    const reply = (await pulled(body)) as PullReply & { kind: 'page' }
    expect(reply).toMatchObject({ kind: 'page', by: as, after: start, cursor: { at: 3, chain: 'c3' }, head: 4 })
    expect(reply.events).toMatchObject({ at: 1, versions: [5, 6, 1], starts: new Set([0, 2]) })
    expect(reply.events.events[1]).toEqual({
      type: 'A',
      stream: 's',
      id: 'e2',
      idGiven: true,
      time: 5,
      schema: 2,
      data: '{"n":2}',
      meta: '{"m":1}',
    })
  })

  test('of nothing new says where the log ends', async () => {
    expect(await pulled(header({ head: 0 }) + cursor(0, chainStart))).toMatchObject({
      kind: 'page',
      events: { events: [] },
      cursor: start,
      head: 0,
    })
  })

  test('N64: keeps what is before the last cursor, wherever the body is cut off', async () => {
    const whole = header() + event(1, 1, 1) + event(2, 1, 2) + cursor(2) + event(3, 3, 3, { data: 'é' }) + cursor(3)
    const bytes = new TextEncoder().encode(whole)
    const first = new TextEncoder().encode(header() + event(1, 1, 1) + event(2, 1, 2) + cursor(2)).length - 1
    for (const end of ['fails', 'closes'] as const)
      for (let length = 0; length <= bytes.length; length += 1) {
        const part = bytes.slice(0, length)
        const reply = await pulled(end === 'fails' ? broken([part], 'fails') : new Response(part).body!)
        // A last line needs no line feed where the body was closed as it should be.
        const complete = end === 'fails' ? 1 : 0
        const at = length >= bytes.length - 1 + complete ? 3 : length >= first + complete ? 2 : undefined
        expect(reply, `${end} after ${length}`).toMatchObject(
          at === undefined ? { kind: 'offline' } : { kind: 'page', cursor: { at, chain: `c${at}` } },
        )
        if (reply.kind === 'page')
          expect(reply.events.events.map(({ id }) => id)).toEqual(['e1', 'e2', 'e3'].slice(0, at))
        if (reply.kind === 'page') expect(reply.events.starts).toEqual(new Set(at === 2 ? [0] : [0, 2]))
      }
  })

  test.each<[string, string]>([
    ['without a header', event(1, 1, 1) + cursor(1)],
    ['of a newer format', header({ format: 2 }) + cursor(0)],
    ['of another log', header({ log: 'x' }) + cursor(0)],
    ['of another epoch', header({ epoch: 'x' }) + cursor(0)],
    ['behind another position', header({ after: 1 }) + cursor(1)],
    ['with two headers', header() + header() + cursor(0)],
    ['of what is no JSON', `${header()}nonsense\n${cursor(0)}`],
    ['of a list', `${header()}[]\n${cursor(0)}`],
    ['with a hole', header() + event(2, 2, 1) + cursor(2)],
    ['with another position', header() + event(5, 1, 1) + cursor(1)],
    ['with an event twice', header() + event(1, 1, 1) + event(1, 1, 1) + cursor(1)],
    ['with versions out of order', header() + event(1, 1, 2) + event(2, 2, 2) + cursor(2)],
    ['with a version that is none', header() + event(1, 1, 0) + cursor(1)],
    ['that begins in a commit', header() + event(1, 0, 1) + cursor(1)],
    ['with a commit that ended', header() + event(1, 1, 1) + event(2, 2, 2) + event(3, 1, 3) + cursor(3)],
    ['with a cursor inside a commit', header() + event(1, 1, 1) + cursor(1) + event(2, 1, 2) + cursor(2)],
    ['with a cursor that is ahead', header() + event(1, 1, 1) + cursor(2)],
    ['with a cursor without a chain', header() + event(1, 1, 1) + line({ scannedTo: 1 })],
    ['with an id that is none', header() + event(1, 1, 1, { id: '' }) + cursor(1)],
    ['with a stream that is none', header() + event(1, 1, 1, { stream: 'a*' }) + cursor(1)],
    ['with spaces around a stream', header() + event(1, 1, 1, { stream: ' a' }) + cursor(1)],
    ['with a type that is none', header() + event(1, 1, 1, { type: 5 }) + cursor(1)],
    ['with a time that is none', header() + event(1, 1, 1, { time: '5' }) + cursor(1)],
    ['with a schema that is none', header() + event(1, 1, 1, { schema: 0.5 }) + cursor(1)],
    ['without data', header() + event(1, 1, 1, { data: undefined }) + cursor(1)],
    ['with a number that no JSON has', `${header()}${event(1, 1, 1).replace('{"n":1}', '1e999')}${cursor(1)}`],
  ])('N64: %s is inconsistent, and nothing of it is kept', async (_, body) => {
    expect(await pulled(body)).toMatchObject({ kind: 'refused', code: 'inconsistent' })
    // Also behind a cursor that was whole.
    const [first = '', ...rest] = body.split('\n')
    if (!first.includes('"after":0')) return
    const later = [first, '{"scannedTo":0,"chain":"c"}', ...rest].join('\n')
    expect(await pulled(later)).toMatchObject({ kind: 'refused', code: 'inconsistent' })
  })

  test('bytes that are no text end it, and no line is longer than any push', async () => {
    const bad = broken([header() + event(1, 1, 1) + cursor(1), new Uint8Array([255, 254, 10])], 'fails')
    expect(await pulled(bad)).toMatchObject({ kind: 'page', cursor: { at: 1 } })
    const piece = 'x'.repeat(1024 * 1024)
    const endless = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(header() + cursor(0))),
      pull: (controller) => controller.enqueue(new TextEncoder().encode(piece)),
    })
    expect(await pulled(endless)).toMatchObject({ kind: 'refused', code: 'inconsistent' })
  })

  test('that would fill the memory ends at a cursor', async () => {
    let at = 0
    const large = new ReadableStream<Uint8Array>({
      pull(controller) {
        at += 1
        const text = (at === 1 ? header() : '') + event(at, at, at, { data: 'x'.repeat(1024 * 1024) })
        controller.enqueue(new TextEncoder().encode(at % 3 === 0 ? text + cursor(at) : text))
      },
    })
    expect(await pulled(large)).toMatchObject({ kind: 'page', cursor: { at: 18 } })
  })

  test('a server that sends far more than it was asked for is inconsistent', async () => {
    let at = 0
    let lastPull = 0
    const flood = new ReadableStream<Uint8Array>({
      pull(controller) {
        let text = at === 0 ? header() : ''
        for (let count = 0; count < 1000; count += 1) text += event((at += 1), 1, at)
        lastPull = at
        controller.enqueue(new TextEncoder().encode(text))
      },
    })
    expect(await pulled(flood)).toMatchObject({ kind: 'refused', code: 'inconsistent' })
    expect(lastPull).toBeLessThan(110_000)
  })
})

describe('a page that came with a hint', () => {
  const hint = {
    head: 1,
    chain: chainStart,
    lines: [header({ head: 1 }), event(1, 1, 1), cursor(1)].map((text) => JSON.parse(text)),
  }

  test.for(['ends', 'is ended by the device'])('N99: counts until it is used, or its stream %s', async (how) => {
    let body!: ReadableStreamDefaultController<Uint8Array>
    const it = client(
      () =>
        new Response(new ReadableStream({ start: (controller) => void (body = controller) }), {
          headers: { ...own, 'Content-Type': 'text/event-stream' },
        }),
    )
    const heads: number[] = []
    let [opened, ends] = [0, 0]
    const end = new AbortController()
    const { transport, clock } = it
    const onOpen = () => void (opened += 1)
    const followed = followWake(
      { transport, clock, as, onOpen, onHead: (head) => heads.push(head), onEnd: () => void (ends += 1) },
      end.signal,
    ).catch(() => void (ends += 1))
    const says = async () => {
      const before = heads.length
      body.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(hint)}\n\n`))
      await expect.poll(() => heads.length).toBe(before + 1)
    }
    await expect.poll(() => opened).toBe(1)
    const page = () => transport.hintPage({ after: start, limit: 100, as })
    await says()
    expect(page()).toMatchObject({ kind: 'page', head: 1, cursor: { at: 1, chain: 'c1' } })
    expect(page()).toBeUndefined()
    await says()
    if (how === 'ends') body.close()
    else end.abort()
    await expect.poll(() => ends).toBe(1)
    expect(page()).toBeUndefined()
    end.abort()
    await followed
  })
})
