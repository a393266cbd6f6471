// H6: a page that freezes between its last request and the commit keeps a transaction open, and every other tab waiting.
import { expect, type Page } from '@playwright/test'
import { lifecycle, openPage, run, test, type E2eFixtures } from '../support/e2e.js'
import { publish, spread } from './report.js'

const bound = 5_000

/** Appends without pause, several at once, for ever. */
const writeOn = (page: Page) =>
  run(page, 'page', (_tidemark, _arg, state) => {
    for (let lane = 0; lane < 3; lane += 1) {
      void (async () => {
        for (let n = 0; ; n += 1) {
          await state['store']
            .append([
              { stream: `a-${lane}`, events: [{ type: 'A', data: n }] },
              { stream: 'shared', events: [{ type: 'A', data: n }] },
            ])
            .catch(() => {})
          await new Promise((resolve) => setTimeout(resolve))
        }
      })()
    }
  })

/** Freezes the writer at a random moment and appends from the other page meanwhile. Answers how long that took, or Infinity. */
async function round(writer: Page, other: Page): Promise<number> {
  await other.waitForTimeout(Math.random() * 30)
  await lifecycle(writer, 'frozen')
  const appending = run(
    other,
    'page',
    async (_tidemark, bound, state) => {
      const begin = performance.now()
      const append = state['store'].append({ stream: 'b', events: [{ type: 'B', data: null }] })
      append.catch(() => {})
      const late = new Promise<number>((resolve) => setTimeout(resolve, bound, -1))
      return Promise.race([append.then(() => performance.now() - begin), late]) as Promise<number>
    },
    bound,
  )
  const took = await appending
  await lifecycle(writer, 'active')
  return took < 0 ? Infinity : took
}

async function prepared(launch: E2eFixtures['launch'], name: string) {
  const context = await launch({ realistic: true })
  const writer = await openPage(context)
  const other = await openPage(context)
  await other.bringToFront()
  for (const page of [writer, other])
    await run(
      page,
      'page',
      async (tidemark, name, state) =>
        void (state['store'] = await tidemark.openEventStore({ name, durability: 'relaxed' })),
      name,
    )
  await expect.poll(() => writer.evaluate(() => document.visibilityState)).toBe('hidden')
  return { context, writer, other }
}

test('H6: a writer is frozen at 500 random moments, and the append of another tab never waits for it', async ({
  launch,
}) => {
  const { context, writer, other } = await prepared(launch, 'frozen-writer')
  await writeOn(writer)
  const times: number[] = []
  for (let at = 0; at < 500; at += 1) times.push(await round(writer, other))
  publish(context, 'H6, 500 rounds', {
    blocked: times.filter((time) => time === Infinity).length,
    ...spread(times.filter((time) => time !== Infinity)),
  })
  expect(times.filter((time) => time === Infinity)).toEqual([])
  expect(
    await run(
      other,
      'page',
      async (tidemark, _arg, state) => (await tidemark.verifyEventStore(state['store'])).ok as boolean,
    ),
  ).toBe(true)
})

test('H6, control: without commit(), and without letting go at a freeze, the other tab is blocked: the test above can see it', async ({
  launch,
}) => {
  const { context, writer, other } = await prepared(launch, 'frozen-writer-control')
  await writer.evaluate(() => {
    IDBTransaction.prototype.commit = () => {}
    // Without this the transactions that need several turns are rolled back at the freeze, and that alone keeps the others free.
    addEventListener('freeze', (event) => event.stopImmediatePropagation(), { capture: true })
  })
  await writeOn(writer)
  const rounds: number[] = []
  while (rounds.length < 500 && rounds.filter((time) => time === Infinity).length < 3)
    rounds.push(await round(writer, other))
  publish(context, 'H6, control without commit()', {
    rounds: rounds.length,
    blocked: rounds.filter((time) => time === Infinity).length,
  })
  expect(rounds).toContain(Infinity)
})
