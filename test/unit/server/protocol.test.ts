// The examples of docs/protocol.md, sent to the server one after the other.
import { readFileSync } from 'node:fs'
import { memoryLogStore, serverLog, syncHandler } from 'tidemark/server'
import { expect, test } from 'vitest'

const page = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8')
const blocks = [...page.matchAll(/^```http\n(.*?)^```$/gms)].map(([, text]) => text as string)

test('the examples of the protocol are what the server does', async () => {
  expect(blocks.length).toBeGreaterThanOrEqual(12)
  const store = memoryLogStore({ log: 'shop' })
  const { epoch } = await store.identity()
  const log = serverLog(store)
  const serve = syncHandler({
    open: (request) => ({ log, author: request.headers.get('Authorization')!.replace('Bearer ', '') }),
  })
  for (let n = 0; n < blocks.length; n += 2) {
    const response = await serve(requestOf(blocks[n]!.replaceAll('EPOCH', epoch)))
    const wanted = blocks[n + 1]!.split('\n\n')
    const [status, ...headers] = wanted[0]!.split('\n')
    const text = (value: string) => value.replaceAll('EPOCH', epoch)
    expect(`HTTP/1.1 ${response.status}`).toBe(status)
    expect(sorted([...response.headers].map(([name, value]) => `${name}: ${value}`))).toEqual(
      sorted(headers.map((header) => text(header).replace(/^[^:]+/, (name) => name.toLowerCase()))),
    )
    const body = wanted.slice(1).join('\n\n').trim()
    expect((await bodyOf(response)).trim()).toBe(text(body))
  }

  // The chain of the example, computed as the page says.
  const lines = blocks.flatMap((block) => block.split('\n').filter((line) => line.startsWith('{"position"')))
  const bytes = new TextEncoder().encode(['0'.repeat(32), ...lines].join('\n'))
  const digest = Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex')
  expect(lines.length).toBe(2)
  expect(await store.chainAt(2)).toBe(digest.slice(0, 32))
  expect(page.split(digest.slice(0, 32)).length - 1).toBeGreaterThanOrEqual(3)

  // The hint with one event, behind the examples.
  const [, hint] = /^```\n(data: .*?)\n```$/ms.exec(page)!
  const wake = requestOf(blocks.find((block) => block.startsWith('GET /logs/shop/wake'))!.replaceAll('EPOCH', epoch))
  const stream = await serve(new Request(`${wake.url}?events=1`, wake))
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader()
  expect((await reader.read()).value).toBe('data: {"head":2}\n\n')
  const [, event = ''] = /"position":3,"commit":3,(.*?)\},\{"scannedTo"/.exec(hint!)!
  const pushed = JSON.parse(`{${event.replace('"version":1,', '')}}`) as object
  await log.push({ commits: [{ events: [pushed] }] }, { author: 'anna' })
  expect((await reader.read()).value).toBe(`${hint!.replaceAll('EPOCH', epoch)}\n\n`)
  await reader.cancel()
})

const sorted = (lines: string[]) => lines.toSorted()

function requestOf(text: string): Request {
  const [head = '', body] = text.trim().split('\n\n')
  const [first = '', ...headers] = head.split('\n')
  const [method = '', path = ''] = first.split(' ')
  return new Request(new URL(path, 'http://localhost'), {
    method,
    headers: headers.map((line) => line.split(': ') as [string, string]),
    ...(body !== undefined && { body }),
  })
}

/** All of it, or the first part of a stream that does not end. */
async function bodyOf(response: Response): Promise<string> {
  if (response.headers.get('Content-Type') !== 'text/event-stream') return await response.text()
  const reader = response.body!.getReader()
  const { value } = await reader.read()
  await reader.cancel()
  return new TextDecoder().decode(value)
}
