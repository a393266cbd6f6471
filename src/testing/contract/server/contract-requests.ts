/** Headers, statuses and the order of checks. */
import { authorHeader, headers as names } from '../../../wire/protocol.js'
import { equal, ok } from '../assert.js'
import { ContractClient, commit, typeOf, type AddServerCase } from './contract-client.js'

/** A request to each path that would be served. */
const requests: readonly (readonly [path: string, init: RequestInit])[] = [
  ['info', {}],
  ['push', { method: 'POST', body: '{"commits":[]}' }],
  ['pull', {}],
  ['wake', {}],
]

const json = { 'Content-Type': 'application/json' }

export function requestCases(add: AddServerCase): void {
  for (const part of [describing, addressing, comparing, waking, telling, dividing]) part(add)
}

function describing(add: AddServerCase): void {
  add('info: the log, its epoch, the author, the head and the limits, as JSON', async (subject) => {
    const anna = new ContractClient(subject)
    const response = await anna.send('info')
    equal([response.status, typeOf(response)], [200, 'application/json'], 'status and type')
    ok(/no-store/.test(response.headers.get('Cache-Control') ?? ''), 'a response that is not stored')
    const info = (await response.json()) as Record<string, unknown>
    equal(
      [info['author'], info['head'], info['first'], info['format']],
      ['anna', 0, 1, 1],
      'author, head, first, format',
    )
    for (const name of ['log', 'epoch'])
      ok(typeof info[name] === 'string' && /^[\w.-]{1,100}$/.test(info[name]), `a name as '${name}'`)
    const limits = info['limits'] as Record<string, number>
    for (const [name, least] of Object.entries({
      eventBytes: 262_144,
      commitEvents: 1000,
      commitBytes: 1_048_576,
      pushBytes: 4_194_304,
    }))
      ok((limits[name] ?? 0) >= least, `a limit '${name}' of at least ${least}`)
    equal(
      [names.version, names.log, names.author].map((name) => response.headers.get(name)),
      ['1', `${String(info['log'])}/${String(info['epoch'])}`, 'anna'],
      'the headers',
    )
  })

  add('an author is percent-encoded in its header, and not in the body', async (subject) => {
    for (const author of ['zoë €', 'a/b?c=%d', '', '\u{1f600}']) {
      const client = new ContractClient(subject, author)
      const response = await client.send('info')
      equal(response.headers.get(names.author), authorHeader(author), 'the header')
      equal(((await response.json()) as { author: string }).author, author, 'the author')
      equal(
        (await client.pushing({ commits: [] }, { [names.author]: authorHeader(author) })).response.status,
        200,
        'a push',
      )
      const other = await client.refusedPush({ commits: [] }, { [names.author]: authorHeader(`${author}x`) })
      equal(other, { status: 409, code: 'other-author' }, 'a push of another author')
    }
  })
}

function addressing(add: AddServerCase): void {
  add('every request says the version: without one 400, with another one 426', async (subject) => {
    const anna = new ContractClient(subject)
    const log = { [names.log]: await anna.log() }
    for (const [path, init] of requests) {
      const set = { ...json, ...log }
      equal(
        await anna.problem(path, { ...init, set: { ...set, [names.version]: null } }),
        { status: 400, code: 'bad-request' },
        `/${path} without a version`,
      )
      for (const version of ['2', '0', '1.0'])
        equal(
          await anna.problem(path, { ...init, set: { ...set, [names.version]: version } }),
          { status: 426, code: 'newer-protocol' },
          `/${path} with the version '${version}'`,
        )
    }
  })

  add('a path that does not exist is 404, another method 405', async (subject) => {
    const anna = new ContractClient(subject)
    for (const path of ['nothing', 'info2', 'constructor', '__proto__'])
      equal(await anna.problem(path), { status: 404, code: 'not-found' }, `/${path}`)
    const wrong = [
      ['info', 'POST'],
      ['push', 'GET'],
      ['push', 'PUT'],
      ['pull', 'POST'],
      ['wake', 'DELETE'],
    ] as const
    for (const [path, method] of wrong)
      equal(await anna.problem(path, { method }), { status: 405, code: 'wrong-method' }, `${method} /${path}`)
  })

  add('headers of an unknown session are 401 for every request', async (subject) => {
    if (subject.unknown === undefined) return
    const anna = new ContractClient(subject)
    const log = await anna.log()
    const stranger = new ContractClient({ ...subject, headers: () => subject.unknown ?? {} })
    for (const [path, init] of requests) {
      const response = await stranger.send(path, { ...init, set: { ...json, [names.log]: log } })
      equal(response.status, 401, `the status of /${path}`)
      await response.body?.cancel()
    }
  })
}

function comparing(add: AddServerCase): void {
  add('another log, author and epoch than those that the device knows are refused, in this order', async (subject) => {
    const anna = new ContractClient(subject)
    const [log, epoch] = (await anna.log()).split('/') as [string, string]
    for (const [path, init] of requests.slice(1)) {
      const body = path === 'push' ? { body: JSON.stringify({ commits: [commit('x')] }) } : {}
      const code = (set: Record<string, string>) => anna.problem(path, { ...init, ...body, set: { ...json, ...set } })
      equal(
        await code({ [names.log]: `x${log}/x`, [names.author]: 'bert' }),
        { status: 409, code: 'other-log' },
        `/${path} for another log`,
      )
      equal(
        await code({ [names.log]: `${log}/x`, [names.author]: 'bert' }),
        { status: 409, code: 'other-author' },
        `/${path} for another author`,
      )
      for (const other of ['x', `${epoch}x`, epoch.slice(1)])
        equal(
          await code({ [names.log]: `${log}/${other}`, [names.author]: 'anna' }),
          { status: 409, code: 'other-epoch' },
          `/${path} for another epoch`,
        )
    }
    equal(await anna.ids(), [], 'the log')
    const response = await anna.send('info', { set: { [names.log]: 'x/y', [names.author]: 'bert' } })
    equal(response.status, 200, 'the status of /info, which compares nothing')
  })

  add('a problem has the headers of every response', async (subject) => {
    const anna = new ContractClient(subject)
    const log = await anna.log()
    for (const response of [
      (await anna.pushing('{')).response,
      (await anna.pushing({ commits: [] }, { [names.log]: 'x/y' })).response,
      await anna.send('pull?after=7&chain=x'),
    ]) {
      const seen = [names.version, names.log, names.author].map((name) => response.headers.get(name))
      equal(seen, ['1', log, 'anna'], `the headers of a response with the status ${response.status}`)
    }
  })

  add('a push has to name the log that it is for', async (subject) => {
    const anna = new ContractClient(subject)
    equal(
      await anna.refusedPush({ commits: [commit('x')] }, { [names.log]: null }),
      { status: 400, code: 'bad-request' },
      'a push without a log',
    )
    equal(await anna.ids(), [], 'the log')
  })
}

function waking(add: AddServerCase): void {
  add('ticket: a secret for a session, another one each time; 404 where there are no WebSockets', async (subject) => {
    const anna = new ContractClient(subject)
    const ask = (set: Record<string, string | null> = {}) =>
      anna.send('ticket', { method: 'POST', body: '{}', set: { ...json, ...set } })
    const response = await ask({ [names.log]: await anna.log() })
    const first = (await response.json()) as Record<string, unknown>
    if (response.status === 404) return
    equal([response.status, typeOf(response)], [200, 'application/json'], 'status and type')
    ok(/no-store/.test(response.headers.get('Cache-Control') ?? ''), 'a response that is not stored')
    const { ticket, seconds } = first
    ok(typeof ticket === 'string' && /^.{1,255}$/s.test(ticket), 'a ticket')
    ok(typeof seconds === 'number' && seconds > 0 && seconds <= 300, 'seconds')
    ok(((await (await ask()).json()) as { ticket: unknown }).ticket !== ticket, 'another ticket')
    const other = await ask({ [names.author]: 'bert' })
    equal(
      [other.status, await other.text().then((text) => text.includes('ticket":'))],
      [409, false],
      'of another author',
    )
    const unversioned = await ask({ [names.version]: null })
    equal(unversioned.status, 400, 'the status without a version')
    await unversioned.text()
    if (subject.unknown === undefined) return
    const stranger = new ContractClient({ ...subject, headers: () => subject.unknown ?? {} })
    equal(
      (await stranger.problem('ticket', { method: 'POST', body: '{}', set: json })).status,
      401,
      'of an unknown session',
    )
  })

  add('wake: the head at the beginning and when it has moved, at most 20 times a second', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('x'))
    const controller = new AbortController()
    const begun = Date.now()
    const response = await anna.send('wake', { set: { [names.log]: await anna.log() }, signal: controller.signal })
    equal([response.status, typeOf(response)], [200, 'text/event-stream'], 'status and type')
    const heads = headsOf(response)
    equal((await heads.next()).value, 1, 'the head at the beginning')
    let count = 1
    for (let n = 0; n < 20; n += 1) await anna.push(commit(`y${n}`))
    for (;;) {
      const { value } = await heads.next()
      count += 1
      ok(value !== undefined, 'a stream that does not end')
      if (value === 21) break
    }
    ok(count <= (Date.now() - begun) / 50 + 2, 'at most 20 events a second')
    controller.abort()
    await heads.return(undefined).catch(() => {})
  })
}

function telling(add: AddServerCase): void {
  add(
    'wake: what comes with a hint, if it is asked for and the server has that, is as it is pulled',
    async (subject) => {
      const anna = new ContractClient(subject)
      await anna.push(commit('x'))
      const set = { [names.log]: await anna.log() }
      const controller = new AbortController()
      const response = await anna.send('wake?events=1', { set, signal: controller.signal })
      equal([response.status, typeOf(response)], [200, 'text/event-stream'], 'status and type')
      const hints = hintsOf(response)
      equal((await hints.next()).value?.head, 1, 'the head at the beginning')
      await anna.push(commit(['y', 'z']), commit('é'))
      for (let head = 1; head < 4;) {
        const { value } = await hints.next()
        ok(value !== undefined, 'a stream that does not end')
        const { lines, chain } = value
        head = value.head
        if (lines === undefined) continue
        const { after } = lines[0] as { after: number }
        const pulled = await anna.send(`pull?after=${after}&chain=${String(chain)}`, { set })
        equal(pulled.status, 200, 'the status of a pull from where the lines begin')
        const all = (await pulled.text()).trimEnd().split('\n')
        // More may have come since.
        if (head === 4)
          equal(
            lines,
            all.map((line) => JSON.parse(line) as unknown),
            'the lines of a hint, and those that are pulled',
          )
      }
      controller.abort()
      await hints.return(undefined).catch(() => {})
    },
  )
}

function dividing(add: AddServerCase): void {
  add('logs of one server know nothing of each other', async (subject) => {
    if (subject.otherUrl === undefined) return
    const [one, other] = [new ContractClient(subject), new ContractClient(subject, 'anna', subject.otherUrl)]
    ok((await one.info()).log !== (await other.info()).log, 'two names')
    await one.push(commit('x'), commit('y', { expect: { s: null } }))
    equal(await other.ids(), [], 'the other log')
    equal(await other.push(commit(['y', 'x'], { expect: { s: null } })), [{ id: 'y', accepted: 1 }], 'the same ids')
    equal(
      await other.refusedPush({ commits: [commit('z')] }, { [names.log]: await one.log() }),
      { status: 409, code: 'other-log' },
      'a push to the other one',
    )
    equal([await one.ids(), await other.ids()], [['x'], ['y', 'x']], 'both logs')
  })
}

interface Hint {
  readonly head: number
  readonly chain?: unknown
  readonly lines?: readonly unknown[]
}

async function* headsOf(response: Response): AsyncGenerator<number, void, undefined> {
  for await (const { head } of hintsOf(response)) yield head
}

/** What a stream of events says. */
async function* hintsOf(response: Response): AsyncGenerator<Hint, void, undefined> {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  try {
    for (;;) {
      const end = text.indexOf('\n\n')
      if (end >= 0) {
        const [, data] = /^data: ?(.*)$/m.exec(text.slice(0, end)) ?? []
        text = text.slice(end + 2)
        if (data !== undefined) yield JSON.parse(data) as Hint
        continue
      }
      const { done, value } = (await reader?.read()) ?? { done: true }
      if (done) return
      text += decoder.decode(value, { stream: true })
    }
  } finally {
    await reader?.cancel().catch(() => {})
  }
}
