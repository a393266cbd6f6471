/** Headers, statuses and the order of checks. */
import { authorHeader, headers as names } from '../../../wire/protocol.js'
import { equal, ok } from '../assert.js'
import { needs } from '../contract-case.js'
import { ContractClient, commit, typeOf, type AddServerCase } from './contract-client.js'

/** A request to each path that would be served. */
const requests: readonly (readonly [path: string, init: RequestInit])[] = [
  ['info', {}],
  ['push', { method: 'POST', body: '{"commits":[]}' }],
  ['pull', {}],
  ['wake', {}],
]

const json = { 'Content-Type': 'application/json' }

type Sent = NonNullable<Parameters<ContractClient['send']>[1]>

export function requestCases(add: AddServerCase): void {
  for (const part of [describing, addressing, ordering, comparing, sharing, dividing]) part(add)
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

  add('an author that is not percent-encoded as it must be is another author', async (subject) => {
    const anna = new ContractClient(subject)
    for (const author of ['%', '%zz', '%ff', 'anna%', 'anna,anna']) {
      const set = { [names.author]: author }
      const other = { status: 409, code: 'other-author' }
      equal(await anna.refusedPush({ commits: [commit('x')] }, set), other, `a push of '${author}'`)
      equal(await anna.problem('pull', { set }), other, `a pull of '${author}'`)
    }
    equal(await anna.ids(), [], 'the log')
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
    needs(subject, 'unknown')
    const { unknown } = subject
    const anna = new ContractClient(subject)
    const log = await anna.log()
    const stranger = new ContractClient({ ...subject, headers: () => unknown })
    const status = async (client: ContractClient, path: string, init: Sent) => {
      const response = await client.send(path, { ...init, set: { ...json, [names.log]: log, ...init.set } })
      await response.body?.cancel()
      return response.status
    }
    for (const [path, init] of requests) {
      equal(await status(stranger, path, init), 401, `the status of /${path}`)
      equal(await status(stranger, path, { ...init, set: { [names.log]: 'x/y' } }), 401, `/${path} for another log`)
    }
    const ticket: Sent = { method: 'POST', body: '{}' }
    // A server without WebSockets has no such path, for any session.
    equal(
      await status(stranger, 'ticket', ticket),
      (await status(anna, 'ticket', ticket)) === 404 ? 404 : 401,
      '/ticket',
    )
  })
}

function ordering(add: AddServerCase): void {
  add('of several checks that a request does not pass, the first one is the response', async (subject) => {
    const anna = new ContractClient(subject)
    const log = await anna.log()
    const [id = ''] = log.split('/')
    const noVersion = { [names.version]: null }
    equal(await anna.problem('nothing', { set: noVersion }), { status: 404, code: 'not-found' }, 'path, version')
    equal(
      await anna.problem('info', { method: 'POST', body: '', set: noVersion }),
      { status: 405, code: 'wrong-method' },
      'method, version',
    )
    const problems: readonly (readonly [
      body: string,
      set: Record<string, string | null>,
      status: number,
      code: string,
    ])[] = [
      ['{', { ...noVersion, [names.log]: 'x/y' }, 400, 'bad-request'],
      ['{', { [names.version]: '2', [names.log]: null }, 426, 'newer-protocol'],
      ['{', { [names.log]: null, [names.author]: 'bert' }, 400, 'bad-request'],
      ['{', { [names.log]: 'x/y', 'Content-Type': 'text/plain' }, 409, 'other-log'],
      ['{', { [names.author]: 'bert', 'Content-Type': 'text/plain' }, 409, 'other-author'],
      ['{', { [names.log]: `${id}/x`, 'Content-Type': 'text/plain' }, 409, 'other-epoch'],
      ['{', { 'Content-Type': 'text/plain' }, 415, 'wrong-type'],
      // No push, for one more reason than its size or its place.
      [`{"commits":[],"more":1,"cancel":${manyCancels}}`, {}, 422, 'invalid-push'],
      [`{"commits":[],"cancel":${manyCancels.replace(/\]$/, ',[]]')}}`, {}, 422, 'invalid-push'],
      [`{"commits":[${JSON.stringify(commit('x'))},1],"at":7}`, {}, 422, 'invalid-push'],
      [`{"commits":[${JSON.stringify(commit('x'))}],"at":7,"cancel":${manyCancels}}`, {}, 413, 'too-large'],
    ]
    for (const [body, set, status, code] of problems)
      equal(
        await anna.refusedPush(body, set),
        { status, code },
        `a push of ${body.slice(0, 40)} with ${JSON.stringify(set)}`,
      )
    const { pushBytes } = (await anna.info()).limits
    equal(await anna.refusedPush('{'.padEnd(pushBytes + 1)), { status: 413, code: 'too-large' }, 'size, JSON')
    equal(await anna.ids(), [], 'the log')
  })

  add('the version is checked before the session', async (subject) => {
    needs(subject, 'unknown')
    const { unknown } = subject
    const stranger = new ContractClient({ ...subject, headers: () => unknown })
    equal((await stranger.problem('info', { set: { [names.version]: null } })).status, 400, 'no version')
    equal((await stranger.problem('info', { set: { [names.version]: '2' } })).status, 426, 'another version')
  })
}

const manyCancels = JSON.stringify(Array.from({ length: 1001 }, (_, n) => [`c${n}`]))

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
      for (const other of ['/x', `/${epoch}x`, `/${epoch.slice(1)}`, `/${epoch}/x`, '/', ''])
        equal(
          await code({ [names.log]: `${log}${other}`, [names.author]: 'anna' }),
          { status: 409, code: 'other-epoch' },
          `/${path} for the epoch '${other}'`,
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
      equal(typeOf(response), 'application/json', `the type of a response with the status ${response.status}`)
      ok(/no-store/.test(response.headers.get('Cache-Control') ?? ''), 'a response that is not stored')
    }
  })

  add('every response has the type, the headers and the parts that it must have', async (subject) => {
    const anna = new ContractClient(subject)
    const log = await anna.log()
    const types = ['application/json', 'application/json', 'application/x-ndjson', 'text/event-stream']
    for (const [index, [path, init]] of requests.entries()) {
      const controller = new AbortController()
      const set = { ...json, [names.log]: log }
      const response = await anna.send(path, { ...init, set, signal: controller.signal })
      const seen = [names.version, names.log, names.author].map((name) => response.headers.get(name))
      equal([response.status, typeOf(response), ...seen], [200, types[index], '1', log, 'anna'], `that of /${path}`)
      ok(/no-store/.test(response.headers.get('Cache-Control') ?? ''), `a response of /${path} that is not stored`)
      controller.abort()
    }
    const { json: empty } = await anna.pushing({ commits: [] })
    equal(empty, { head: 0, answers: [] }, 'the response to an empty push')
    const problem = (await anna.pushing('{')).json
    equal([typeof problem['code'], typeof problem['message']], ['string', 'string'], 'the parts of a problem')
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

function sharing(add: AddServerCase): void {
  add('pages of an origin that the server allows may send and read the headers', async (subject) => {
    needs(subject, 'origin')
    const { origin } = subject
    const anna = new ContractClient(subject)
    const wanted = [names.version, names.log, names.author]
    const listed = (response: Response, name: string) =>
      (response.headers.get(name) ?? '').split(',').map((each) => each.trim().toLowerCase())
    const asked = [...wanted, 'Content-Type'].map((name) => name.toLowerCase())
    for (const method of ['GET', 'POST']) {
      const path = method === 'GET' ? 'info' : 'push'
      const response = await anna.send(path, {
        method: 'OPTIONS',
        set: {
          [names.version]: null,
          Origin: origin,
          'Access-Control-Request-Method': method,
          'Access-Control-Request-Headers': asked.join(','),
        },
      })
      ok(response.ok, `a status that allows it for OPTIONS /${path}, not ${response.status}`)
      ok([origin, '*'].includes(response.headers.get('Access-Control-Allow-Origin') ?? ''), 'the origin to be allowed')
      const allowed = listed(response, 'Access-Control-Allow-Headers')
      ok(allowed.includes('*') || asked.every((name) => allowed.includes(name)), 'the headers to be allowed')
      await response.body?.cancel()
    }
    for (const [path, status] of [
      ['info', 200],
      ['pull?after=7&chain=x', 409],
    ] as const) {
      const response = await anna.send(path, { set: { Origin: origin } })
      equal(response.status, status, `the status of /${path}`)
      ok([origin, '*'].includes(response.headers.get('Access-Control-Allow-Origin') ?? ''), 'the origin to be allowed')
      const exposed = listed(response, 'Access-Control-Expose-Headers')
      ok(
        wanted.every((name) => exposed.includes(name.toLowerCase())),
        'the headers to be readable',
      )
      await response.body?.cancel()
    }
  })
}

function dividing(add: AddServerCase): void {
  add('logs of one server know nothing of each other', async (subject) => {
    needs(subject, 'otherUrl')
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
