/** What kind of object a value is, also one of another realm, such as a frame's. */

/** `[object Date]` and the like. */
export const tagOf = (value: object): string => Object.prototype.toString.call(value)

/** Of a Date. NaN for everything else. */
export function timeOf(value: object): number {
  // A call that throws takes a hundred times as long, and most values are no Date.
  if (!(value instanceof Date) && tagOf(value) !== '[object Date]') return Number.NaN
  try {
    return Date.prototype.getTime.call(value)
  } catch {
    return Number.NaN
  }
}

/** The bytes of a buffer or of a view of one; nothing for everything else, such as a shared or detached buffer. */
export function bytesOf(value: object): Uint8Array | undefined {
  const isView = ArrayBuffer.isView(value)
  const buffer = (isView ? value.buffer : value) as ArrayBuffer
  if (tagOf(buffer) !== '[object ArrayBuffer]') return undefined
  try {
    return isView ? new Uint8Array(buffer, value.byteOffset, value.byteLength) : new Uint8Array(buffer)
  } catch {
    return undefined
  }
}
