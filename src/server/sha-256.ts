/**
 * SHA-256 (FIPS 180-4), synchronous. That of WebCrypto is a promise, which for a commit of ordinary size takes longer
 * than the hash itself, and is missing in insecure contexts.
 */
import { hex } from '../events/identifier.js'
import { feature } from '../platform/features.js'

/** What Node, Deno and Bun have, of which a hash takes a tenth of the time. */
interface NativeHashes {
  createHash(name: 'sha256'): { update(text: string): { digest(encoding: 'hex'): string } }
}

interface MayHaveModules {
  readonly process?: { getBuiltinModule?(name: 'node:crypto'): NativeHashes | undefined }
}

/** The hash of a text in UTF-8, as 64 hexadecimal digits. */
export function sha256(text: string): string {
  const native = feature((here: MayHaveModules) => here.process?.getBuiltinModule?.('node:crypto'))
  return native?.createHash('sha256').update(text).digest('hex') ?? sha256ByHand(text)
}

const primes: number[] = []
for (let n = 2; primes.length < 64; n += 1) if (primes.every((prime) => n % prime !== 0)) primes.push(n)

/**
 * The first 32 bits of the fractions of roots. None of them is near the next whole number, so a double is exact enough
 * in every engine.
 */
const fractions = (of: readonly number[], root: number) =>
  Int32Array.from(of, (prime) => (prime ** (1 / root) % 1) * 2 ** 32)

const initial = fractions(primes.slice(0, 8), 2)
const constants = fractions(primes, 3)

/** The same, where there is none. */
export function sha256ByHand(text: string): string {
  const bytes = new TextEncoder().encode(text)
  // Behind the text one bit, zeros, and the number of its bits in the last 8 bytes.
  const size = ((bytes.length + 72) >>> 6) << 6
  const padded = new Uint8Array(size)
  padded.set(bytes)
  padded[bytes.length] = 128
  const view = new DataView(padded.buffer)
  view.setBigUint64(size - 8, BigInt(bytes.length) * 8n)
  const state = initial.slice()
  const schedule = new Int32Array(64)
  for (let offset = 0; offset < size; offset += 64) mixIn(state, schedule, view, offset)
  return Array.from(state, (word) => hex(word >>> 0, 8)).join('')
}

const turned = (word: number, by: number) => (word >>> by) | (word << (32 - by))

/** Mixes 64 bytes into the state. */
function mixIn(state: Int32Array, w: Int32Array, view: DataView, offset: number): void {
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number]
  for (let i = 0; i < 64; i += 1) {
    const x = w[i - 15] as number
    const y = w[i - 2] as number
    w[i] =
      i < 16
        ? view.getInt32(offset + i * 4)
        : (turned(x, 7) ^ turned(x, 18) ^ (x >>> 3)) +
          (turned(y, 17) ^ turned(y, 19) ^ (y >>> 10)) +
          (w[i - 16] as number) +
          (w[i - 7] as number)
    const s1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)
    const t1 = (h + s1 + (g ^ (e & (f ^ g))) + (constants[i] as number) + (w[i] as number)) | 0
    const s0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)
    const t2 = (s0 + ((a & b) | (c & (a | b)))) | 0
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  state.set([a, b, c, d, e, f, g, h].map((word, i) => word + (state[i] as number)))
}
