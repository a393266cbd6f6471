/** Which board this page shows, and as which device: both are in its address. */

const lastKey = 'board-for-two:last'
/** 32 characters that are hard to confuse: 12 of them cannot be guessed. */
const letters = 'abcdefghjkmnpqrstuvwxyz023456789'

/** The board of the link that was opened, or nothing. */
export function boardHere(): string | undefined {
  const boardId = location.hash.slice(1)
  return /^[a-z0-9]{12}$/.test(boardId) ? boardId : undefined
}

export const newBoard = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => letters[byte % letters.length]).join('')

/** The board that was open here last. */
export const lastBoard = (): string | null => localStorage.getItem(lastKey)
export const rememberBoard = (boardId: string): void => localStorage.setItem(lastKey, boardId)

/** A browser is one device, and may play others: each has storage of its own. From 1. */
export function deviceHere(): number {
  const device = Number(new URLSearchParams(location.search).get('device'))
  return Number.isSafeInteger(device) && device > 1 && device < 100 ? device : 1
}

/** @param base where the demo is served for the device that opens it */
export const linkTo = (boardId: string, base: string, device = 1): string =>
  new URL(`/shared.html${device === 1 ? '' : `?device=${device}`}#${boardId}`, base).href
