// Projections across tabs: leadership, a leader that dies, and a service worker that takes its turn.
import { expect } from '@playwright/test'
import { crash, openPage, run, test } from '../support/e2e.js'

test('H19, L4, N24: when the leading tab crashes another goes on, and every effect is there once', async ({
  launch,
}) => {
  const context = await launch()
  const pages = [await openPage(context), await openPage(context)] as const
  const start = async (page: (typeof pages)[number]) =>
    run(
      page,
      'page',
      async (tidemark, _arg, state) => {
        const store = await tidemark.openEventStore({ name: 'crash' })
        const definition = tidemark.defineProjection(tidemark.defineEvents<{ type: 'Added'; data: { to: string } }>(), {
          name: 'counts',
          tables: { counts: tidemark.table<{ name: string; count: number }>({ key: 'name' }) },
          on: {
            Added: async (event, { counts }) => {
              const { to } = event.data
              counts.put({ name: to, count: ((await counts.get(to))?.count ?? 0) + 1 })
            },
          },
        })
        const projection = tidemark.startProjection(store as never, definition)
        Object.assign(state as object, { store, definition, projection })
      },
      undefined,
    )
  const append = (page: (typeof pages)[number], times: number) =>
    run(
      page,
      'page',
      async (_tidemark, count, state) => {
        const { store, projection } = state as {
          store: { append(write: unknown): Promise<{ position: number }> }
          projection: {
            caughtUp(position: number, options: object): Promise<unknown>
            status: { getSnapshot(): { leader: boolean } }
          }
        }
        let position = 0
        for (let at = 0; at < (count as number); at += 1)
          ({ position } = await store.append({
            stream: `s${at % 3}`,
            events: [{ type: 'Added', data: { to: `k${at % 4}` } }],
          }))
        await projection.caughtUp(position, { timeout: 20_000 })
        return { leader: projection.status.getSnapshot().leader, position }
      },
      times,
    )

  await start(pages[0])
  const first = await append(pages[0], 40)
  expect(first.leader).toBe(true)
  await start(pages[1])
  expect((await append(pages[1], 40)).leader).toBe(false)
  await crash(pages[0])
  const last = await append(pages[1], 40)
  expect(last.position).toBe(120)

  const rows = await run(
    pages[1],
    'page',
    async (tidemark, _arg, state) => {
      const { store, definition } = state as { store: never; definition: never }
      const view = (await tidemark.openReadModel(store, definition)) as unknown as {
        counts: { getAll(): Promise<unknown[]> }
        close(): Promise<void>
      }
      const all = await view.counts.getAll()
      await view.close()
      return all
    },
    undefined,
  )
  expect(rows).toEqual(['k0', 'k1', 'k2', 'k3'].map((name) => ({ name, count: 30 })))
})

test('N19: an event whose handler kills the tab is set aside after five tabs, and everything else is there', async ({
  launch,
}) => {
  const context = await launch()
  type State = {
    projection: {
      status: { getSnapshot(): Record<string, unknown> }
      resume(): Promise<void>
      skip(position: number): Promise<void>
      caughtUp(position: number, options: object): Promise<unknown>
    }
    store: never
    definition: never
  }
  const openAndStart = async () => {
    const page = await openPage(context)
    /** What the handler asks for by name, since only the browser can kill a tab. */
    let ask = () => {}
    const asked = new Promise<void>((resolve) => (ask = resolve))
    await page.exposeFunction('killMe', () => ask())
    await run(
      page,
      'page',
      async (tidemark, _arg, state) => {
        const store = await tidemark.openEventStore({ name: 'deadly' })
        if ((await store.head()) === 0)
          await store.append({
            stream: 's',
            events: Array.from({ length: 100 }, () => ({ type: 'Added', data: null })),
          })
        const definition = tidemark.defineProjection(tidemark.defineEvents<{ type: 'Added'; data: null }>(), {
          name: 'seen',
          tables: { seen: tidemark.table<{ position: number }>({ key: 'position' }) },
          on: {
            Added: ({ position }, { seen }) => {
              if (position !== 37) return seen.put({ position })
              ;(globalThis as unknown as { killMe(): void }).killMe()
              return new Promise<void>(() => {})
            },
          },
        })
        Object.assign(state as object, {
          store,
          definition,
          projection: tidemark.startProjection(store as never, definition),
        })
      },
      undefined,
    )
    return { page, asked }
  }
  const statusOf = (page: Parameters<typeof crash>[0]) =>
    run(
      page,
      'page',
      async (_tidemark, _arg, state) => {
        const { phase, position, message } = (state as State).projection.status.getSnapshot()
        return { phase, position, message: String(message) }
      },
      undefined,
    )

  let tab = await openAndStart()
  for (let kills = 0; kills < 5; kills += 1) {
    await tab.asked
    await crash(tab.page)
    await tab.page.close()
    tab = await openAndStart()
  }
  await expect
    .poll(() => statusOf(tab.page))
    .toMatchObject({ phase: 'faulted', position: 36, message: expect.stringContaining('position 37') })
  const rows = await run(
    tab.page,
    'page',
    async (tidemark, _arg, state) => {
      const { projection, store, definition } = state as State
      await projection.skip(37)
      await projection.caughtUp(100, { timeout: 20_000 })
      const view = (await tidemark.openReadModel(store, definition)) as unknown as {
        seen: { getAll(): Promise<{ position: number }[]> }
        close(): Promise<void>
      }
      const all = await view.seen.getAll()
      await view.close()
      return all.map(({ position }) => position)
    },
    undefined,
  )
  expect(rows).toEqual(Array.from({ length: 100 }, (_, at) => at + 1).filter((position) => position !== 37))
})

test('N38, H61: a service worker projects in batches while no tab leads', async ({ launch }) => {
  const page = await openPage(await launch())
  const outcome = await run(page, 'service', async (tidemark) => {
    const store = await tidemark.openEventStore({ name: 'worker' })
    const definition = tidemark.defineProjection(tidemark.defineEvents<{ type: 'Added'; data: number }>(), {
      name: 'total',
      tables: { totals: tidemark.table<{ name: string; total: number }>({ key: 'name' }) },
      on: {
        Added: async ({ data }, { totals }) => {
          totals.put({ name: 'all', total: ((await totals.get('all'))?.total ?? 0) + data })
        },
      },
    })
    await store.append({ stream: 's', events: Array.from({ length: 100 }, () => ({ type: 'Added', data: 2 })) })
    const reasons: string[] = []
    while (reasons.length < 20 && reasons.at(-1) !== 'caught-up') {
      reasons.push((await tidemark.runProjection(store as never, definition, { budget: { maxEvents: 40 } })).reason)
    }
    const view = await tidemark.openReadModel(store as never, definition)
    const total = (await view.totals.get('all'))?.total
    await view.close()
    await store.close()
    return { reasons, total }
  })
  expect(outcome).toEqual({ reasons: ['budget', 'budget', 'caught-up'], total: 200 })
})

test('H66: a loop over follow in one tab has every event of two others, once and in order', async ({ launch }) => {
  const context = await launch()
  const [reader, ...writers] = [await openPage(context), await openPage(context), await openPage(context)] as const
  const open = (page: typeof reader) =>
    run(
      page,
      'page',
      async (tidemark, _arg, state) => {
        Object.assign(state as object, { store: await tidemark.openEventStore({ name: 'followed' }) })
      },
      undefined,
    )
  for (const page of [reader, ...writers]) await open(page)
  const following = run(
    reader,
    'page',
    async (_tidemark, wanted, state) => {
      const { store } = state as {
        store: { follow(): AsyncIterable<{ position: number; version: number; stream: string }> }
      }
      const found: [number, string, number][] = []
      for await (const { position, stream, version } of store.follow())
        if (found.push([position, stream, version]) === wanted) break
      return found
    },
    60,
  )
  await Promise.all(
    writers.map((page, index) =>
      run(
        page,
        'page',
        async (_tidemark, stream, state) => {
          const { store } = state as { store: { append(stream: unknown, event: object): Promise<unknown> } }
          for (let at = 0; at < 30; at += 1) await store.append(stream, { type: 'Added', data: at })
        },
        `s${index}`,
      ),
    ),
  )
  const found = await following
  expect(found.map(([position]) => position)).toEqual(Array.from({ length: 60 }, (_, at) => at + 1))
  for (const stream of ['s0', 's1'])
    expect(found.filter(([, name]) => name === stream).map(([, , version]) => version)).toEqual(
      Array.from({ length: 30 }, (_, at) => at + 1),
    )
})
