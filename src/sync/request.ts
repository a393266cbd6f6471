/** One request: a deadline for silence, and a body that may end anywhere. */
import { say } from '../messages.js'
import { abortWith } from '../platform/abort-with.js'
import type { Clock } from '../platform/clock.js'
import { startDeadline } from '../platform/deadline.js'
import { abortable } from '../platform/promises.js'

/** A request that is aborted if its server is silent for too long, or with the signal of the caller. */
export class TimedRequest {
  readonly #clock: Clock
  readonly #controller = new AbortController()
  readonly #undo: () => void
  #cancel = () => {}
  #isWithApp = false

  /** @param first how long the beginning of the response may take, ms */
  constructor(clock: Clock, first: number, outer: AbortSignal) {
    this.#clock = clock
    this.#undo = abortWith(this.#controller, outer)
    this.allow(first)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The next sign of life may take this long from now on, ms. */
  allow(ms: number): void {
    this.#cancel()
    this.#cancel = startDeadline(this.#clock, ms, () =>
      this.#controller.abort(
        new Error(
          this.#isWithApp
            ? say`${'headers()'} of the app did not return for ${ms} ms.`
            : say`The server was silent for ${ms} ms.`,
        ),
      ),
    )
  }

  /** Settles as the promise does, or rejects when the request is aborted before. */
  over<T>(promise: PromiseLike<T>): Promise<T> {
    return abortable(promise, this.signal)
  }

  /** The same, for what the app has to say first: its silence is not that of the server. */
  async overApp<T>(promise: PromiseLike<T>): Promise<T> {
    this.#isWithApp = true
    const value = await this.over(promise)
    this.#isWithApp = false
    return value
  }

  /** Whether the server was silent for too long. */
  get isSlow(): boolean {
    return this.signal.aborted && !this.#isWithApp
  }

  /** Ends the request: it waits for nothing more, and the server need send nothing more. */
  end(): void {
    this.#cancel()
    this.#undo()
    this.#controller.abort()
  }
}

/**
 * The body as text, in pieces as they come.
 *
 * @param silence in ms, between two pieces
 * @throws whatever the network failed with, TypeError for what is not UTF-8, or the reason of the silence
 */
export async function* piecesOf(
  response: Response,
  request: TimedRequest,
  silence: number,
): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  // Old engines have no streams, and some responses no body.
  const reader = response.body?.getReader()
  if (reader === undefined) return yield await request.over(response.text())
  try {
    for (;;) {
      request.allow(silence)
      const { done, value } = await request.over(reader.read())
      if (done) break
      const text = decoder.decode(value, { stream: true })
      if (text !== '') yield text
    }
    const rest = decoder.decode()
    if (rest !== '') yield rest
  } finally {
    // Of a body that is not needed any more. It may have failed already.
    reader.cancel().catch(() => {})
  }
}

/** A body as one text. It is not read any further once it has more than `most` characters. */
export async function textOf(
  response: Response,
  request: TimedRequest,
  silence: number,
  most: number,
): Promise<string> {
  let text = ''
  for await (const piece of piecesOf(response, request, silence)) {
    text += piece
    if (text.length > most) break
  }
  return text
}

/** Lines of a body, without their line feeds, as they come. */
export interface Lines {
  readonly lines: readonly string[]
  /** The last one may be cut off. */
  readonly isLast: boolean
}

/** The lines of a body. @throws as {@link piecesOf} */
export async function* bodyLines(
  response: Response,
  request: TimedRequest,
  silence: number,
): AsyncGenerator<Lines, void, undefined> {
  let pending = ''
  for await (const piece of piecesOf(response, request, silence)) {
    const lines = piece.split('\n')
    lines[0] = pending + lines[0]
    pending = lines.pop() ?? ''
    // The caller refuses a line of that length.
    if (pending.length > longestLine) lines.push(pending)
    if (lines.length > 0) yield { lines, isLast: false }
  }
  if (pending !== '') yield { lines: [pending], isLast: true }
}

/** A longer line, in characters, is not one of the protocol: it would be larger than any push. */
export const longestLine = 16 * 1024 * 1024
