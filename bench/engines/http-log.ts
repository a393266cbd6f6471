/** One log over HTTP, by little code, so that thousands of devices fit into a process. It trusts the server. */
import { request, Agent, type IncomingMessage } from 'node:http'
import type { WireCommit } from 'tidemark/server'
import { RawSocket } from '../../test/support/workerd/raw-socket.js'
import { assertAccepted } from './workload.js'

/** Connections that many devices share. Those of hints are one for each device. */
export const sharedAgent = (connections: number) =>
  new Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections })

export interface Pulled {
  readonly events: readonly { readonly position: number; readonly commit: number; readonly id: string }[]
  readonly scannedTo: number
  readonly chain: string
}

/** A page that came with a hint. */
export interface Told extends Pulled {
  readonly after: number
}

type OnHint = (head: number, page?: Told) => void

function readLines(lines: readonly string[], after: number, chain: string): Told {
  let cursor = { scannedTo: after, chain }
  const events: Pulled['events'][number][] = []
  for (const line of lines) {
    if (line.startsWith('{"position"')) events.push(JSON.parse(line) as Pulled['events'][number])
    else if (line.startsWith('{"scannedTo"')) cursor = JSON.parse(line) as typeof cursor
  }
  return { after, events, ...cursor }
}

/** As one event of the stream. */
function readHint(text: string, onHint: OnHint): void {
  if (!text.startsWith('data: ')) return
  const { head, chain, lines } = JSON.parse(text.slice(6)) as { head: number; chain?: string; lines?: object[] }
  if (lines === undefined) return onHint(head)
  const [{ after }, ...rest] = lines as [{ after: number }, ...object[]]
  onHint(
    head,
    readLines(
      rest.map((line) => JSON.stringify(line)),
      after,
      chain ?? '',
    ),
  )
}

export class HttpLog {
  readonly url: string
  readonly #agent: Agent
  readonly #headers: Record<string, string>

  constructor(url: string, agent: Agent, user = 'anna') {
    this.url = url
    this.#agent = agent
    this.#headers = { 'Tidemark-Sync': '1', 'X-User': user }
  }

  /** Finds out which log it is, which each push has to say. */
  async identify(): Promise<number> {
    const { log, epoch, head } = JSON.parse(await this.ask('GET', 'info')) as {
      log: string
      epoch: string
      head: number
    }
    this.#headers['Tidemark-Log'] = `${log}/${epoch}`
    return head
  }

  /** Returns the positions of the commits. */
  async push(
    commits: readonly WireCommit[],
  ): Promise<{ readonly head: number; readonly positions: readonly number[] }> {
    const reply = JSON.parse(await this.ask('POST', 'push', JSON.stringify({ commits }))) as {
      head: number
      answers: { accepted: number }[]
    }
    assertAccepted(reply, commits.length)
    return { head: reply.head, positions: reply.answers.map(({ accepted }) => accepted) }
  }

  async pull(after: number, chain: string): Promise<Pulled> {
    const text = await this.ask('GET', `pull?after=${after}${chain === '' ? '' : `&chain=${chain}`}`)
    return readLines(text.split('\n'), after, chain)
  }

  /** Resolves when the first hint is there. */
  async wake(kind: 'events' | 'websocket', onHint: OnHint): Promise<() => void> {
    return kind === 'events' ? this.#stream(onHint) : this.#socket(onHint)
  }

  #stream(onHint: OnHint): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const asked = request(`${this.url}/wake?events=1`, { headers: this.#headers, agent: false }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`wake: ${response.statusCode}`))
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          const events = (text + part).split('\n\n')
          text = events.pop() ?? ''
          for (const event of events) readHint(event, onHint)
          resolve(() => asked.destroy())
        })
        response.on('error', () => {})
      })
      asked.on('error', reject)
      asked.end()
    })
  }

  async #socket(onHint: OnHint): Promise<() => void> {
    const { ticket } = JSON.parse(await this.ask('POST', 'ticket', '{}')) as { ticket: string }
    const socket = new RawSocket(`${this.url}/wake?ticket=${ticket}`)
    let isOpen = false
    socket.addEventListener('message', (event) => {
      onHint((JSON.parse((event as MessageEvent<string>).data) as { head: number }).head)
      // They are of no more use, and thousands of sockets get many.
      if (isOpen) socket.texts.length = 0
    })
    await socket.heard((texts) => texts.length > 0)
    isOpen = true
    return () => socket.close()
  }

  ask(method: string, path: string, body?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers = {
        ...this.#headers,
        ...(body !== undefined && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }),
      }
      const asked = request(
        `${this.url}/${path}`,
        { method, headers, agent: this.#agent },
        (response: IncomingMessage) => {
          let text = ''
          response.setEncoding('utf8')
          response.on('data', (part: string) => (text += part))
          response.on('error', reject)
          response.on('end', () => {
            if (response.statusCode === 200 && response.complete) resolve(text)
            else reject(new Error(`${method} ${path}: ${response.statusCode} ${text.slice(0, 300)}`))
          })
        },
      )
      asked.on('error', reject)
      asked.end(body)
    })
  }
}
