// Projections across tabs: leadership, a leader that dies, and a service worker that takes its turn.
import { expect } from '@playwright/test'
import { crash, openPage, run, test } from '../support/e2e.js'

test('H19, L4, N24: when the leading tab crashes another goes on, and every effect is there once', async ({ launch }) => {
  const context = await launch()
  const pages = [await openPage(context), await openPage(context)] as const
  const start = async (page: (typeof pages)[number]) =>
    run(page, 'page', async (tidemark, _arg, state) => {
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
      const projection = tidemark.startProjection(definition, store as never)
      Object.assign(state as object, { store, definition, projection })
    }, undefined)
  const append = (page: (typeof pages)[number], times: number) =>
    run(page, 'page', async (_tidemark, count, state) => {
      const { store, projection } = state as { store: { append(write: unknown): Promise<{ position: number }> }; projection: { caughtUp(position: number, options: object): Promise<unknown>; status: { getSnapshot(): { leader: boolean } } } }
      let position = 0
      for (let at = 0; at < (count as number); at += 1) ({ position } = await store.append({ stream: `s${at % 3}`, events: [{ type: 'Added', data: { to: `k${at % 4}` } }] }))
      await projection.caughtUp(position, { timeout: 20_000 })
      return { leader: projection.status.getSnapshot().leader, position }
    }, times)

  await start(pages[0])
  const first = await append(pages[0], 40)
  expect(first.leader).toBe(true)
  await start(pages[1])
  expect((await append(pages[1], 40)).leader).toBe(false)
  await crash(pages[0])
  const last = await append(pages[1], 40)
  expect(last.position).toBe(120)

  const rows = await run(pages[1], 'page', async (tidemark, _arg, state) => {
    const { store, definition } = state as { store: never; definition: never }
    const view = await tidemark.openReadModel(store, definition) as unknown as { counts: { getAll(): Promise<unknown[]> }; close(): Promise<void> }
    const all = await view.counts.getAll()
    await view.close()
    return all
  }, undefined)
  expect(rows).toEqual(['k0', 'k1', 'k2', 'k3'].map((name) => ({ name, count: 30 })))
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
      reasons.push((await tidemark.runProjection(definition, store as never, { budget: { maxEvents: 40 } })).reason)
    }
    const view = await tidemark.openReadModel(store as never, definition)
    const total = (await view.totals.get('all'))?.total
    await view.close()
    await store.close()
    return { reasons, total }
  })
  expect(outcome).toEqual({ reasons: ['budget', 'budget', 'caught-up'], total: 200 })
})
