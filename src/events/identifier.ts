/** Event ids: UUIDs of version 7 (RFC 9562), which sort by the time they were made. */

import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import { feature } from '../platform/features.js'

/** 48 bits. */
const latest = 2 ** 48 - 1

/** The 12 bits of rand_a and the first 30 of rand_b. */
const sequenceEnd = 2 ** 42

/** The ms of the last id, and the counter after it. */
let lastTime = -1
let sequence = 0

/**
 * A new id for the given wall clock time in ms. Ids of one context strictly increase as strings, even within a
 * millisecond and when the clock goes back (RFC 9562 section 6.2, a fixed-length counter seeded at random).
 * The last 32 bits are random in every id, so that contexts with the same time and counter do not make the same id.
 */
export function createId(now: number): string {
  // The time of a clock that returns nonsense (H52) counts as earlier. Otherwise all later ids would stay at the
  // largest time.
  const time = typeof now === 'number' && now <= latest ? Math.trunc(now) : -1
  if (time > lastTime || lastTime < 0) {
    lastTime = Math.max(time, 0)
    sequence = seed()
  } else {
    sequence += 1
    if (sequence === sequenceEnd) {
      lastTime += 1
      sequence = seed()
    }
  }
  const count = sequence % 2 ** 16
  if (sequence - count !== stem.sequence || lastTime !== stem.time)
    stem = { time: lastTime, sequence: sequence - count, text: stemText(lastTime, sequence) }
  const word = randomWord()
  // One string from one call: this runs for every event, and joining parts took longer than encoding the event.
  return (
    stem.text +
    String.fromCharCode(
      digits[count >>> 12] as number,
      digits[(count >>> 8) & 15] as number,
      digits[(count >>> 4) & 15] as number,
      digits[count & 15] as number,
      digits[word >>> 28] as number,
      digits[(word >>> 24) & 15] as number,
      digits[(word >>> 20) & 15] as number,
      digits[(word >>> 16) & 15] as number,
      digits[(word >>> 12) & 15] as number,
      digits[(word >>> 8) & 15] as number,
      digits[(word >>> 4) & 15] as number,
      digits[word & 15] as number,
    )
  )
}

/** The character codes of the hexadecimal digits. */
const digits = [48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102]

/** The part that ids share if their time and all but the last 16 bits of their counters are the same. */
let stem = { time: -1, sequence: -1, text: '' }

/** The first 24 characters of an id. */
function stemText(time: number, sequence: number): string {
  const stamp = hex(time, 12)
  const high = Math.floor(sequence / 2 ** 30)
  // The highest two bits of the lower part are free, for the variant.
  const middle = hex(0x8000_0000 + (sequence % 2 ** 30), 8)
  return `${stamp.slice(0, 8)}-${stamp.slice(8)}-7${hex(high, 3)}-${middle.slice(0, 4)}-`
}

const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i

/** Whether the value has the form of a UUIDv7. */
export function isUuidV7(id: unknown): boolean {
  return typeof id === 'string' && shape.test(id)
}

/** A random id for anything that is not an event. `crypto.randomUUID` exists in secure contexts only. */
export function randomId(): string {
  const text = Array.from({ length: 4 }, () => hex(randomWord(), 8)).join('')
  return text.replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** Starts in the lower half, which leaves space for 2^41 ids in one ms. */
function seed(): number {
  return (randomWord() >>> 23) * 2 ** 32 + randomWord()
}

/**
 * Random words in stock, because requesting each from the system takes longer than everything else here. Filled at the
 * first use, not at import.
 */
const pool = new Uint32Array(128)
let used = pool.length

function randomWord(): number {
  if (used === pool.length) {
    const crypto = feature((here) => here.crypto)
    if (typeof crypto?.getRandomValues !== 'function')
      throw new InvalidArgumentError(
        'crypto.getRandomValues',
        say`is missing here, and ids are made with it. Provide it before tidemark is used.`,
      )
    crypto.getRandomValues(pool)
    used = 0
  }
  const word = pool[used] as number
  used += 1
  return word
}

export function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0')
}
