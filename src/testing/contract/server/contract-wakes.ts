/** Hints that the log has grown. */
import { headers as names } from '../../../wire/protocol.js'
import { equal, ok } from '../assert.js'
import { needs, notTested } from '../contract-case.js'
import { ContractClient, commit, event, typeOf, type AddServerCase } from './contract-client.js'

const json = { 'Content-Type': 'application/json' }

/** The longest event of a stream, in UTF-16 code units. */
const longestHint = 65_536

export function wakeCases(add: AddServerCase): void {
  for (const part of [hinting, telling, restoring, tickets, sockets]) part(add)
}

function hinting(add: AddServerCase): void {
  add('wake: the head at the beginning and when it has moved, at most 20 times a second', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('x'))
    const begun = Date.now()
    const hints = await opened(anna, 'wake')
    equal((await hints.next()).value?.head, 1, 'the head at the beginning')
    let count = 1
    for (let n = 0; n < 20; n += 1) await anna.push(commit(`y${n}`))
    for await (const _ of hints.upTo(21)) count += 1
    ok(count <= (Date.now() - begun) / 50 + 2, 'at most 20 events a second')
    await hints.end()
  })

  add('wake: who asks for no events gets the head, and nothing else', async (subject) => {
    const anna = new ContractClient(subject)
    for (const [n, path] of ['wake', 'wake?events=0', 'wake?events=true', 'wake?events='].entries()) {
      const hints = await opened(anna, path)
      equal((await hints.next()).value, { head: n }, `the first hint of /${path}`)
      await anna.push(commit(`x${n}`))
      for await (const { head, ...more } of hints.upTo(n + 1)) equal(more, {}, `what /${path} says of ${head} too`)
      await hints.end()
    }
  })
}

function telling(add: AddServerCase): void {
  add(
    'wake: what comes with a hint, if it is asked for and the server has that, is as it is pulled',
    async (subject) => {
      const anna = new ContractClient(subject)
      await anna.push(commit('x'))
      const hints = await opened(anna, 'wake?events=1')
      // There is no hint before it, from which lines could begin.
      equal((await hints.next()).value, { head: 1 }, 'the first hint')
      let told = 0
      let before = 1
      for (const commits of [[commit('w')], [commit(['y', 'z']), commit('é')], [commit('v')]]) {
        await anna.push(...commits)
        const wanted = before + commits.flatMap(({ events }) => events).length
        for await (const hint of hints.upTo(wanted)) {
          if (hint.lines !== undefined) told += 1
          await checkHint(anna, hint, before)
          before = hint.head
        }
      }
      await hints.end()
      if (told === 0) notTested('The server sends no events with its hints, which it need not.')
    },
  )

  add('wake: a long page does not come with a hint', async (subject) => {
    const anna = new ContractClient(subject)
    const hints = await opened(anna, 'wake?events=1')
    equal((await hints.next()).value, { head: 0 }, 'the first hint')
    await anna.push({ events: [event('x', { data: 'x'.repeat(longestHint) })] })
    for await (const { head, ...more } of hints.upTo(1))
      equal(more, {}, `what a hint of a long event says beyond ${head}`)
    await anna.push(commit('y'))
    let before = 1
    for await (const hint of hints.upTo(2)) {
      await checkHint(anna, hint, before)
      before = hint.head
    }
    await hints.end()
  })
}

/** How long a hint may take here until it is not waited for, ms: a server may lose it. */
const patience = 1000

function restoring(add: AddServerCase): void {
  add('wake: after a restore no hint brings what was lost', async (subject) => {
    needs(subject, 'backup')
    const anna = new ContractClient(subject)
    await anna.push(commit('a'))
    const restore = await subject.backup()
    const hints = await opened(anna, 'wake?events=1')
    await anna.push(commit('b'), commit('c'))
    for await (const _ of hints.upTo(3));
    await restore()
    await anna.info()
    // The one that says the head of the backup, unless it is lost.
    let count = (await hintWithin(hints, patience)) === undefined ? 0 : 1
    for (const commits of [[commit('b', {}, 'other')], [commit('d'), commit('e')]]) {
      await anna.push(...commits)
      const { head } = await anna.info()
      for (let said = 0; said !== head;) {
        const hint = await hintWithin(hints, patience)
        // A server may end its streams, or lose a hint.
        if (hint === undefined) break
        count += 1
        said = hint.head
        const [header] = (hint.lines ?? []) as { after: number }[]
        if (header !== undefined) await checkHint(anna, hint, header.after)
      }
    }
    await hints.end()
    if (count === 0) notTested('No hint came after the restore: the stream has ended with the process of before.')
  })
}

async function hintWithin(hints: Awaited<ReturnType<typeof opened>>, ms: number): Promise<Hint | undefined> {
  let cancel = () => {}
  const late = new Promise<undefined>((resolve) => {
    const timer = setTimeout(() => resolve(undefined), ms)
    cancel = () => clearTimeout(timer)
  })
  const next = hints.next().then(
    ({ value }) => value ?? undefined,
    () => undefined,
  )
  return await Promise.race([next, late]).finally(cancel)
}

/** Compares what comes with a hint, if anything does, with what is pulled from there. */
async function checkHint(client: ContractClient, hint: Hint, before: number): Promise<void> {
  const { head, chain, lines, ...more } = hint
  equal([more, chain === undefined], [{}, lines === undefined], 'the members of a hint')
  if (lines === undefined) return
  const [header, ...events] = lines as Record<string, unknown>[]
  const cursor = events.pop()
  const { log, epoch } = await client.info()
  equal(header, { tidemark: 'export', format: 1, log, epoch, after: before, head }, 'the header of the lines')
  equal(cursor?.['scannedTo'], head, 'the position of their cursor')
  const page = await client.pull(before, String(chain))
  const count = head - before
  const wanted = page.events.slice(0, count)
  equal(
    events.filter((line) => !('scannedTo' in line)),
    wanted,
    'the events that come with a hint, and those that are pulled',
  )
  // A page that ends there has the same chain, and only a commit that ends there has one.
  await client.pull(head, String(cursor?.['chain']))
}

/** Asks for a ticket. Ends the case where the server has none. */
async function ticketOf(client: ContractClient): Promise<Record<string, unknown>> {
  const response = await askTicket(client)
  const ticket = (await response.json()) as Record<string, unknown>
  if (response.status === 404) notTested('The server offers no WebSockets, which it need not: /ticket is 404.')
  equal([response.status, typeOf(response)], [200, 'application/json'], 'status and type')
  ok(/no-store/.test(response.headers.get('Cache-Control') ?? ''), 'a response that is not stored')
  return ticket
}

const askTicket = (client: ContractClient, set: Record<string, string | null> = {}) =>
  client.send('ticket', { method: 'POST', body: '{}', set: { ...json, ...set } })

function tickets(add: AddServerCase): void {
  add('ticket: a secret for a session, another one each time; 404 where there are no WebSockets', async (subject) => {
    const anna = new ContractClient(subject)
    const { ticket, seconds } = await ticketOf(anna)
    ok(typeof ticket === 'string' && /^.{1,255}$/s.test(ticket), 'a ticket')
    ok(typeof seconds === 'number' && seconds > 0 && seconds <= 300, 'seconds')
    ok((await ticketOf(anna))['ticket'] !== ticket, 'another ticket')
    const other = await askTicket(anna, { [names.author]: 'bert' })
    equal(
      [other.status, await other.text().then((text) => text.includes('ticket":'))],
      [409, false],
      'of another author',
    )
    const unversioned = await askTicket(anna, { [names.version]: null })
    equal(unversioned.status, 400, 'the status without a version')
    await unversioned.text()
  })
}

function sockets(add: AddServerCase): void {
  add('ticket: opens one WebSocket, which says the head, and again when it has moved, and pong', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('x'))
    const { ticket } = await ticketOf(anna)
    const WebSocket = subject.WebSocket ?? (globalThis as Pick<typeof subject, 'WebSocket'>).WebSocket
    if (WebSocket === undefined)
      notTested('There is no WebSocket here, and the subject has none: Node has it from version 22 on.')
    const url = new URL(`${subject.url}/wake?ticket=${encodeURIComponent(String(ticket))}`)
    url.protocol = url.protocol.replace('http', 'ws')
    const socket = new WebSocket(url)
    try {
      const heard = messagesOf(socket)
      equal(JSON.parse(await heard.next()), { head: 1 }, 'the first message')
      socket.send('ping')
      equal(await heard.next(), 'pong', 'the reply to a ping')
      await anna.push(commit(['y', 'z']))
      let text
      do text = await heard.next()
      while (text === '{"head":1}')
      equal(JSON.parse(text), { head: 3 }, 'the message after a push')
      const second = new WebSocket(url)
      const outcome = await new Promise((resolve) => {
        for (const end of ['open', 'close', 'error'])
          second.addEventListener(end, () => resolve(end === 'open' ? 'open' : 'refused'), { once: true })
      })
      second.close()
      equal(outcome, 'refused', 'a second WebSocket with the same ticket')
    } finally {
      socket.close()
    }
  })
}

/** What a socket says, one after the other. */
function messagesOf(socket: Pick<WebSocket, 'addEventListener'>) {
  const texts: string[] = []
  let isOver = false
  let wake = () => {}
  socket.addEventListener('message', ({ data }) => {
    texts.push(String(data))
    wake()
  })
  for (const end of ['close', 'error'])
    socket.addEventListener(end, () => {
      isOver = true
      wake()
    })
  return {
    async next(): Promise<string> {
      while (texts.length === 0) {
        ok(!isOver, 'a WebSocket that does not end')
        await new Promise<void>((resolve) => (wake = resolve))
      }
      return texts.shift() as string
    },
  }
}

/** Opens a stream of hints, and checks what its response is. */
async function opened(client: ContractClient, path: string) {
  const response = await client.send(path, { set: { [names.log]: await client.log() } })
  equal([response.status, typeOf(response)], [200, 'text/event-stream'], `status and type of /${path}`)
  const reader = response.body?.getReader()
  ok(reader !== undefined, 'a body')
  const hints = hintsOf(reader)
  return {
    next: () => hints.next(),
    /** The hints up to the one with this head. Some may be double. */
    async *upTo(head: number): AsyncGenerator<Hint, void, undefined> {
      for (;;) {
        const { value } = await hints.next()
        ok(value !== undefined, 'a stream that does not end')
        yield value
        if (value.head === head) return
      }
    },
    /** Also while a hint is waited for. */
    end: () => reader.cancel().catch(() => {}),
  }
}

interface Hint {
  readonly head: number
  readonly chain?: unknown
  readonly lines?: readonly unknown[]
}

/** What a stream of events says. */
async function* hintsOf(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Hint, void, undefined> {
  const decoder = new TextDecoder()
  for (let text = ''; ;) {
    const end = text.indexOf('\n\n')
    if (end >= 0) {
      const [, data] = /^data: ?(.*)$/m.exec(text.slice(0, end)) ?? []
      text = text.slice(end + 2)
      if (data !== undefined) yield JSON.parse(data) as Hint
      continue
    }
    const { done, value } = await reader.read()
    if (done) return
    text += decoder.decode(value, { stream: true })
  }
}
