// Apps of `tidemark()` in several tabs and in a service worker.
import { expect } from '@playwright/test'
import type { Page } from '@playwright/test'
import { openPage, run, test, type Realm } from '../support/e2e.js'

interface App {
  append(stream: string, event: unknown, options?: object): Promise<{ position: number; visible?: boolean }>
  reopen(): Promise<{ name: string }>
  catchUp(): Promise<void>
  close(): Promise<void>
  status: { getSnapshot(): { phase: string } }
  counts: {
    status: { getSnapshot(): { leader: boolean; phase: string } }
    rows: {
      getAll(): Promise<{ id: string; n: number }[]>
      live(): {
        subscribe(listener: () => void): () => void
        getSnapshot(): { status: string; data?: { id: string; n: number }[] }
      }
    }
  }
}
/** What a context keeps between calls. */
interface Kept {
  app: App
  user: string
  shown: string[]
}

/** Makes the app of the test, whose name depends on the user, and shows its rows. */
const start = (page: Page, user: string, realm: Realm = 'page') =>
  run(
    page,
    realm,
    async (tidemark, first, state) => {
      const kept = state as Kept
      kept.user = first as string
      kept.shown = []
      const events = tidemark.defineEvents<{ type: 'Added'; data: { to: string } }>()
      const counts = tidemark.defineProjection(events, {
        name: 'counts',
        tables: { rows: tidemark.table<{ id: string; n: number }>({ key: 'id' }) },
        on: { Added: ({ data }, { rows }) => rows.update(data.to, (row) => ({ id: data.to, n: (row?.n ?? 0) + 1 })) },
      })
      kept.app = tidemark.tidemark({ name: () => `notes-${kept.user}`, events, models: { counts } }) as never
      const live = kept.app.counts.rows.live()
      live.subscribe(() => kept.shown.push(JSON.stringify(live.getSnapshot().data)))
    },
    user,
  )
const add = (page: Page, to: string, realm: Realm = 'page') =>
  run(
    page,
    realm,
    async (_tidemark, given, state) => {
      const { app, shown } = state as Kept
      const event = { type: 'Added', data: { to: given as string } }
      const { visible } = await app.append('s', event, { until: 'visible', timeout: 20_000 })
      return { visible, shown: shown.at(-1), rows: await app.counts.rows.getAll() }
    },
    to,
  )
const shownIn = (page: Page) =>
  run(page, 'page', async (_tidemark, _arg, state) => (state as Kept).shown.at(-1), undefined)

test("until: 'visible' holds in the tab that appends, whichever tab leads, and other tabs follow", async ({
  launch,
}) => {
  const context = await launch()
  const [one, other] = [await openPage(context), await openPage(context)]
  for (const page of [one, other]) await start(page, 'ann')
  for (const [at, page] of [one, other, one, other].entries()) {
    const rows = [{ id: 'a', n: at + 1 }]
    expect(await add(page, 'a')).toEqual({ visible: true, shown: JSON.stringify(rows), rows })
  }
  for (const page of [one, other]) await expect.poll(() => shownIn(page)).toBe('[{"id":"a","n":4}]')
})

test('logout: reopen() in each tab shows no row of the former user, and the tabs share the new one', async ({
  launch,
}) => {
  const context = await launch()
  const pages = [await openPage(context), await openPage(context)] as const
  for (const page of pages) await start(page, 'ann')
  expect((await add(pages[0], 'ann')).visible).toBe(true)
  for (const page of pages) await expect.poll(() => shownIn(page)).toBe('[{"id":"ann","n":1}]')
  const logout = (page: Page) =>
    run(
      page,
      'page',
      async (_tidemark, user, state) => {
        const kept = state as Kept
        kept.user = user as string
        const reopened = kept.app.reopen()
        const atOnce = kept.app.counts.rows.live().getSnapshot().status
        return { atOnce, name: (await reopened).name }
      },
      'bob',
    )
  for (const page of pages) expect(await logout(page)).toEqual({ atOnce: 'loading', name: 'notes-bob' })
  for (const page of pages) await expect.poll(() => shownIn(page)).toBe('[]')
  expect(await add(pages[1], 'bob')).toMatchObject({ visible: true, rows: [{ id: 'bob', n: 1 }] })
  await expect.poll(() => shownIn(pages[0])).toBe('[{"id":"bob","n":1}]')
})

test('a service worker runs nothing by itself, and catches up when it is asked', async ({ launch }) => {
  const context = await launch()
  const page = await openPage(context)
  await start(page, 'ann', 'service')
  const state = await run(
    page,
    'service',
    async (_tidemark, _arg, kept) => {
      const { app } = kept as Kept
      await app.append('s', { type: 'Added', data: { to: 'a' } })
      const before = await app.counts.rows.getAll()
      await app.catchUp()
      return { before, after: await app.counts.rows.getAll(), leader: app.counts.status.getSnapshot().leader }
    },
    undefined,
  )
  expect(state).toEqual({ before: [], after: [{ id: 'a', n: 1 }], leader: false })
})
