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
  let abort = () => {}
  const end = () => {
    signal?.removeEventListener('abort', abort)
    // A source that waits for something ends when that comes.
    source.return?.().catch(() => {})
  }
  return new ReadableStream({
    start(controller) {
      abort = () => {
        end()
        controller.error(signal?.reason)
      }
      signal?.addEventListener('abort', abort)
      if (signal?.aborted === true) abort()
    },
    async pull(controller) {
      try {
        let [text, isLast] = ['', false]
        while (!isLast && text.length < partBytes) {
          const { done, value } = await source.next()
          if (done === true) isLast = true
          else text += value
        }
        // Throws if the stream was aborted meanwhile, and then nothing else happens.
        if (text !== '') controller.enqueue(new TextEncoder().encode(text))
        if (!isLast) return
        end()
        controller.close()
      } catch (error) {
        end()
        controller.error(error)
      }
    },
    cancel: end,
  })
}
