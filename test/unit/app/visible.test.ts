// Waiting until a write is on the screen: what live queries have time for.
import { expect, test } from 'vitest'
import { virtualClock } from 'tidemark/testing'
import type { Opened } from '../../../src/app/open-app.js'
import { becomesVisible } from '../../../src/app/visible.js'

/** One model, whose rows have the write, and whose live queries show it as `published` says. */
const openedWith = (published: () => Promise<void>) =>
  ({
    store: {},
    models: [
      {
        definition: { filter: {} },
        handle: { caughtUp: async () => {} },
        view: { value: () => ({ published }) },
      },
    ],
  }) as unknown as Opened<never>

test('what live queries show is waited for, at most a second, which a failed look does not end', async () => {
  for (const [published, takes] of [
    [async () => {}, 0],
    [() => new Promise<void>(() => {}), 1_000],
    [() => Promise.reject(new Error('cannot be read')), 1_000],
  ] as const) {
    const clock = virtualClock()
    let visible: boolean | undefined
    const done = becomesVisible(openedWith(published), ['Added'], 1, 5_000, clock).then((is) => (visible = is))
    await clock.advance(takes - 1)
    expect(visible).toBe(takes === 0 ? true : undefined)
    await clock.advance(1)
    expect(await done).toBe(true)
    expect(clock.pending).toBe(0)
  }
})
