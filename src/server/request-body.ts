/** The body of a request, counted while it is read. */
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
import type { BodyPlace } from './body-space.js'
import { RequestRefusedError } from './request-refused.js'

/** How often it is checked whether something has arrived, ms. */
const betweenLooks = 15_000
/**
 * How many checks a body survives, and how many in a row at which nothing new has arrived: it has 5 minutes, and each of
 * its parts 30 to 45 s. Checks are counted, and not ms, since what arrived while this process slept is read after the
 * timer that is late.
 */
const limits = { looks: 19, silent: 2 }

type Timers = Pick<Clock, 'schedule'>

/**
 * The JSON of a body.
 *
 * @param place takes what arrives
 * @throws RequestRefusedError for another type (415), more bytes than `most` (413) or than there is space for
 * (503), what does not arrive in time (408), what is no JSON in UTF-8 (400)
 */
export async function readJson(request: Request, most: number, place: BodyPlace, clock: Timers): Promise<unknown> {
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

async function readText(request: Request, most: number, place: BodyPlace, clock: Timers): Promise<string> {
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

/** The time that a body may take. */
function startTime(clock: Timers) {
  let [looks, silent] = [0, 0]
  let cancel = () => {}
  let fail: (reason: RequestRefusedError) => void = () => {}
  const next = () => {
    cancel = clock.schedule(betweenLooks, () => {
      next()
      if (looks++ >= limits.looks || silent++ >= limits.silent)
        fail(new RequestRefusedError(408, 'too-slow', say`The body did not arrive in time.`))
    })
  }
  next()
  return {
    /** @throws RequestRefusedError (408) if the next part takes too long, or all of them together do */
    limit<T>(part: Promise<T> | undefined): Promise<T | undefined> {
      silent = 0
      // No race of every part with one promise that settles late, if ever: it would keep something of each of them.
      return new Promise((resolve, reject) => {
        fail = reject
        Promise.resolve(part).then(resolve, reject)
      })
    },
    end: () => cancel(),
  }
}
