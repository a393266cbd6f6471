/** Text from anywhere, as lines. */
import { InvalidArgumentError, InvalidImportError } from '../errors.js'

/** What an import reads: a whole text, lines, or a stream of text or UTF-8 bytes cut anywhere. */
export type LineSource = string | Iterable<string> | AsyncIterable<string> | ReadableStream<string> | ReadableStream<Uint8Array>

/** A line that is longer is no line of an export: what has no line feeds must not be collected for ever. */
const longestLine = 128 * 1024 * 1024

/** The lines without their line feeds. Empty ones come too, so that lines can be counted. */
export async function* linesOf(source: LineSource): AsyncGenerator<string, void, undefined> {
  let pending = ''
  let number = 1
  for await (const chunk of chunksOf(source)) {
    let from = 0
    for (let end = chunk.indexOf('\n'); end !== -1; end = chunk.indexOf('\n', from)) {
      yield pending + chunk.slice(from, end)
      pending = ''
      number += 1
      from = end + 1
    }
    pending += chunk.slice(from)
    if (pending.length > longestLine) throw new InvalidImportError(number, `is longer than ${longestLine} characters.`)
  }
  if (pending !== '') yield pending
}

async function* chunksOf(source: LineSource): AsyncGenerator<string, void, undefined> {
  if (typeof source === 'string') yield source
  else if (typeof source === 'object' && source !== null && 'getReader' in source) yield* readAll(source)
  else if (typeof source === 'object' && source !== null && (Symbol.asyncIterator in source || Symbol.iterator in source)) {
    for await (const item of source) {
      if (typeof item !== 'string') throw new InvalidArgumentError('source', 'must yield lines of text.')
      yield item.endsWith('\n') ? item : `${item}\n`
    }
  } else throw new InvalidArgumentError('source', 'must be a string, lines of text, or a ReadableStream.')
}

/** Not every engine can iterate over a stream. Cancels it if the import ends early. */
async function* readAll(stream: ReadableStream<string> | ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const reader = (stream as ReadableStream<unknown>).getReader()
  let ended = false
  try {
    for (;;) {
      const { done, value } = await reader.read()
      ended = done
      if (done) break
      if (typeof value === 'string') yield value
      else if (value instanceof Uint8Array) yield decoder.decode(value, { stream: true })
      else throw new InvalidArgumentError('source', 'must be a stream of text or of bytes.')
    }
    const rest = decoder.decode()
    if (rest !== '') yield rest
  } finally {
    if (!ended) await reader.cancel().catch(() => {})
    reader.releaseLock()
  }
}
