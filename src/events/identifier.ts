/** Event ids: UUIDs of version 7 (RFC 9562), which sort by the time they were made. */

/** 48 bits. */
const latest = 2 ** 48 - 1

/** The 12 bits of rand_a and the first 30 of rand_b. */
const sequenceEnd = 2 ** 42

/** The ms in the last id, and the counter behind it. */
let lastTime = -1
let sequence = 0

/**
 * A new id for the given wall clock time in ms. Ids of one context strictly increase as strings, even within a
 * millisecond and when the clock goes back (RFC 9562 section 6.2, a fixed-length counter seeded at random).
 * The last 32 bits are random in every id, so that contexts with the same time and counter do not meet.
 */
export function createId(now: number): string {
  // A clock that answers nonsense must not stop an append (H52). NaN is not above lastTime, so it counts as earlier.
  const time = Math.min(Math.max(Math.trunc(now), 0), latest)
  if (time > lastTime || lastTime < 0) {
    lastTime = time || 0
    sequence = seed()
  } else {
    sequence += 1
    if (sequence === sequenceEnd) {
      lastTime += 1
      sequence = seed()
    }
  }
  const high = Math.floor(sequence / 2 ** 30)
  const low = sequence % 2 ** 30
  const stamp = hex(lastTime, 12)
  // The highest two bits of `low` are free, for the variant.
  const middle = hex(0x8000_0000 + low, 8)
  return `${stamp.slice(0, 8)}-${stamp.slice(8)}-7${hex(high, 3)}-${middle.slice(0, 4)}-${middle.slice(4)}${hex(randomWord(), 8)}`
}

const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i

/** Whether the value has the form of a UUIDv7. */
export function isUuidV7(id: unknown): boolean {
  return typeof id === 'string' && shape.test(id)
}

/** Starts in the lower half, which leaves room for 2^41 ids in one ms. */
function seed(): number {
  return (randomWord() >>> 23) * 2 ** 32 + randomWord()
}

/** Asking the system for every single word takes longer than everything else here. Filled at the first use, not at import. */
const pool = new Uint32Array(128)
let used = pool.length

function randomWord(): number {
  if (used === pool.length) {
    globalThis.crypto.getRandomValues(pool)
    used = 0
  }
  const word = pool[used] as number
  used += 1
  return word
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0')
}
