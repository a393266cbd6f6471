/** Text as the body of a response. */

/** How much is sent together. */
const partBytes = 65_536

/**
 * A body that asks for more text only when what is there has been taken. Ends, and ends its source, when the client or
 * the signal does; if the source throws, the body is cut off.
 */
export function textStream(texts: AsyncIterable<string>, signal: AbortSignal): ReadableStream<Uint8Array<ArrayBuffer>> {
  const source = texts[Symbol.asyncIterator]()
  let body!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>
  const abort = () => fail(signal.reason)
  const end = () => {
    signal.removeEventListener('abort', abort)
    // A source that waits for something ends when that comes.
    source.return?.().catch(() => {})
  }
  const fail = (error: unknown) => {
    end()
    body.error(error)
  }
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      body = controller
    },
    async pull() {
      try {
        let [text, isLast] = ['', false]
        while (!isLast && text.length < partBytes) {
          const { done, value } = await source.next()
          isLast = done === true
          text += value ?? ''
        }
        // Throws if the stream was aborted meanwhile, and then nothing else happens.
        if (text !== '') body.enqueue(new TextEncoder().encode(text))
        if (!isLast) return
        end()
        body.close()
      } catch (error) {
        fail(error)
      }
    },
    cancel: end,
  })
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  return stream
}
