/**
 * The frames of a log file. A frame is what one write and one fsync made durable: 16 bytes of head, and then text in
 * UTF-8. The next frame is written only when this one is durable. So an invalid frame is a write that was
 * interrupted if no valid one follows it, and damage if one does.
 */
import type { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'

/** Magic, length of the text, checksum of the text, checksum of the head and of its place. */
export const headBytes = 16

// 0xff is in no UTF-8 text, so nothing that a client sends looks like the begin of a frame.
const magic = 0xff_74_6d_31
const magicBytes = Uint8Array.of(0xff, 0x74, 0x6d, 0x31)

/** More than any write makes: a length above it is not one. */
const mostText = 1 << 30

export interface FrameHead {
  readonly length: number
  readonly checksum: number
}

/** Writes the head of a frame at the begin of `frame`, whose text is there already. */
export function seal(frame: Buffer, offset: number): void {
  frame.writeUInt32BE(magic, 0)
  frame.writeUInt32BE(frame.length - headBytes, 4)
  frame.writeUInt32BE(crc32(frame.subarray(headBytes)), 8)
  frame.writeUInt32BE(headChecksum(frame, offset), 12)
}

/** The head of a frame that begins at `offset` of the file; `undefined` if there is no valid one. */
export function headOf(bytes: Buffer, offset: number): FrameHead | undefined {
  if (bytes.length < headBytes || bytes.readUInt32BE(0) !== magic) return undefined
  if (bytes.readUInt32BE(12) !== headChecksum(bytes, offset)) return undefined
  const length = bytes.readUInt32BE(4)
  return length > mostText ? undefined : { length, checksum: bytes.readUInt32BE(8) }
}

export const isSound = (head: FrameHead, text: Buffer): boolean =>
  text.length === head.length && crc32(text) === head.checksum

/** Where a frame may begin, at `from` or behind it; -1 if nowhere. */
export const magicIn = (bytes: Buffer, from: number): number => bytes.indexOf(magicBytes, from)

// With the place, so that a piece of a file that was copied to another place is not a frame there.
function headChecksum(head: Buffer, offset: number): number {
  const place = new Uint8Array(8)
  new DataView(place.buffer).setFloat64(0, offset)
  return crc32(place, crc32(head.subarray(0, 12)))
}
