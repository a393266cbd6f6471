// The contract of a server notices what is wrong with one: each defect here fails the case that is about it.
import { memoryLogStore, serverLog, syncHandler, type MemoryLogStore, type ServerLog } from 'tidemark/server'
import { serverContract, type ServerSubject } from 'tidemark/testing'
import { expect, test } from 'vitest'
import type { PushBody } from '../../../src/wire/protocol.js'

type Handler = (request: Request) => Promise<Response>

interface Broken {
  /** A part of the name of the case that notices it. */
  readonly case: string
  readonly log?: (log: ServerLog) => ServerLog
  readonly handler?: (handle: Handler) => Handler
  readonly subject?: Partial<ServerSubject>
}

/** Logs in memory, by the part of the path that names them. */
function subjectOf({ log = (each) => each, handler = (each) => each, subject = {} }: Omit<Broken, 'case'>) {
  const stores = new Map<string, MemoryLogStore>()
  const logs = new Map<string, ServerLog>()
  const logOf = (name: string) => {
    const store = stores.get(name) ?? memoryLogStore({ log: name.slice(0, 3) })
    const found = logs.get(name) ?? log(serverLog(store))
    stores.set(name, store)
    logs.set(name, found)
    return found
  }
  const handle = handler(
    syncHandler({
      origins: ['https://shop.example'],
      onError: () => {},
      open(request) {
        const user = request.headers.get('X-User')
        if (user === null) return Response.json({ code: 'unauthorized', message: 'Who are you?' }, { status: 401 })
        return { log: logOf(new URL(request.url).pathname.split('/')[1]!), author: decodeURIComponent(user) }
      },
    }),
  )
  return (): Promise<ServerSubject> =>
    Promise.resolve({
      url: 'http://localhost/one',
      otherUrl: 'http://localhost/two',
      anotherUrl: 'http://localhost/one',
      headers: (author) => ({ 'X-User': encodeURIComponent(author) }),
      unknown: {},
      origin: 'https://shop.example',
      fetch: (input, init) => handle(new Request(input, init)),
      dispose: () => Promise.resolve(),
      backup: () => {
        const store = stores.get('one')!
        const backup = store.snapshot()
        return Promise.resolve(async () => store.restore(backup))
      },
      ...subject,
    })
}

const nameOf = (request: Request) => new URL(request.url).pathname.split('/').at(-1)

/** Changes the requests of one path. */
const asking =
  (path: string, change: (request: Request) => Request | Response | Promise<Request | Response>) =>
  (handle: Handler): Handler =>
  async (request) => {
    const changed = nameOf(request) === path ? await change(request) : request
    return changed instanceof Response ? changed : handle(changed)
  }

/** Changes the body of a push, as text and as it was read. */
const pushing = (change: (text: string) => string) =>
  asking('push', async (request) => new Request(request, { body: change(await request.text()), method: 'POST' }))
const pushed =
  (change: (body: PushBody) => PushBody) =>
  (log: ServerLog): ServerLog => ({ ...log, push: (body, session) => log.push(change(body as PushBody), session) })

const withUrl = (request: Request, change: (url: URL) => void) => {
  const url = new URL(request.url)
  change(url)
  return new Request(url, request)
}

const withHeader = (request: Request, name: string, change: (value: string) => string | null) => {
  const headers = new Headers(request.headers)
  const value = headers.get(name)
  const changed = value === null ? null : change(value)
  if (changed === null) headers.delete(name)
  else headers.set(name, changed)
  return new Request(request, { headers })
}

/** Changes responses of one path, or of all. */
const replying =
  (path: string | undefined, change: (response: Response, request: Request) => Response | Promise<Response>) =>
  (handle: Handler): Handler =>
  async (request) => {
    const response = await handle(request)
    return path === undefined || nameOf(request) === path ? await change(response, request) : response
  }

const withoutHeader = (response: Response, name: string) => {
  const headers = new Headers(response.headers)
  headers.delete(name)
  return new Response(response.body, { status: response.status, headers })
}

/** Changes each hint of a stream. */
const hinting = (change: (hint: Record<string, unknown>, index: number) => object) =>
  replying('wake', (response) => {
    let index = 0
    const body = response
      .body!.pipeThrough(new TextDecoderStream())
      .pipeThrough(
        new TransformStream<string, string>({
          transform(text, controller) {
            controller.enqueue(
              text.replace(/^data: (.*)$/m, (_, hint: string) => {
                index += 1
                return `data: ${JSON.stringify(change(JSON.parse(hint) as Record<string, unknown>, index - 1))}`
              }),
            )
          },
        }),
      )
      .pipeThrough(new TextEncoderStream())
    return new Response(body, response)
  })

const problem = (status: number, code: string, like: Response) =>
  new Response(JSON.stringify({ code, message: 'No.' }), { status, headers: like.headers })

/** Checks something before all else. */
const checkingFirst =
  (name: string | undefined, check: (request: Request) => readonly [status: number, code: string] | undefined) =>
  (handle: Handler): Handler =>
  async (request) => {
    const found = name === undefined || nameOf(request) === name ? check(request) : undefined
    return found ? problem(...found, await handle(request)) : handle(request)
  }

const limit = 4_194_304

/** A commit that no log has. */
const moved = { events: [{ stream: 'moved', type: 'A', id: 'moved', time: 1, data: null }] }

const broken: Readonly<Record<string, Broken>> = {
  'a body of any size is read': { case: '413: a body with too many bytes', handler: pushing((text) => text.trimEnd()) },
  'what is too large is stored, and refused': {
    case: '413: a body with too many bytes',
    handler: (handle) => async (request) => {
      if (nameOf(request) !== 'push') return handle(request)
      const text = await request.text()
      const response = await handle(new Request(request, { body: text.trimEnd(), method: 'POST' }))
      return text.length > limit ? problem(413, 'too-large', response) : response
    },
  },
  'any number of cancels': {
    case: '413: a body with too many bytes',
    log: pushed((body) => (body.cancel ? { ...body, cancel: body.cancel.slice(0, 1000) } : body)),
  },
  'few commits of a push are looked at': {
    case: 'of a long push at least 1,000 commits',
    log: pushed((body) => ({ ...body, commits: body.commits.slice(0, 900) })),
  },
  'commits of a push are stored without a verdict': {
    case: 'of a long push at least 1,000 commits',
    log: (log) => ({
      ...log,
      async push(body, session) {
        const { commits } = body as PushBody
        const reply = await log.push(body, session)
        if (commits.length > 1000) await log.push({ commits: commits.slice(1000) }, session)
        return reply
      },
    }),
  },
  'the cancels of a long push are left out': {
    case: 'of a long push at least 1,000 commits',
    log: pushed(({ cancel = [], ...body }) => (body.commits.length > 1000 ? body : { ...body, cancel })),
  },
  'members that are null are as if they were not there': {
    case: '422: what is no push',
    log: pushed(
      (body) =>
        JSON.parse(
          JSON.stringify(body)
            .replaceAll(/"(requires|healed|at)":null,?/g, '')
            .replaceAll(',}', '}'),
        ) as PushBody,
    ),
  },
  'the type of a body is checked first': {
    case: 'of several checks that a request does not pass',
    handler: checkingFirst('push', (request) =>
      request.headers.get('Content-Type') === 'application/json' ? undefined : [415, 'wrong-type'],
    ),
  },
  'the author is checked first': {
    case: 'of several checks that a request does not pass',
    handler: checkingFirst('push', (request) =>
      ['anna', null].includes(request.headers.get('Tidemark-Author')) ? undefined : [409, 'other-author'],
    ),
  },
  'the version is checked before the path': {
    case: 'of several checks that a request does not pass',
    handler: checkingFirst(undefined, (request) =>
      request.headers.has('Tidemark-Sync') || request.method === 'OPTIONS' ? undefined : [400, 'bad-request'],
    ),
  },
  'the session is checked before the version': {
    case: 'the version is checked before the session',
    handler: checkingFirst('info', (request) => (request.headers.has('X-User') ? undefined : [401, 'unauthorized'])),
  },
  'any text behind the log is its epoch': {
    case: 'another log, author and epoch',
    handler: asking('pull', (request) =>
      withHeader(request, 'Tidemark-Log', (value) => (/^[^/]+\/?$/.test(value) ? null : value)),
    ),
  },
  'more may follow the epoch': {
    case: 'another log, author and epoch',
    handler: asking('push', (request) => withHeader(request, 'Tidemark-Log', (value) => value.replace(/\/x$/, ''))),
  },
  'an author that cannot be decoded is a failure': {
    case: 'an author that is not percent-encoded',
    handler: checkingFirst(undefined, (request) =>
      /%(?![0-9A-F]{2})/.test(request.headers.get('Tidemark-Author') ?? '') ? [503, 'unavailable'] : undefined,
    ),
  },
  'a problem is text': {
    case: 'a problem has the headers of every response',
    handler: replying(undefined, (response) => {
      if (response.status >= 400) response.headers.set('Content-Type', 'text/plain')
      return response
    }),
  },
  'pages may be stored on the way': {
    case: 'every response has the type',
    handler: replying('pull', (response) => withoutHeader(response, 'Cache-Control')),
  },
  'the author is not told with hints': {
    case: 'every response has the type',
    handler: replying('wake', (response) => withoutHeader(response, 'Tidemark-Author')),
  },
  'a push says the number of its verdicts': {
    case: 'every response has the type',
    handler: replying('push', async (response) =>
      response.ok ? new Response((await response.text()).replace('}', ',"count":0}'), response) : response,
    ),
  },
  'pages of other origins may not read the headers': {
    case: 'pages of an origin',
    handler: replying(undefined, (response) => withoutHeader(response, 'Access-Control-Expose-Headers')),
  },
  'pages of other origins may not send headers': {
    case: 'pages of an origin',
    handler: replying(undefined, (response) => withoutHeader(response, 'Access-Control-Allow-Headers')),
  },
  'true is 1': {
    case: 'rule 1: values of different types',
    log: pushed((body) => JSON.parse(JSON.stringify(body).replaceAll('[true]', '[1]')) as PushBody),
  },
  'numbers are compared by their digits': {
    case: 'rule 1: values of different types',
    handler: pushing((text) => text.replace(/\[9007\d+,.*?\]/, (digits) => JSON.stringify([digits]))),
  },
  'texts are normalised': {
    case: 'rule 1: values of different types',
    log: pushed((body) => JSON.parse(JSON.stringify(body).normalize()) as PushBody),
  },
  'pages are longer than they may be': {
    case: 'pull: pages follow each other',
    log: (log) => ({ ...log, pull: (page) => log.pull({ ...page, limit: (page.limit ?? 100) + 2 }) }),
  },
  'any number is a position': {
    case: 'pull: parameters that make no sense',
    handler: asking('pull', (request) =>
      withUrl(request, ({ searchParams }) => {
        for (const [name, value] of searchParams)
          if (Number(value) > 2 ** 53 - 1) searchParams.set(name, `${2 ** 53 - 1}`)
      }),
    ),
  },
  'positions have signs': {
    case: 'pull: parameters that make no sense',
    handler: asking('pull', (request) =>
      withUrl(request, ({ searchParams }) => {
        for (const [name, value] of searchParams) searchParams.set(name, value.trim().replace(/^\+/, ''))
      }),
    ),
  },
  'other parameters are refused': {
    case: 'pull: other parameters',
    handler: checkingFirst('pull', (request) =>
      new URL(request.url).searchParams.has('other') ? [400, 'bad-request'] : undefined,
    ),
  },
  'lines end as on Windows': {
    case: 'pull: an empty log',
    handler: replying('pull', async (response) =>
      response.ok ? new Response((await response.text()).replaceAll('\n', '\r\n'), response) : response,
    ),
  },
  'processes know nothing of each other': {
    case: 'what one process has stored',
    subject: { anotherUrl: 'http://localhost/onewise' },
  },
  'events come with every hint': {
    case: 'wake: who asks for no events',
    handler: asking('wake', (request) => withUrl(request, ({ searchParams }) => searchParams.set('events', '1'))),
  },
  'events come if the parameter is there': {
    case: 'wake: who asks for no events',
    handler: asking('wake', (request) =>
      withUrl(request, ({ searchParams }) => searchParams.has('events') && searchParams.set('events', '1')),
    ),
  },
  'a page comes with the first hint': {
    case: 'wake: what comes with a hint',
    handler: hinting((hint, index) => (index === 0 ? { ...hint, chain: '0'.repeat(32), lines: [] } : hint)),
  },
  'lines come without their chain': {
    case: 'wake: what comes with a hint',
    handler: hinting(({ chain: _, ...hint }) => hint),
  },
  'lines have the chain where they end': {
    case: 'wake: what comes with a hint',
    handler: hinting((hint) => ({ ...hint, ...(hint['lines'] ? { chain: cursorOf(hint)['chain'] } : {}) })),
  },
  'lines reach beyond the head of their hint': {
    case: 'wake: what comes with a hint',
    handler: hinting((hint) => ({ ...hint, head: hint['lines'] ? (hint['head'] as number) - 1 : hint['head'] })),
  },
  'an event is left out of the lines': {
    case: 'wake: what comes with a hint',
    handler: hinting((hint) => {
      const lines = hint['lines'] as object[] | undefined
      return lines && lines.length > 3 ? { ...hint, lines: lines.toSpliced(1, 1) } : hint
    }),
  },
  'lines end without a cursor': {
    case: 'wake: what comes with a hint',
    handler: hinting((hint) => ({
      ...hint,
      ...(hint['lines'] ? { lines: (hint['lines'] as object[]).slice(0, -1) } : {}),
    })),
  },
  'hints bring what was lost': {
    case: 'wake: after a restore',
    log: (log) => {
      const tails = new Map<number, ReturnType<NonNullable<ServerLog['tail']>>>()
      return {
        ...log,
        tail(after) {
          const tail = tails.get(after) ?? log.tail!(after)
          tails.set(after, tail)
          return tail
        },
      }
    },
  },
  'cancels of a request that is refused are kept': {
    case: 'at: if the log has moved',
    log: (log) => ({
      ...log,
      async push(body, session) {
        const { cancel = [] } = body as PushBody
        await log.push({ commits: [], cancel }, session)
        return log.push(body, session)
      },
    }),
  },
  'a position is compared although nothing is stored': {
    case: 'at: if the log has moved',
    log: (log) => ({
      ...log,
      async push(body, session) {
        const { at } = body as PushBody
        const { head } = await log.info()
        return log.push(
          at === undefined
            ? body
            : {
                ...(body as PushBody),
                commits: at === head ? (body as PushBody).commits : [...(body as PushBody).commits, moved],
              },
          session,
        )
      },
    }),
  },
  'what is cancelled in a body that is too large stays so': {
    case: '413: a body with too many bytes',
    log: (log) => ({
      ...log,
      async push(body, session) {
        const { cancel = [] } = body as PushBody
        if (cancel.length > 1000) await log.push({ commits: [], cancel: cancel.slice(-1) }, session)
        return log.push(body, session)
      },
    }),
  },
  'hints bring pages of any length': {
    case: 'wake: a long page',
    log: (log) => ({
      ...log,
      async tail(after) {
        const { head } = await log.info()
        const chainAt = async (position: number) => {
          let text = ''
          for await (const part of await log.pull({ after: 0, limit: position })) text += part
          return (JSON.parse(text.trimEnd().split('\n').at(-1)!) as { chain: string }).chain
        }
        const chain = after === 0 ? '0'.repeat(32) : await chainAt(after)
        let text = ''
        for await (const part of await log.pull({ after, chain })) text += part
        return { head, chain, lines: text.trimEnd().split('\n') }
      },
    }),
  },
}

const cursorOf = ({ lines }: Record<string, unknown>) => (lines as Record<string, unknown>[]).at(-1)!

/** The case, run on a server. Its end is `undefined`, or what it rejects with. */
async function outcomeOf(name: string, of: Omit<Broken, 'case'>): Promise<unknown> {
  const found = serverContract(subjectOf(of)).filter((each) => each.name.startsWith(name))
  expect(found.length, `cases that begin with '${name}'`).toBe(1)
  return await found[0]!.run({ skip: (reason: string) => expect.unreachable(reason) }).then(
    () => undefined,
    (error: unknown) => error,
  )
}

test.each(Object.keys(broken))('a server is broken where %s', async (what) => {
  expect(await outcomeOf(broken[what]!.case, broken[what]!)).toMatchObject({
    message: expect.stringContaining('Expected'),
  })
})

test.each([...new Set(Object.values(broken).map((each) => each.case))])('a sound server passes: %s', async (name) => {
  expect(await outcomeOf(name, {})).toBeUndefined()
})
