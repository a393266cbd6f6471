// Tabs that end while they hold everything (H78): a discarded tab was frozen, and gets no event on its way out.
import { expect } from '@playwright/test'
import { append, caughtUp, compare, open, start, status } from '../support/counting.js'
import { crash, lifecycle, openPage, rendererOf, run, test } from '../support/e2e.js'

const endings = [
  { how: 'crashes', end: async (page: Parameters<typeof crash>[0]) => crash(page) },
  {
    how: 'is killed',
    end: async (_page: Parameters<typeof crash>[0], renderer: number) => void process.kill(renderer, 'SIGKILL'),
  },
]
for (const { how, end } of endings) {
  test(`H78: a frozen tab that holds lock, connection and an open transaction ${how}: others go on, and all is consistent when it is loaded again`, async ({
    launch,
  }) => {
    // A renderer of its own, so that only this tab ends.
    const context = await launch({
      realistic: true,
      args: ['--process-per-tab', '--disable-features=ProcessPerSiteUpToMainFrameThreshold'],
    })
    const doomed = await openPage(context)
    await open(doomed, 'page', 'doomed')
    await start(doomed)
    await caughtUp(doomed, await append(doomed, 'page', 20))
    const renderer = await rendererOf(doomed)
    const other = await openPage(context)
    expect(await rendererOf(other), 'the tab must have a process of its own').not.toBe(renderer)
    await other.bringToFront()
    await open(other, 'page', 'doomed')
    await run(doomed, 'page', async () => {
      // First in the queue for the lock that tidemark lets go of when the page freezes, so that the frozen page has it.
      for (const held of (await navigator.locks.query()).held ?? [])
        if (held.mode === 'exclusive')
          void navigator.locks.request(held.name as string, () => new Promise(() => {})).catch(() => {})
      const database = await new Promise<IDBDatabase>((resolve) => {
        const request = indexedDB.open('tidemark:doomed')
        request.onsuccess = () => resolve(request.result)
      })
      // And a write that never ends: of a page that is frozen nobody asks whether it is done.
      document.addEventListener(
        'freeze',
        () => void database.transaction('commits', 'readwrite').objectStore('commits').count(),
      )
    })
    await expect.poll(() => doomed.evaluate(() => document.visibilityState)).toBe('hidden')
    await lifecycle(doomed, 'frozen')
    await start(other)
    expect(
      await run(
        other,
        'page',
        async () => (await navigator.locks.query()).held?.filter(({ mode }) => mode === 'exclusive').length,
      ),
    ).toBe(1)
    expect(await status(other)).toMatchObject({ leader: false })

    let stored = false
    const appending = append(other, 'page', 10).then((position) => ((stored = true), position))
    await other.waitForTimeout(1_500)
    expect(stored, 'the frozen tab must be in the way, or the test proves nothing').toBe(false)
    await end(doomed, renderer)
    const position = await appending
    expect(position).toBe(30)
    await caughtUp(other, position)
    await expect.poll(() => status(other)).toMatchObject({ phase: 'live', leader: true, position })

    await doomed.close()
    const again = await openPage(context)
    await open(again, 'page', 'doomed')
    await start(again)
    await caughtUp(again, await append(again, 'page', 5))
    const { rows, expected, head } = await compare(again)
    expect([head, rows]).toEqual([35, expected])
    expect(
      await run(again, 'page', async (tidemark, _arg, state) => [
        (await tidemark.verifyEventStore(state['store'])).ok,
        (await tidemark.verifyReadModel(state['store'], state['definition'])).ok,
      ]),
    ).toEqual([true, true])
  })
}
