/** Where a log is and what is sent there, as an app says it: checked before anything is opened. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { feature } from '../platform/features.js'
import { isObject } from '../platform/objects.js'
import type { RemoteOptions } from './sync-parts.js'

/**
 * @param isUsed a request is about to be made: an address without an origin needs a page, or a `fetch` that knows better
 * @throws InvalidArgumentError
 */
export function assertRemote(
  { url, author, headers, fetch }: { readonly [K in keyof RemoteOptions]?: unknown },
  path: string,
  isUsed: boolean,
): void {
  const page = feature((here) => here.location.href)
  const base = page !== undefined && isUsed && fetch === undefined ? page : 'https://page.invalid'
  const isRelative = typeof url === 'string' && url.startsWith('/')
  // Relative to the page it would be another log on each page.
  const parsed = typeof url === 'string' && /^(https?:\/)?\//i.test(url) ? parsedUrl(url, base) : undefined
  const isMissing = isUsed && isRelative && page === undefined && fetch === undefined
  if (parsed === undefined || isMissing || parsed.username + parsed.password + parsed.hash !== '')
    throw new InvalidArgumentError(
      `${path}url`,
      say`must be the address of a log, such as 'https://api.example.com/logs/7', or on a page '/logs/7': without user, password and '#'.`,
    )
  if (author !== undefined && typeof author !== 'string')
    throw new InvalidArgumentError(`${path}author`, say`must be a text, or undefined.`)
  if (headers !== undefined && typeof headers !== 'function' && !areHeaders(headers))
    throw new InvalidArgumentError(`${path}headers`, say`must be headers, or a function that returns them.`)
  if (fetch !== undefined && typeof fetch !== 'function')
    throw new InvalidArgumentError(`${path}fetch`, say`must be a function.`)
}

function parsedUrl(url: string, base: string): URL | undefined {
  try {
    return new URL(url, base)
  } catch {
    return undefined
  }
}

function areHeaders(value: unknown): boolean {
  try {
    void new Headers(value as HeadersInit)
    return isObject(value)
  } catch {
    return false
  }
}
