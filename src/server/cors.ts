/** Which other origins may use the server from a browser. */
import { headers } from '../wire/protocol.js'

/** A list of origins, which may send cookies; `'*'`: all of them, without cookies. */
export type Origins = readonly string[] | '*'

/**
 * The headers of a response that let the page which asked read it.
 *
 * @param more headers that only such a page gets
 */
export function corsHeaders(request: Request, origins: Origins, more: object = {}): Record<string, string> {
  if (origins.length === 0) return {}
  const isAny = origins === '*'
  const origin = isAny ? '*' : request.headers.get('Origin')
  const perOrigin = isAny ? {} : { Vary: 'Origin' }
  if (origin === null || !origins.includes(origin)) return perOrigin
  return {
    ...perOrigin,
    'Access-Control-Allow-Origin': origin,
    ...more,
    ...(!isAny && { 'Access-Control-Allow-Credentials': 'true' }),
    'Access-Control-Expose-Headers': [...Object.values(headers), 'Retry-After'].join(', '),
  }
}

/** Whether a page may open a WebSocket, which browsers let every page do: one of the same address, or of these origins. */
export function isAllowedOrigin(request: Request, origins: Origins): boolean {
  const origin = request.headers.get('Origin')
  // Not from a browser.
  if (origin === null || origins === '*' || origins.includes(origin)) return true
  return origin === new URL(request.url).origin
}

/** The response to `OPTIONS`, which a browser sends before a request to another origin. */
export const preflight = (request: Request, origins: Origins): Response =>
  new Response(null, {
    status: 204,
    headers: corsHeaders(request, origins, {
      'Access-Control-Allow-Methods': 'GET, POST',
      // Those of the app too, such as Authorization.
      'Access-Control-Allow-Headers': request.headers.get('Access-Control-Request-Headers') ?? '',
      // So that preflights are rare. Browsers take less.
      'Access-Control-Max-Age': '86400',
    }),
  })
