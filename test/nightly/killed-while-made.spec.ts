// H43: an upgrade that is interrupted leaves the old version, or a whole new one.
import { expect } from '@playwright/test'
import { killBrowser, openPage, run, test } from '../support/e2e.js'
import { publish } from './report.js'

const rounds = 50

test('H43: the browser is killed 50 times while a store and a large read model are made: each is there whole, or not at all', async ({
  launch,
}) => {
  const found = { 'no log': 0, 'log only': 0, both: 0, 'storage did not open at first': 0 }
  let context = await launch()
  for (let round = 0; round < rounds; round += 1) {
    const name = `made-${round}`
    let page = await openPage(context)
    const define = async (again: boolean) =>
      run(
        page,
        'page',
        async (tidemark, { name, again }, state) => {
          const events = tidemark.defineEvents<{ type: 'Added'; data: number }>()
          // Many object stores, so that making them takes a while.
          const tables = Object.fromEntries(
            Array.from({ length: 40 }, (_, at) => [
              `t${at}`,
              tidemark.table<{ id: number; a: number; b?: number; c?: number }>()({
                key: 'id',
                indexes: { a: 'a', b: 'b', c: 'c' },
              }),
            ]),
          )
          const definition = tidemark.defineProjection(events, {
            name: 'large',
            tables,
            on: {
              Added: ({ data }, written) => {
                for (const each of Object.keys(tables)) written[each]?.put({ id: data, a: data })
              },
            },
          })
          // The storage of a browser that was just killed may fail to open at first; tidemark tries again by itself.
          let failures = 0
          const list = async (): Promise<IDBDatabaseInfo[]> =>
            indexedDB.databases().catch(async (error: unknown) => {
              failures += 1
              if (failures > 20) throw error
              await new Promise((resolve) => setTimeout(resolve, 100))
              return list()
            })
          const before = again
            ? (await list())
                .map((database) => database.name ?? '')
                .filter((each) => each === `tidemark:${name}` || each.startsWith(`tidemark:${name}:`))
            : []
          const store = await tidemark.openEventStore({ name, events })
          state['store'] = store
          const head = await store.head()
          if (head === 0)
            await store.append({
              stream: 's',
              events: [
                { type: 'Added', data: 1 },
                { type: 'Added', data: 2 },
              ],
            })
          await tidemark.runProjection(store, definition, { leadership: 'wait' })
          const answer = {
            before,
            failures,
            head,
            log: await tidemark.verifyEventStore(store),
            model: await tidemark.verifyReadModel(store, definition),
          }
          await store.close()
          return answer
        },
        { name, again },
      )
    const making = define(false).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 150))
    await killBrowser(context)
    await making
    context = await launch()
    page = await openPage(context)
    const { before, failures, head, log, model } = await define(true)
    if (failures > 0) found['storage did not open at first'] += 1
    expect([0, 2], `round ${round}`).toContain(head)
    expect([log.defects, model.defects, model.rows], `round ${round}`).toEqual([[], [], 80])
    found[before.length === 0 ? 'no log' : before.length === 1 ? 'log only' : 'both'] += 1
    await page.close()
  }
  publish(context, `H43, ${rounds} kills`, found)
})
