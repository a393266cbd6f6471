// H70: the machine sleeps; timers that are due fire together when it wakes.
import { expect, type Page } from '@playwright/test'
import { append, compare, open, start, status } from '../support/counting.js'
import { openPage, run, sleepBrowser, test } from '../support/e2e.js'
import { publish } from './report.js'

/** Appends now and then, and counts transactions and what fails. */
const watch = (page: Page) =>
  run(page, 'page', (_tidemark, _arg, state) => {
    const perSecond = new Map<number, number>()
    const transaction = IDBDatabase.prototype.transaction
    IDBDatabase.prototype.transaction = function (this: IDBDatabase, ...given: [string]) {
      const second = Math.floor(performance.now() / 1000)
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1)
      return transaction.apply(this, given)
    }
    const tally = { appended: 0, failed: [] as string[], perSecond, stop: false, done: false, reports: [] as string[] }
    state['tally'] = tally
    state['projection'].status.subscribe(() => {
      const { phase, lastError } = state['projection'].status.getSnapshot()
      if (lastError !== undefined) tally.reports.push(`${phase}: ${lastError}`)
    })
    void (async () => {
      for (let n = 0; !tally.stop; n += 1) {
        await state['store']
          .append({ stream: `s${n % 7}`, events: [{ type: 'Added', data: { to: `k${n % 5}`, amount: n } }] })
          .then(
            () => (tally.appended += 1),
            (error: unknown) => tally.failed.push(String(error)),
          )
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      tally.done = true
    })()
  })
const tally = (page: Page) =>
  run(page, 'page', (_tidemark, _arg, state) => {
    const { appended, failed, perSecond, done, reports } = state['tally']
    return {
      appended,
      failed,
      done,
      reports,
      perSecond: [...perSecond],
      now: Math.floor(performance.now() / 1000),
    } as {
      appended: number
      failed: string[]
      done: boolean
      reports: string[]
      perSecond: [number, number][]
      now: number
    }
  })

test('H70: the whole browser is stopped for 90 s while two tabs append and project: no error surfaces, and there is no burst afterwards', async ({
  launch,
}) => {
  const context = await launch()
  const pages = [await openPage(context), await openPage(context)] as const
  for (const page of pages) {
    await open(page, 'page', 'asleep')
    await start(page)
    await append(page, 'page', 10)
    await watch(page)
  }
  await pages[0].waitForTimeout(10_000)
  const before = await Promise.all(pages.map(tally))
  await sleepBrowser(context, 90_000)
  await pages[0].waitForTimeout(15_000)
  for (const page of pages) await run(page, 'page', (_tidemark, _arg, state) => void (state['tally'].stop = true))
  for (const page of pages) await expect.poll(async () => (await tally(page)).done).toBe(true)
  const after = await Promise.all(pages.map(tally))
  const most = (seconds: [number, number][]) => Math.max(...seconds.map(([, count]) => count))
  const usual = Math.max(...before.map(({ perSecond }) => most(perSecond)))
  const burst = Math.max(
    ...after.map(({ perSecond }, at) =>
      most(perSecond.filter(([second]) => second > (before[at] as { now: number }).now)),
    ),
  )
  publish(context, 'H70, 90 s asleep', {
    'most transactions of a tab in a second before': usual,
    'and after': burst,
    appended: after.map(({ appended }) => appended),
    failed: after.flatMap(({ failed }) => failed),
    reports: after.flatMap(({ reports }) => [...new Set(reports)]),
  })
  expect(after.flatMap(({ failed }) => failed)).toEqual([])
  expect(after.flatMap(({ reports }) => reports)).toEqual([])
  expect(after.every(({ appended }, at) => appended > (before[at] as { appended: number }).appended)).toBe(true)
  expect(burst).toBeLessThan(3 * usual + 20)
  await expect
    .poll(async () => {
      const { position, head } = await status(pages[0])
      return head - position
    })
    .toBe(0)
  const { rows, expected, position, head } = await compare(pages[0])
  expect(position).toBe(head)
  expect(rows).toEqual(expected)
})
