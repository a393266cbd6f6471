/** A synced store whose server is in this context and accepts everything immediately: it must do what a local one does. */
import { expect } from 'vitest'
import type { AppendResult, TidemarkStore } from 'tidemark'
import type { SyncedAppendResult, SyncedStore } from 'tidemark/sync'
import type { OutboxKeeper } from '../../src/sync/outbox-keeper.js'
import { syncPartsOf } from '../../src/sync/sync-parts.js'
import type { OutboxRow, OwnRow, SyncChange, SyncSnapshot } from '../../src/sync/sync-state.js'

/** The change that confirms every pending commit, in order. */
function confirmation({ state, outbox }: SyncSnapshot, versions: Map<string, number>): SyncChange | undefined {
  const rows = outbox.filter(({ refused }) => refused === undefined)
  if (rows.length === 0) return undefined
  const at = state.cursor.at + 1
  const events = rows.flatMap((row) => row.events)
  const starts = new Set<number>()
  const own: OwnRow[] = []
  let index = 0
  for (const row of rows) {
    starts.add(index)
    own.push({ at: at + index, n: row.events.length })
    index += row.events.length
  }
  const next = new Map(versions)
  const pulled = events.map(({ stream }) => {
    const version = (next.get(stream) ?? 0) + 1
    next.set(stream, version)
    return version
  })
  return {
    state: {
      ...state,
      turn: state.turn + 1,
      largestN: Math.max(state.largestN, ...rows.map(({ n }) => n)),
      cursor: { at: at + events.length - 1, chain: String(at).padStart(32, '0') },
    },
    remove: rows.map(({ n }) => n),
    own,
    pulled: { at, events, versions: pulled, starts },
    ended: rows.map((row, position) => ({
      name: row.name,
      status: 'confirmed',
      position: at + [...starts][position]!,
    })),
  }
}

/** Where commits are that were confirmed here, by the id of their first event. */
const places = new Map<string, { first: number; last: number }>()

/** Confirms what is pending, until nothing is. */
export async function confirmAll(store: SyncedStore<any>): Promise<void> {
  const { storage } = syncPartsOf(store)
  for (;;) {
    const snapshot = await storage.load()
    const pending: OutboxRow[] = snapshot.outbox.filter(({ refused }) => refused === undefined)
    if (pending.length === 0) return
    const streams = pending.flatMap(({ events }) => events.map(({ stream }) => stream))
    const { ends } = await (storage as OutboxKeeper).facts({
      events: [],
      expected: new Map(streams.map((stream) => [stream, 'any'])),
      condition: undefined,
      pathOf: String,
    })
    const versions = new Map(streams.map((stream) => [stream, ends.get(stream)?.version ?? 0]))
    // With one that was appended meanwhile, its streams have to be looked at.
    const changed = await storage.change(snapshot, (now) =>
      now.outbox.length === snapshot.outbox.length ? confirmation(now, versions) : undefined,
    )
    if (changed.kind === 'inconsistent') throw new Error('what was confirmed does not follow the log')
    if (changed.kind !== 'stored') continue
    let first = changed.change.pulled?.at ?? NaN
    for (const row of pending) {
      places.set(row.name, { first, last: first + row.events.length - 1 })
      first += row.events.length
    }
  }
}

/** The store as a local one: an append resolves when it is confirmed, with its position. */
export function asLocal(store: SyncedStore<any>): TidemarkStore {
  const appendOwn = store.append as (...given: readonly unknown[]) => Promise<SyncedAppendResult>
  const append = async (...given: readonly unknown[]): Promise<AppendResult> => {
    const { commit, ...result } = await appendOwn(...given)
    await confirmAll(store)
    if (commit === undefined || commit.status === 'confirmed') return result
    await expect.poll(() => places.get(commit.id)).toBeDefined()
    const { first = NaN, last = NaN } = places.get(commit.id) ?? {}
    return { ...result, firstPosition: first, position: last }
  }
  const descriptors = { ...Object.getOwnPropertyDescriptors(store), append: { value: append, enumerable: true } }
  return Object.defineProperties({}, descriptors) as TidemarkStore
}
