/** What several hold, and what ends with the last of them. */

/**
 * Returns how to take a share in something. A share is let go once; calls after that do nothing.
 *
 * @param end called when the last share is let go
 */
export function shares<T>(end: () => T): () => () => T | undefined {
  let holders = 0
  return () => {
    holders += 1
    let isHeld = true
    return () => {
      if (!isHeld) return undefined
      isHeld = false
      holders -= 1
      return holders === 0 ? end() : undefined
    }
  }
}
