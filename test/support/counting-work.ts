/**
 * A projection that tests run in any page or worker: it counts. Every function here is sent as source to the harness, which
 * calls it with the package, its argument, and a `state` that stays between calls; so none may refer to anything outside itself.
 */
import type { Tidemark } from '../e2e/harness/rpc.js'

type State = Record<string, any>

/** Opens the store and defines the projection; what the other functions find in `state`. */
export async function open(
  tidemark: Tidemark,
  { name, version }: { readonly name: string; readonly version: number },
  state: State,
): Promise<void> {
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
}

export function start(tidemark: Tidemark, _arg: undefined, state: State): void {
  state['projection'] = tidemark.startProjection(state['store'], state['definition'])
}

/** Appends events one commit each, or so many in one. Answers the last position. */
export async function append(
  _tidemark: Tidemark,
  { times, perCommit }: { readonly times: number; readonly perCommit: number },
  state: State,
): Promise<number> {
  let position = 0
  for (let at = 0; at < times; at += perCommit) {
    const events = Array.from({ length: Math.min(perCommit, times - at) }, (_, offset) => ({
      type: 'Added',
      data: { to: `k${(at + offset) % 5}`, amount: at + offset },
    }))
    position = (await state['store'].append({ stream: `s${at % 7}`, events })).position
  }
  return position
}

/** Appends so many events to the contested stream, each at the version it read last; a refusal means that somebody else was first. */
export async function race(_tidemark: Tidemark, wins: number, state: State): Promise<number> {
  const { store } = state as {
    store: { streamVersion(stream: string): Promise<number>; append(write: object): Promise<unknown> }
  }
  let won = 0
  for (let tries = 0; won < wins && tries < 5_000; tries += 1) {
    const expectedVersion = await store.streamVersion('contested')
    try {
      await store.append({
        stream: 'contested',
        expectedVersion,
        events: [{ type: 'Added', data: { to: 'contested', amount: expectedVersion } }],
      })
      won += 1
    } catch (error) {
      const { code, expected, actual } = error as { code: string; expected: number; actual: number }
      if (code !== 'version-conflict' || expected !== expectedVersion || !(actual > expected)) throw error
    }
  }
  return won
}

export function caughtUp(_tidemark: Tidemark, position: number, state: State): Promise<void> {
  return state['projection'].caughtUp(position, { timeout: 30_000 }).then(() => {})
}

export interface Status {
  readonly phase: string
  readonly position: number
  readonly head: number
  readonly leader: boolean
  readonly owner: string
  readonly reason?: string
}

export function status(_tidemark: Tidemark, _arg: undefined, state: State): Status {
  const { lastError, ...rest } = state['projection'].status.getSnapshot()
  return { ...rest, lastError: lastError === undefined ? undefined : String(lastError) }
}

export interface Comparison {
  /** The checkpoint of the rows. */
  readonly position: number
  readonly head: number
  readonly rows: readonly unknown[]
  readonly expected: readonly unknown[]
}

/** The rows as they are, and what a plain fold of the log makes of the events up to their checkpoint. Throws at a gap in positions or versions. */
export async function compare(tidemark: Tidemark, _arg: undefined, state: State): Promise<Comparison> {
  const view = await tidemark.openReadModel(state['store'], state['definition'])
  const position = await view.position()
  const rows = await (view as unknown as { counts: { getAll(): Promise<unknown[]> } }).counts.getAll()
  await view.close()
  const expected = new Map<string, { name: string; count: number; total: number }>()
  const versions = new Map<string, number>()
  let at = 0
  for await (const event of state['store'].read()) {
    at += 1
    if (event.position !== at) throw new Error(`position ${event.position} stands at ${at}`)
    const version = (versions.get(event.stream) ?? 0) + 1
    if (event.version !== version)
      throw new Error(`'${event.stream}' has version ${event.version} where ${version} is due, at ${at}`)
    versions.set(event.stream, version)
    if (at > position) continue
    const { to, amount } = event.data
    const row = expected.get(to) ?? { name: to, count: 0, total: 0 }
    expected.set(to, { name: to, count: row.count + 1, total: row.total + amount })
  }
  return { position, head: at, rows, expected: [...expected.values()].sort((a, b) => (a.name < b.name ? -1 : 1)) }
}
