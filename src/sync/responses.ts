/** What a response means: the table of docs/protocol.md, from the side of the device. */
import { messageOf } from '../errors.js'
import { say } from '../messages.js'
import { cut } from '../platform/cut.js'
import { isObject } from '../platform/objects.js'
import { headers as names } from '../wire/protocol.js'
import type { AnsweredBy, RequestFailure } from './sync-effects.js'

type Refused = Extract<RequestFailure, { kind: 'refused' }>

/** Of a body that makes no sense: nothing of it is used. */
export class Inconsistent extends Error {}

export const inconsistent = (error: unknown): Refused => ({
  kind: 'refused',
  status: 200,
  code: 'inconsistent',
  message: messageOf(error),
})

/** No id, epoch or author is longer. */
const longestName = 1000

export const isName = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= longestName

export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/** A chain: opaque to this device, and bounded. */
export const isChain = (value: unknown): value is string => isName(value)

/** Of a text that a server sent. @throws Inconsistent */
export function parsedObject(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new Inconsistent(say`The server sent something else than JSON: ${messageOf(error)}`)
  }
  if (!isObject(value) || Array.isArray(value))
    throw new Inconsistent(say`The server sent something else than an object.`)
  return value as Record<string, unknown>
}

/** The same, of the whole body of a response. @throws Error for one that was cut off, which may be whole the next time */
export function parsedBody(text: string): Record<string, unknown> {
  try {
    return parsedObject(text)
  } catch (error) {
    throw isCutOff(text) ? new Error(cutOff()) : error
  }
}

const cutOff = (): string => say`The response was cut off.`

export function isJson(text: string): boolean {
  try {
    return isObject(JSON.parse(text))
  } catch {
    return false
  }
}

/** Whether a text is the beginning of a JSON object: not every engine notices that a connection ended too early. */
const isCutOff = (text: string): boolean => /^\s*($|\{)/.test(text) && !isJson(text)

/** Log, epoch and author of a response; nothing if it is not that of a tidemark server. */
export function answeredBy(response: Response): AnsweredBy | undefined {
  const [log, epoch, ...more] = (response.headers.get(names.log) ?? '').split('/')
  if (!isName(log) || !isName(epoch) || more.length > 0) return undefined
  try {
    const author = decodeURIComponent(response.headers.get(names.author) ?? '')
    return author.length > longestName ? undefined : { log, epoch, author }
  } catch {
    return undefined
  }
}

/** How a response that was given by another log, epoch or author is refused, although the server did not. */
export function unlike(as: AnsweredBy | undefined, by: AnsweredBy): Refused | undefined {
  if (as === undefined) return undefined
  const code =
    by.log !== as.log
      ? 'other-log'
      : by.author !== as.author
        ? 'other-author'
        : by.epoch !== as.epoch
          ? 'other-epoch'
          : undefined
  return code === undefined
    ? undefined
    : { kind: 'refused', status: 409, code, message: say`The response is not that of the log that was asked.`, by }
}

// (N127)
/** How what is of another user than the one whom the app names is refused. */
export const notOf = (author: string | undefined, by: AnsweredBy | undefined): Refused | undefined =>
  author === undefined || by === undefined || by.author === author
    ? undefined
    : {
        kind: 'refused',
        status: 409,
        code: 'other-author',
        message: say`The server says that this is '${by.author}', and the store was opened for '${author}'.`,
      }

/** The type of a body, without its parameters. */
export const typeOf = (response: Response): string =>
  (response.headers.get('Content-Type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''

/** Something else responded: a login page that goes away, or the address is wrong. */
export const foreign = (response: Response, address: string): RequestFailure => ({
  kind: 'offline',
  message: say`What responds at ${address} is not a tidemark server, or does not expose its headers: status ${response.status} ${typeOf(response)}`,
  isForeign: true,
})

/** What a status means where the body names no code. */
const codes: Readonly<Record<number, string>> = {
  401: 'unauthorized',
  403: 'forbidden',
  410: 'before-first',
  413: 'too-large',
  426: 'newer-protocol',
}

/** Of a response that names none, neither by its status nor in its body. */
const noCode = 'bad-request'

/** What a proxy may say for the server: who may come in, how large a body may be, and what is too old. */
const believed: ReadonlySet<number> = new Set([401, 403, 413, 426])

/** Whether a status asks to come again. */
const isBusy = (status: number): boolean =>
  status === 408 || status === 425 || status === 429 || (status >= 500 && status !== 511)

/**
 * What a response is that is not the one that was asked for: `text` is its body, or as much of it as could be read.
 *
 * @param now wall clock, ms, for a `Retry-After` that is a date
 * @param address what messages call the server
 */
export function failureOf(response: Response, text: string, now: number, address: string): RequestFailure {
  const { status } = response
  const by = answeredBy(response)
  // A captive portal, or a proxy: it says nothing about what the server would do, and may be gone in a moment.
  const isForeign = by === undefined && response.headers.get(names.version) === null
  const again = retryAfter(response, now)
  const problem = problemOf(status, text)
  // (N65) A proxy whose server is gone: as if there were no connection.
  const isGone = isForeign && status >= 500 && again.after === undefined && problem.code === noCode
  if (isBusy(status) && !isGone)
    return { kind: 'busy', message: problem.message, ...again, ...(status === 408 && { isSlow: true }) }
  if (isForeign && !isGone && !believed.has(status)) return foreign(response, address)
  if (status < 400 || status === 511 || isGone)
    return { kind: 'offline', message: say`The response was not that of a tidemark server: status ${status}.` }
  // Without its code it says only that the request failed.
  if (codes[status] === undefined && typeOf(response) === 'application/json' && isCutOff(text))
    return { kind: 'offline', message: cutOff() }
  return { kind: 'refused', status, ...problem, ...(by === undefined ? {} : { by }) }
}

function problemOf(status: number, text: string): Pick<Refused, 'code' | 'message'> {
  const fallback = codes[status] ?? noCode
  const plain = say`The server responded with status ${status}.`
  try {
    const { code, message } = parsedObject(text)
    return {
      code: isName(code) && codes[status] === undefined ? code : fallback,
      message: typeof message === 'string' && message !== '' ? cut(message, longestName) : plain,
    }
  } catch {
    return { code: fallback, message: plain }
  }
}

/** No server keeps a device away for longer, ms. */
const longestPause = 3_600_000

function retryAfter(response: Response, now: number): { after?: number } {
  const value = response.headers.get('Retry-After')?.trim()
  if (value === undefined || value === '') return {}
  // The clock of the server, where it tells: that of this device may be wrong by years.
  const date = Date.parse(response.headers.get('Date') ?? '')
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - (Number.isFinite(date) ? date : now)
  return Number.isFinite(ms) ? { after: Math.max(0, Math.min(ms, longestPause)) } : {}
}
