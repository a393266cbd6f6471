/** How much of the bodies of requests is in memory at a time: a body takes several times its size until it is decided. */
import { say } from '../messages.js'
import { RequestRefusedError } from './request-refused.js'

/** What of each body does not count, in bytes: the usual push is never turned away. */
const free = 65_536

/** Space for bodies. Only bytes that have arrived take it, so a device that sends slowly, or stops, keeps out few others. */
export class BodySpace {
  readonly #most: number
  #taken = 0

  /** @param most bytes */
  constructor(most: number) {
    this.#most = most
  }

  /** A place for one body. */
  enter(): BodyPlace {
    let size = 0
    let counted = 0
    const fits = (bytes: number) => this.#taken - counted + Math.max(0, bytes - free) <= this.#most
    return {
      expect(bytes) {
        if (!fits(bytes)) throw full()
      },
      grow: (bytes) => {
        size += bytes
        if (!fits(size)) throw full()
        this.#taken -= counted
        counted = Math.max(0, size - free)
        this.#taken += counted
      },
      leave: () => {
        this.#taken -= counted
        counted = 0
      },
    }
  }
}

/** What one body takes of a {@link BodySpace}. */
export interface BodyPlace {
  /** @throws RequestRefusedError (503) if a body of this size does not fit now */
  expect(bytes: number): void
  /** Bytes that have arrived. @throws RequestRefusedError (503) if they do not fit */
  grow(bytes: number): void
  /** It is not in memory any more. */
  leave(): void
}

const full = () => new RequestRefusedError(503, 'unavailable', say`Too many large pushes are being decided.`)
