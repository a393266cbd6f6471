/**
 * Keys as bytes whose order is the order of the keys: what `compareKeys` says of two keys, `bytea` says of their bytes,
 * and equal keys have equal bytes. Pure.
 */
import { bytesOf, timeOf } from '../read-model/kinds.js'

/** The first byte says which type a key is of, in the order of types in IndexedDB. 0 is left for the end of a list. */
const types = { number: '10', date: '20', text: '30', bytes: '40', list: '50' } as const

/** Comes before everything that a text, bytes or a list may continue with. */
const end = '00'

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

const number = new DataView(new ArrayBuffer(8))

/** A float as bytes: those of negative ones are turned over, so that the smaller one comes first. */
function ofNumber(value: number): string {
  // -0 and 0 are one key.
  number.setFloat64(0, value === 0 ? 0 : value)
  const isNegative = number.getUint8(0) > 127
  let bytes = ''
  for (let at = 0; at < 8; at += 1) {
    const byte = number.getUint8(at)
    bytes += hex[isNegative ? 255 - byte : at === 0 ? byte + 128 : byte]
  }
  return bytes
}

/** Up to here a unit takes one byte, … */
const inOne = 0x7f
/** … and this many further ones take two. */
const inTwo = 0x4000

/** A UTF-16 code unit, or a byte. None begins with the byte of the end, and larger ones have larger bytes. */
function ofUnit(unit: number): string {
  if (unit < inOne) return hex[unit + 1] as string
  const rest = unit - inOne
  return rest < inTwo
    ? (hex[0x80 + (rest >> 8)] as string) + hex[rest & 0xff]
    : (hex[0xc0] as string) + hex[(rest - inTwo) >> 8] + hex[(rest - inTwo) & 0xff]
}

/** The bytes of a key, as hexadecimal digits. It must be a key: see `isIndexKey`. */
export function keyHex(key: unknown): string {
  if (typeof key === 'string') {
    let bytes: string = types.text
    for (let at = 0; at < key.length; at += 1) bytes += ofUnit(key.charCodeAt(at))
    return bytes + end
  }
  if (typeof key === 'number') return types.number + ofNumber(key)
  if (Array.isArray(key)) return types.list + key.map(keyHex).join('') + end
  const bytes = bytesOf(key as object)
  if (bytes === undefined) return types.date + ofNumber(timeOf(key as object))
  let text: string = types.bytes
  for (const byte of bytes) text += ofUnit(byte)
  return text + end
}
