/** The body of a request, counted while it is read. */
import { say } from '../messages.js'
import { RequestRefusedError } from './request-refused.js'

/**
 * The JSON of a body.
 *
 * @throws RequestRefusedError for another type (415), more bytes than `most` (413), what is no JSON in UTF-8 (400)
 */
export async function readJson(request: Request, most: number): Promise<unknown> {
  const header = (name: string) => (request.headers.get(name) ?? '').toLowerCase()
  if (!/^\s*application\/json\s*(;\s*(charset\s*=\s*"?utf-8"?\s*)?)*$/.test(header('Content-Type')))
    throw new RequestRefusedError(415, 'wrong-type', say`'Content-Type' must be application/json.`)
  if (!/^(identity)?$/.test(header('Content-Encoding')))
    throw new RequestRefusedError(415, 'wrong-type', say`The body must not be compressed.`)
  try {
    // `ignoreBOM` keeps it: it is not JSON.
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readBytes(request, most)))
  } catch (error) {
    if (error instanceof RequestRefusedError) throw error
    throw new RequestRefusedError(400, 'bad-request', say`The body is no JSON in UTF-8, or ended early.`)
  }
}

async function readBytes(request: Request, most: number): Promise<ArrayBuffer> {
  const tooLarge = new RequestRefusedError(413, 'too-large', say`The body has more than ${most} bytes.`)
  if (Number(request.headers.get('Content-Length')) > most) throw tooLarge
  const { body } = request as { readonly body?: ReadableStream<Uint8Array<ArrayBuffer>> | null }
  // Missing in Firefox, where only tests serve anything.
  const reader = (body === undefined ? (await request.blob()).stream() : body)?.getReader()
  const parts: Uint8Array<ArrayBuffer>[] = []
  let size = 0
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true }
    if (done) break
    size += value.byteLength
    if (size > most) {
      // The rest is not read.
      reader?.cancel().catch(() => {})
      throw tooLarge
    }
    parts.push(value)
  }
  return await new Blob(parts).arrayBuffer()
}
