/** Which other origins may use the server from a browser. */
import { headers } from '../wire/protocol.js'

/** A list of origins, which may send cookies; `'*'`: all of them, without cookies. */
export type Origins = readonly string[] | '*'

/** The headers of a response that let the page which asked read it. */
export function corsHeaders(request: Request, origins: Origins): Record<string, string> {
  const exposed = { 'Access-Control-Expose-Headers': [...Object.values(headers), 'Retry-After'].join(', ') }
  if (origins === '*') return { 'Access-Control-Allow-Origin': '*', ...exposed }
  if (origins.length === 0) return {}
  const origin = request.headers.get('Origin')
  if (origin === null || !origins.includes(origin)) return { Vary: 'Origin' }
  return {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Credentials': 'true',
    ...exposed,
    Vary: 'Origin',
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
export function preflight(request: Request, origins: Origins): Response {
  const allowed = corsHeaders(request, origins)
  const more = {
    'Access-Control-Allow-Methods': 'GET, POST',
    // Those of the app too, such as Authorization.
    'Access-Control-Allow-Headers': request.headers.get('Access-Control-Request-Headers') ?? '',
    // So that preflights are rare. Browsers take less.
    'Access-Control-Max-Age': '86400',
  }
  return new Response(null, {
    status: 204,
    headers: { ...allowed, ...('Access-Control-Allow-Origin' in allowed && more) },
  })
}
