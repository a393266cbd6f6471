/** Text as the body of a response. */

/** How much is sent together. */
const partBytes = 65_536

/**
 * A body that asks for more text only when what is there has been taken. Ends, and ends its source, when the client or
 * the signal does; if the source throws, the body is cut off.
 */
export function textStream(
  texts: AsyncIterable<string>,
  signal?: AbortSignal,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const source = texts[Symbol.asyncIterator]()
  const encoder = new TextEncoder()
  let isOver = false
  const end = () => {
    isOver = true
    signal?.removeEventListener('abort', abort)
    // A source that waits for something ends when that comes.
    source.return?.().catch(() => {})
  }
  let abort = () => {}
  return new ReadableStream({
    start(controller) {
      abort = () => {
        if (isOver) return
        end()
        controller.error(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      if (signal?.aborted === true) abort()
    },
    async pull(controller) {
      let text = ''
      try {
        while (text.length < partBytes) {
          const { done, value } = await source.next()
          if (isOver) return
          if (done === true) {
            if (text !== '') controller.enqueue(encoder.encode(text))
            controller.close()
            end()
            return
          }
          text += value
        }
      } catch (error) {
        if (isOver) return
        end()
        controller.error(error)
        return
      }
      controller.enqueue(encoder.encode(text))
    },
    cancel: end,
  })
}
