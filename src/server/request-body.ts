/** The body of a request, counted while it is read. */
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
import { startDeadline } from '../platform/deadline.js'
import type { BodyPlace } from './body-space.js'
import { RequestRefusedError } from './request-refused.js'

/**
 * How long a body may take until it has arrived, and how long nothing of it may arrive, in ms: what has arrived is in
 * memory. A device of which one is not enough comes again.
 */
const longestBody = 300_000
const longestSilence = 30_000

/**
 * The JSON of a body.
 *
 * @param place takes what arrives
 * @throws RequestRefusedError for another type (415), more bytes than `most` (413) or than there is space for
 * (503), what does not arrive in time (408), what is no JSON in UTF-8 (400)
 */
export async function readJson(request: Request, most: number, place: BodyPlace, clock: Clock): Promise<unknown> {
  const header = (name: string) => (request.headers.get(name) ?? '').toLowerCase()
  if (!/^\s*application\/json\s*(;\s*(charset\s*=\s*"?utf-8"?\s*)?)*$/.test(header('Content-Type')))
    throw new RequestRefusedError(415, 'wrong-type', say`'Content-Type' must be application/json.`)
  if (!/^(identity)?$/.test(header('Content-Encoding')))
    throw new RequestRefusedError(415, 'wrong-type', say`The body must not be compressed.`)
  try {
    return JSON.parse(await readText(request, most, place, clock))
  } catch (error) {
    if (error instanceof RequestRefusedError) throw error
    throw new RequestRefusedError(400, 'bad-request', say`The body is no JSON in UTF-8, or ended early.`)
  }
}

async function readText(request: Request, most: number, place: BodyPlace, clock: Clock): Promise<string> {
  const tooLarge = new RequestRefusedError(413, 'too-large', say`The body has more than ${most} bytes.`)
  const announced = Number(request.headers.get('Content-Length'))
  if (announced > most) throw tooLarge
  place.expect(announced)
  const { body } = request as { readonly body?: ReadableStream<Uint8Array> | null }
  // Missing in Firefox, where only tests serve anything.
  const reader = (body === undefined ? (await request.blob()).stream() : body)?.getReader()
  // `ignoreBOM` keeps it: it is not JSON. As text, a body takes the least memory.
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let text = ''
  let size = 0
  const time = startTime(clock)
  try {
    for (;;) {
      const { done, value } = (await time.limit(reader?.read())) ?? { done: true }
      if (done) return text + decoder.decode()
      size += value.byteLength
      if (size > most) throw tooLarge
      place.grow(value.byteLength)
      text += decoder.decode(value, { stream: true })
    }
  } catch (error) {
    // The rest is not read.
    reader?.cancel().catch(() => {})
    throw error
  } finally {
    time.end()
  }
}

/** The time that a body takes. */
function startTime(clock: Clock) {
  let expire = () => {}
  const expired = new Promise<never>((_, reject) => {
    expire = () => reject(new RequestRefusedError(408, 'too-slow', say`The body did not arrive in time.`))
  })
  expired.catch(() => {})
  const endAll = startDeadline(clock, longestBody, expire)
  let endSilence = () => {}
  return {
    /** @throws RequestRefusedError (408) if the next part takes too long, or all of them together do */
    limit<T>(part: Promise<T> | undefined): Promise<T | undefined> {
      endSilence()
      endSilence = startDeadline(clock, longestSilence, expire)
      return Promise.race([part ?? Promise.resolve(undefined), expired])
    },
    end() {
      endSilence()
      endAll()
    },
  }
}
