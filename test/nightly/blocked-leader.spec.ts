// H7: Chromium aborts a transaction whose page leaves a finished request unhandled for a minute.
import { expect } from '@playwright/test'
import { append, caughtUp, compare, open, start, status } from '../support/counting.js'
import { openPage, rendererOf, run, test } from '../support/e2e.js'
import { publish } from './report.js'

const blockedFor = 75_000

for (const where of ['a handler', 'the transaction of a commit'] as const) {
  test(`H7: a leader whose main thread is blocked for 75 s inside ${where}: another tab goes on, and every effect is there once`, async ({
    launch,
  }) => {
    const context = await launch({
      args: ['--process-per-tab', '--disable-features=ProcessPerSiteUpToMainFrameThreshold'],
    })
    const [leader, other] = [await openPage(context), await openPage(context)]
    expect(await rendererOf(leader)).not.toBe(await rendererOf(other))
    for (const page of [leader, other]) await open(page, 'page', 'blocked')
    await run(leader, 'page', (_tidemark, _arg, state) => {
      const { on, ...rest } = state['definition']
      const handle = async (event: unknown, tables: unknown) => (state['duringHandler']?.(), on.Added(event, tables))
      state['definition'] = { ...rest, on: { Added: handle } }
    })
    await start(leader)
    await caughtUp(leader, await append(leader, 'page', 20))
    await start(other)
    await expect.poll(() => status(other)).toMatchObject({ phase: 'standby' })
    await run(
      leader,
      'page',
      (_tidemark, { where, blockedFor }, state) => {
        let armed = true
        const block = () => {
          if (!armed) return
          armed = false
          const end = performance.now() + blockedFor
          while (performance.now() < end);
          state['blocked'] = true
        }
        if (where === 'a handler') return void (state['duringHandler'] = block)
        const put = IDBObjectStore.prototype.put
        IDBObjectStore.prototype.put = function (this: IDBObjectStore, ...given: [unknown]) {
          // The request is made and answered, and nobody handles the answer.
          if (this.name === 'tidemark:state') queueMicrotask(block)
          return put.apply(this, given)
        }
      },
      { where, blockedFor },
    )
    const begin = Date.now()
    const position = await append(other, 'page', 40)
    const appended = Date.now() - begin
    await run(
      other,
      'page',
      (_tidemark, position, state) =>
        state['projection'].caughtUp(position, { timeout: 150_000 }).then(() => {}) as Promise<void>,
      position,
    )
    const passed = Date.now() - begin
    // The appends of others are not in its way, however long it is blocked.
    expect(appended).toBeLessThan(30_000)
    await expect
      .poll(() => run(leader, 'page', (_tidemark, _arg, state) => state['blocked'] as boolean), { timeout: 120_000 })
      .toBe(true)
    const back = Date.now() - begin
    expect(back, 'it must have been blocked').toBeGreaterThan(blockedFor - 5_000)
    const last = await append(leader, 'page', 10)
    for (const page of [leader, other])
      await expect.poll(() => status(page), { timeout: 60_000 }).toMatchObject({ position: last })
    const { rows, expected, head } = await compare(other)
    expect([head, rows]).toEqual([70, expected])
    expect(
      await run(
        leader,
        'page',
        async (tidemark, _arg, state) => (await tidemark.verifyReadModel(state['store'], state['definition'])).defects,
      ),
    ).toEqual([])
    publish(context, `H7, blocked in ${where}`, {
      '40 appends of the other tab, ms': appended,
      'projected by it after, ms': passed,
      'the leader was back after, ms': back,
    })
  })
}
