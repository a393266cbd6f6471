/** What the cases of the server contract send, and how they read what comes back. */
import {
  headers as names,
  type CommitAnswer,
  type LogInfo,
  type WireCommit,
  type WireEvent,
} from '../../../wire/protocol.js'
import { equal, ok } from '../assert.js'

/** A server to be tested, with an empty log. */
export interface ServerSubject {
  /** The base URL of a log that is empty at first. */
  readonly url: string
  /** The base URL of another empty log of the same server. Without it the cases about that are skipped. */
  readonly otherUrl?: string
  /** The same log by way of another process. Without it the case about that is skipped, and the others use `url`. */
  readonly anotherUrl?: string
  /** Headers that make a request one of this author. The cases use several, one of which is not ASCII, and `''`. */
  headers(author: string): Readonly<Record<string, string>>
  /** Headers that the server does not accept from anyone. Without it the case about that is skipped. */
  readonly unknown?: Readonly<Record<string, string>>
  /** An event type of which the owner refuses each commit. Without it the cases about that are skipped. */
  readonly refusedType?: string
  /** An origin whose pages may use the server, such as `'https://shop.example'`. Without it the case about that is skipped. */
  readonly origin?: string
  /** @default that of this context */
  readonly fetch?: typeof globalThis.fetch
  /** @default that of this context, if it has one */
  readonly WebSocket?: new (url: URL) => Pick<WebSocket, 'addEventListener' | 'send' | 'close'>
  /** Ends the server's process and starts it again. Without it the cases about that are skipped. */
  restart?(): Promise<void>
  /**
   * Takes a backup; what it resolves with starts the server from that backup. Without it the cases about that are
   * skipped.
   */
  backup?(): Promise<() => Promise<void>>
  /** Ends everything and removes the log. */
  dispose(): Promise<void>
}

/** Adds a case; it has a server of its own. */
export type AddServerCase = (name: string, check: (subject: ServerSubject) => Promise<void>) => void

/** A page of the log, apart into its lines. */
export interface PulledText {
  readonly header: Record<string, unknown>
  readonly events: readonly Record<string, unknown>[]
  /** The last cursor. */
  readonly scannedTo: number
  readonly chain: string
}

/** An event with defaults for what a case does not care about. */
export const event = (id: string, more: Partial<WireEvent> = {}): WireEvent => ({
  stream: 's',
  type: 'A',
  id,
  time: 1,
  data: { id },
  ...more,
})

/** A commit of events with these ids in one stream. */
export const commit = (ids: string | readonly string[], more: Partial<WireCommit> = {}, stream = 's'): WireCommit => ({
  events: [ids].flat().map((id) => event(id, { stream })),
  ...more,
})

/** What is wrong with a request. */
export interface Problem {
  readonly status: number
  readonly code: unknown
}

/** One author's view of a server. */
export class ContractClient {
  readonly author: string
  readonly #subject: ServerSubject
  readonly #url: string
  #log: string | undefined

  constructor(subject: ServerSubject, author = 'anna', url = subject.url) {
    this.#subject = subject
    this.author = author
    this.#url = url
  }

  /** Sends a request with the headers of every request, and those given, without those given as `null`. */
  async send(
    path: string,
    init: RequestInit & { readonly set?: Record<string, string | null> } = {},
  ): Promise<Response> {
    const { set = {}, ...rest } = init
    const headers = new Headers({ ...this.#subject.headers(this.author), [names.version]: '1' })
    for (const [name, value] of Object.entries(set)) {
      if (value === null) headers.delete(name)
      else headers.set(name, value)
    }
    const fetch = this.#subject.fetch ?? globalThis.fetch.bind(globalThis)
    return await fetch(`${this.#url}/${path}`, { ...rest, headers, redirect: 'error' })
  }

  async info(): Promise<LogInfo> {
    const response = await this.send('info')
    equal(response.status, 200, 'the status of /info')
    const info = (await response.json()) as LogInfo
    this.#log = `${info.log}/${info.epoch}`
    return info
  }

  /** As this device knows log and epoch, from its last `info()`. */
  async log(): Promise<string> {
    if (this.#log === undefined) await this.info()
    return this.#log as string
  }

  /** Sends a push as text, or as what becomes JSON. */
  async pushing(
    body: unknown,
    set: Record<string, string | null> = {},
  ): Promise<{ readonly response: Response; readonly json: Record<string, unknown> }> {
    const all = { [names.log]: await this.log(), 'Content-Type': 'application/json', ...set }
    const response = await this.send('push', {
      method: 'POST',
      set: all,
      body: typeof body === 'string' || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body),
    })
    return { response, json: (await response.json()) as Record<string, unknown> }
  }

  /** What became of these commits. */
  async push(...commits: readonly WireCommit[]): Promise<CommitAnswer[]> {
    return await this.pushAll({ commits })
  }

  async pushAll(body: unknown): Promise<CommitAnswer[]> {
    const { response, json } = await this.pushing(body)
    ok(response.status === 200, `a push to have the status 200, not ${response.status} ${JSON.stringify(json)}`)
    return json.answers as CommitAnswer[]
  }

  /** What became of one commit. */
  async pushOne(one: WireCommit): Promise<CommitAnswer> {
    const [answer] = await this.push(one)
    ok(answer !== undefined, 'an answer')
    return answer
  }

  async cancel(...ids: readonly string[]): Promise<CommitAnswer> {
    const [answer] = await this.pushAll({ commits: [], cancel: [ids] })
    ok(answer !== undefined, 'an answer')
    return answer
  }

  /** Status and code of a push that is refused as a whole. */
  async refusedPush(body: unknown, set: Record<string, string | null> = {}): Promise<Problem> {
    const { response, json } = await this.pushing(body, set)
    return { status: response.status, code: json['code'] }
  }

  async problem(path: string, init: Parameters<ContractClient['send']>[1] = {}): Promise<Problem> {
    const response = await this.send(path, init)
    const text = await response.text()
    return { status: response.status, code: text === '' ? undefined : problemIn(text).code }
  }

  /** Checks the form of a page, and that its lines follow each other. */
  async pull(after = 0, chain?: string, limit?: number): Promise<PulledText> {
    const query = `after=${after}${chain === undefined ? '' : `&chain=${chain}`}${limit === undefined ? '' : `&limit=${limit}`}`
    const response = await this.send(`pull?${query}`)
    equal(response.status, 200, 'the status of /pull')
    equal(typeOf(response), 'application/x-ndjson', 'the type of a page')
    const text = await response.text()
    ok(text.endsWith('\n') && !text.includes('\r'), 'each line to end with a line feed, and nothing else')
    const [header, ...lines] = text
      .slice(0, -1)
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    ok(header !== undefined && lines.length > 0, 'a header and a cursor')
    return readPage(header, lines, after)
  }

  /** The events of the log, by as many pages as it takes. */
  async all(limit?: number): Promise<PulledText['events']> {
    const events: Record<string, unknown>[] = []
    let [after, chain] = [0, undefined as string | undefined]
    for (;;) {
      const page = await this.pull(after, chain, limit)
      events.push(...page.events)
      if (page.scannedTo === page.header['head']) return events
      ok(page.scannedTo > after, 'a page to have at least one commit')
      ;[after, chain] = [page.scannedTo, page.chain]
    }
  }

  /** The ids of the log, in order. */
  async ids(): Promise<unknown[]> {
    return (await this.all()).map(({ id }) => id)
  }
}

function problemIn(text: string): Problem {
  try {
    return JSON.parse(text) as Problem
  } catch {
    throw new Error(`Expected a problem as JSON, not ${text.slice(0, 200)}`)
  }
}

function readPage(
  header: Record<string, unknown>,
  lines: readonly Record<string, unknown>[],
  after: number,
): PulledText {
  equal([header['tidemark'], header['format'], header['after']], ['export', 1, after], 'the header of a page')
  const events: Record<string, unknown>[] = []
  let cursor: { scannedTo: number; chain: string } | undefined
  let open: unknown
  for (const line of lines) {
    const position = after + events.length
    if ('scannedTo' in line) {
      equal(line['scannedTo'], position, 'the position of a cursor')
      ok(/^[\w.-]{1,100}$/.test(String(line['chain'])), 'a chain')
      cursor = line as unknown as { scannedTo: number; chain: string }
      open = undefined
      continue
    }
    equal(line['position'], position + 1, 'the position of a line')
    ok(line['commit'] === position + 1 || line['commit'] === open, 'a line to belong to its commit or to begin one')
    open = line['commit']
    events.push(line)
  }
  ok(cursor !== undefined && cursor.scannedTo === after + events.length, 'a page to end with a cursor')
  ok(cursor.scannedTo <= (header['head'] as number), 'no event above the head')
  return { header, events, ...cursor }
}

/** The type of a body, without its parameters. */
export const typeOf = (response: Response): string =>
  (response.headers.get('Content-Type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''

/** Says whether it is this kind of verdict, and what it is. */
export function verdictOf(answer: CommitAnswer | undefined): string {
  if (answer === undefined) return 'none'
  if ('accepted' in answer) return 'accepted'
  if ('refused' in answer) return answer.refused.code
  return 'conflict' in answer ? 'conflict' : 'blocked' in answer ? 'blocked' : 'behind'
}
