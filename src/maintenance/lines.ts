/** Text from any source, as lines. */
import { InvalidArgumentError, InvalidImportError, messageOf } from '../errors.js'
import { say } from '../messages.js'
import { abortable } from '../platform/promises.js'
import { isObject } from '../platform/objects.js'

/**
 * What an import reads: a whole text or file, its bytes, a list of lines, or a stream of text or UTF-8 bytes cut
 * anywhere. A byte-order mark at the beginning, Windows line ends and a last line without a line feed are accepted.
 */
export type LineSource =
  | string
  | Blob
  | Uint8Array
  | Iterable<string>
  | AsyncIterable<string>
  | AsyncIterable<Uint8Array>
  | ReadableStream<string>
  | ReadableStream<Uint8Array>

/** A longer line is not a line of an export. The limit ends sources without line feeds. */
const longestLine = 128 * 1024 * 1024

const lineFeed = 10

/** Where the pieces of a source come from. */
interface Pieces {
  next(): IteratorResult<unknown> | Promise<IteratorResult<unknown>>
  /** Closes the source, which may not have been read to its end. */
  close?(early: boolean): unknown
  /** Each text consists of whole lines. */
  readonly areLines?: boolean
}

/**
 * The lines without their line feeds. Empty ones come too, so that lines can be counted.
 *
 * @throws InvalidImportError for a line that cannot be read, or where the source fails, which is the `cause`; every
 * line before it came
 * @throws the reason of `signal`, also while the source is silent
 */
export async function* linesOf(source: LineSource, signal?: AbortSignal): AsyncGenerator<string, void, undefined> {
  let number = 1
  let pending = ''
  const bytes = new Utf8Lines()
  const checked = (length: number) => {
    if (length > longestLine) throw new InvalidImportError(number, say`is longer than ${longestLine} characters.`)
  }
  /** Cuts text into lines; the last one may continue. */
  function* cut(text: string): Generator<string, void, undefined> {
    let from = 0
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', from)) {
      const line = pending + text.slice(from, end)
      pending = ''
      yield withoutMark(line, number)
      number += 1
      from = end + 1
    }
    pending += text.slice(from)
    checked(pending.length)
  }
  /** Names the line that was being read. */
  const named = (cause: unknown): unknown => {
    if (signal?.aborted === true) return signal.reason
    return new InvalidImportError(number, say`cannot be read: ${messageOf(cause)}`, { cause })
  }
  const pieces = piecesOf(source)
  let ended = false
  try {
    for (;;) {
      let piece: IteratorResult<unknown>
      try {
        const next = pieces.next()
        piece = 'then' in next ? await abortable(next, signal) : next
      } catch (cause) {
        // What failed is over.
        ended = signal?.aborted !== true
        throw named(cause)
      }
      const { value } = piece
      ended = piece.done === true
      if (!ended && typeof value === 'string') {
        yield* cut(value)
        if (pieces.areLines === true && !value.endsWith('\n')) yield* cut('\n')
        continue
      }
      if (!ended && !ArrayBuffer.isView(value)) throw new InvalidArgumentError('source', say`must yield text or bytes.`)
      const texts = ended
        ? bytes.rest()
        : bytes.add(
            new Uint8Array(
              (value as Uint8Array).buffer,
              (value as Uint8Array).byteOffset,
              (value as Uint8Array).byteLength,
            ),
          )
      try {
        for (const text of texts) yield* cut(text)
      } catch (cause) {
        throw cause instanceof InvalidImportError ? cause : named(cause)
      }
      checked(bytes.pending)
      if (!ended) continue
      if (pending !== '') yield withoutMark(pending, number)
      return
    }
  } finally {
    const closed = (async () => pieces.close?.(!ended))().catch(() => {})
    // A source that is silent may be so here, too.
    if (signal?.aborted !== true) await closed
  }
}

const withoutMark = (line: string, number: number): string =>
  number === 1 && line.startsWith('\uFEFF') ? line.slice(1) : line

function piecesOf(source: LineSource): Pieces {
  if (typeof source === 'string' || ArrayBuffer.isView(source)) {
    const one = [source][Symbol.iterator]()
    return { next: () => one.next() }
  }
  const given = (isObject(source) ? source : {}) as Partial<
    Blob & ReadableStream<unknown> & Iterable<unknown> & AsyncIterable<unknown>
  >
  if (typeof given.getReader === 'function') return readerOf(given as ReadableStream<unknown>)
  if (typeof given.stream === 'function') return readerOf(given.stream())
  const iterator = given[Symbol.asyncIterator]?.() ?? given[Symbol.iterator]?.()
  if (iterator === undefined)
    throw new InvalidArgumentError('source', say`must be a string, a Blob, bytes, lines of text, or a ReadableStream.`)
  return { next: () => iterator.next(), close: (early) => (early ? iterator.return?.() : undefined), areLines: true }
}

/** Not every engine can iterate over a stream. */
function readerOf(stream: ReadableStream<unknown>): Pieces {
  const reader = stream.getReader()
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    close(early) {
      const cancelled = early ? reader.cancel() : undefined
      reader.releaseLock()
      return cancelled
    },
  }
}

/** Bytes as text, in whole lines: a line that is not UTF-8 must not fail those before it. */
class Utf8Lines {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  #pieces: Uint8Array[] = []
  #pending = 0

  /** Bytes of a line that is not whole yet. */
  get pending(): number {
    return this.#pending
  }

  *add(bytes: Uint8Array): Generator<string, void, undefined> {
    const end = bytes.lastIndexOf(lineFeed) + 1
    if (end > 0) {
      this.#pieces.push(bytes.subarray(0, end))
      yield* this.rest()
    }
    if (end === bytes.length) return
    // A copy, since the source may use its memory again.
    this.#pieces.push(bytes.slice(end))
    this.#pending += bytes.length - end
  }

  /** The remaining lines. Throws at a line that is not UTF-8, after those before it. */
  *rest(): Generator<string, void, undefined> {
    const bytes = joined(this.#pieces)
    this.#pieces = []
    this.#pending = 0
    let text: string | undefined
    try {
      text = this.#decoder.decode(bytes)
    } catch {
      // Found below.
    }
    if (text !== undefined) return yield text
    for (let from = 0, end: number; from < bytes.length; from = end) {
      end = bytes.indexOf(lineFeed, from) + 1 || bytes.length
      yield this.#decoder.decode(bytes.subarray(from, end))
    }
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0] as Uint8Array
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}
