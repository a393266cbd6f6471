/** What the suites of projections share: events, a model that sums, and its reference fold. */
import {
  defineEvents,
  defineProjection,
  openReadModel,
  runProjection,
  table,
  type ReadModelFailureStrategy,
  type RecordedEvent,
  type TidemarkStore,
} from 'tidemark'

export type Event = { type: 'Added'; data: { to: string; amount: number } } | { type: 'Other'; data: null }
export interface Sum {
  name: string
  count: number
  total: number
}
export type Store = TidemarkStore<Event>

/** Where a suite gets its stores from. */
export interface Backend {
  readonly name: string
  /** A new, empty store; several of one name are several tabs on it. */
  open(name: string, options?: { readonly codec?: Codec }): Promise<Store>
  /** Whether a second store of a name sees the first one's events. */
  readonly shared: boolean
  /** Whether it is in IndexedDB, so that a test may look into its databases. @default as `shared` */
  readonly onDevice?: boolean
}
export interface Codec {
  encode(data: unknown): unknown
  decode(stored: unknown): unknown
}

export const events = defineEvents<Event>()
export const added = (to: string, amount: number) => ({ type: 'Added' as const, data: { to, amount } })
export const other = () => ({ type: 'Other' as const, data: null })

let count = 0
export const newName = () => `projection-${(count += 1)}-${Math.random()}`

export function sums(
  options: {
    version?: number
    bad?: (event: RecordedEvent<Event>) => boolean
    onFailure?: (retryCount: number) => ReadModelFailureStrategy
  } = {},
) {
  return defineProjection(events, {
    name: 'sums',
    version: options.version ?? 1,
    tables: { sums: table<Sum>()({ key: 'name', indexes: { byTotal: 'total' } }) },
    on: {
      Added: async (event, { sums }) => {
        const { to, amount } = event.data
        const before = (await sums.get(to)) ?? { name: to, count: 0, total: 0 }
        sums.put({ ...before, count: before.count + 1, total: before.total + amount })
        if (options.bad?.(event) === true) throw new TypeError(`bad ${event.position}`)
      },
    },
    onFailure: ({ retryCount }) => options.onFailure?.(retryCount) ?? 'fatal',
  })
}

export async function rowsOf(store: Store, definition: ReturnType<typeof sums>): Promise<Sum[]> {
  const view = await openReadModel(store, definition)
  try {
    return await view.sums.getAll()
  } finally {
    await view.close()
  }
}

/** What the rows must be: a plain fold, written without tidemark. */
export function fold(list: readonly RecordedEvent<Event>[]): Sum[] {
  const rows = new Map<string, Sum>()
  for (const event of list) {
    if (event.type !== 'Added') continue
    const { to, amount } = event.data
    const row = rows.get(to) ?? { name: to, count: 0, total: 0 }
    rows.set(to, { name: to, count: row.count + 1, total: row.total + amount })
  }
  return [...rows.values()].sort((left, right) => (left.name < right.name ? -1 : 1))
}

export async function allOf(store: Store): Promise<RecordedEvent<Event>[]> {
  const list: RecordedEvent<Event>[] = []
  for await (const event of store.read()) list.push(event)
  return list
}

/** A store with three events, and `sums` over them. */
export async function folded(open: Backend['open']): Promise<{ readonly name: string; readonly store: Store }> {
  const name = newName()
  const store = await open(name)
  await store.append({ stream: 's', events: [added('a', 1), added('b', 2), added('a', 3)] })
  await runProjection(store, sums())
  return { name, store }
}
