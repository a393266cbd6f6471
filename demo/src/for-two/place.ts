/** Which board this page shows, and as which device: both are in its address. */

const lastKey = 'board-for-two:last'
/** 32 characters that are hard to confuse: 12 of them cannot be guessed. */
const letters = 'abcdefghjkmnpqrstuvwxyz023456789'

/** The board of the link that was opened, or nothing. */
export function roomHere(): string | undefined {
  const room = location.hash.slice(1)
  return /^[a-z0-9]{12}$/.test(room) ? room : undefined
}

export const newRoom = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => letters[byte % letters.length]).join('')

/** The board that was open here last. */
export const lastRoom = (): string | null => localStorage.getItem(lastKey)
export const rememberRoom = (room: string): void => localStorage.setItem(lastKey, room)

/** A browser is one device, and may play others: each has storage of its own. From 1. */
export function deviceHere(): number {
  const device = Number(new URLSearchParams(location.search).get('device'))
  return Number.isSafeInteger(device) && device > 1 && device < 100 ? device : 1
}

/** @param base where the demo is served for the device that opens it */
export const linkTo = (room: string, base: string, device = 1): string =>
  new URL(`/shared.html${device === 1 ? '' : `?device=${device}`}#${room}`, base).href
