/** A projection that e2e tests run in any realm: it counts, and lists the positions that made each row. */
import { run, type Realm } from './e2e.js'
import type { Page } from '@playwright/test'

/** Opens the store and defines the projection in a realm; what other calls of a test find in `state`. */
export const open = (page: Page, realm: Realm, name: string, version = 1) =>
  run(page, realm, async (tidemark, { name, version }, state) => {
    const events = tidemark.defineEvents<{ type: 'Added'; data: { to: string; amount: number } }>()
    state['store'] = await tidemark.openEventStore({ name, events, durability: 'relaxed' })
    state['definition'] = tidemark.defineProjection(events, {
      name: 'counts',
      version,
      tables: { counts: tidemark.table<{ name: string; count: number; total: number }>({ key: 'name' }) },
      on: {
        Added: async ({ data: { to, amount } }, { counts }) => {
          const row = (await counts.get(to)) ?? { name: to, count: 0, total: 0 }
          counts.put({ name: to, count: row.count + 1, total: row.total + amount })
        },
      },
    })
  }, { name, version })

/** Starts the projection in a realm. */
export const start = (page: Page, realm: Realm = 'page') =>
  run(page, realm, (tidemark, _arg, state) => {
    state['projection'] = tidemark.startProjection(state['definition'], state['store'])
  })

/** Appends events one commit each, or all in one. Answers the last position. */
export const append = (page: Page, realm: Realm, times: number, perCommit = 1) =>
  run(page, realm, async (_tidemark, { times, perCommit }, state) => {
    let position = 0
    for (let at = 0; at < times; at += perCommit) {
      const events = Array.from({ length: Math.min(perCommit, times - at) }, (_, offset) => ({ type: 'Added', data: { to: `k${(at + offset) % 5}`, amount: at + offset } }))
      position = (await state['store'].append({ stream: `s${at % 7}`, events })).position
    }
    return position
  }, { times, perCommit })

export const caughtUp = (page: Page, position: number, realm: Realm = 'page') =>
  run(page, realm, (_tidemark, position, state) => state['projection'].caughtUp(position, { timeout: 30_000 }).then(() => {}) as Promise<void>, position)

export const status = (page: Page, realm: Realm = 'page') =>
  run(page, realm, (_tidemark, _arg, state) => {
    const { lastError, ...rest } = state['projection'].status.getSnapshot()
    return { ...rest, lastError: lastError === undefined ? undefined : String(lastError) } as { phase: string; position: number; head: number; leader: boolean; owner: string; reason?: string }
  })

/** The rows as they are, and what a plain fold of the log makes of the events up to their checkpoint. */
export const compare = (page: Page, realm: Realm = 'page') =>
  run(page, realm, async (tidemark, _arg, state) => {
    const view = await tidemark.openReadModel(state['store'], state['definition'])
    const position = await view.position()
    const rows = await (view as unknown as { counts: { getAll(): Promise<unknown[]> } }).counts.getAll()
    await view.close()
    const expected = new Map<string, { name: string; count: number; total: number }>()
    let at = 0
    for await (const event of state['store'].read()) {
      at += 1
      if (event.position !== at) throw new Error(`position ${event.position} stands at ${at}`)
      if (at > position) continue
      const { to, amount } = event.data
      const row = expected.get(to) ?? { name: to, count: 0, total: 0 }
      expected.set(to, { name: to, count: row.count + 1, total: row.total + amount })
    }
    return { position, head: at, rows, expected: [...expected.values()].sort((a, b) => (a.name < b.name ? -1 : 1)) }
  })
