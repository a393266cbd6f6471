/** The body of a request, counted while it is read. */
import { say } from '../messages.js'
import { RequestRefusedError } from './request-refused.js'

/**
 * The JSON of a body.
 *
 * @throws RequestRefusedError for another type (415), more bytes than `most` (413), what is no JSON in UTF-8 (400)
 */
export async function readJson(request: Request, most: number): Promise<unknown> {
  const [type = '', ...parameters] = (request.headers.get('Content-Type') ?? '').toLowerCase().split(';')
  const isUtf8 = parameters.every((parameter) => /^\s*(charset\s*=\s*"?utf-8"?\s*)?$/.test(parameter))
  if (type.trim() !== 'application/json' || !isUtf8)
    throw new RequestRefusedError(415, 'wrong-type', say`'Content-Type' must be application/json.`)
  if (!['', 'identity'].includes(request.headers.get('Content-Encoding')?.trim().toLowerCase() ?? ''))
    throw new RequestRefusedError(415, 'wrong-type', say`The body must not be compressed.`)
  const text = await readText(request, most)
  try {
    return JSON.parse(text)
  } catch {
    throw new RequestRefusedError(400, 'bad-request', say`The body is no JSON.`)
  }
}

async function readText(request: Request, most: number): Promise<string> {
  const tooLarge = new RequestRefusedError(413, 'too-large', say`The body has more than ${most} bytes.`)
  if (Number(request.headers.get('Content-Length') ?? 0) > most) throw tooLarge
  // `ignoreBOM` keeps it: it is not JSON.
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const { body } = request as { readonly body?: ReadableStream<Uint8Array> | null }
  // Missing in Firefox, where only tests serve anything.
  const reader = (body === undefined ? new Response(await request.blob()).body : body)?.getReader()
  if (reader === undefined) return ''
  const parts: string[] = []
  const decode = (bytes?: Uint8Array) => {
    try {
      parts.push(decoder.decode(bytes, { stream: bytes !== undefined }))
    } catch {
      throw new RequestRefusedError(400, 'bad-request', say`The body is not UTF-8.`)
    }
  }
  try {
    let bytes = 0
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      bytes += value.byteLength
      if (bytes > most) throw tooLarge
      decode(value)
    }
    decode()
  } catch (error) {
    // The rest is not read.
    reader.cancel().catch(() => {})
    if (error instanceof RequestRefusedError) throw error
    throw new RequestRefusedError(400, 'bad-request', say`The body ended early.`)
  }
  return parts.join('')
}
