/** Reading dead letters page by page. */
import type { DeadLetterRecord } from './target.js'

/** All dead letters that `read` finds, in order, `atOnce` of them in one request. */
export async function* lettersInPages(
  read: (after: number, limit: number) => Promise<readonly DeadLetterRecord[]>,
  atOnce: number,
): AsyncGenerator<DeadLetterRecord, void, undefined> {
  for (let after = 0; ;) {
    const page = await read(after, atOnce)
    yield* page
    after = page.at(-1)?.position ?? after
    if (page.length < atOnce) return
  }
}
