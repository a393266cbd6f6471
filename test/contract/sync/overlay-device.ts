/** A device without a network, for tests of views over its outbox: what the server would do is done by calls. */
import {
  openReadModel,
  runProjection,
  startProjection,
  type Projection,
  type Tables,
  type TidemarkStore,
} from 'tidemark'
import type { OwnCommit, SyncedStore } from '../../../src/sync/synced-store.js'
import type { Clock } from '../../../src/platform/clock.js'
import { met } from '../../../src/sync/rules/contact.js'
import { healed, LostTail } from '../../../src/sync/rules/healed.js'
import { pulled } from '../../../src/sync/rules/pulled.js'
import { syncPartsOf } from '../../../src/sync/sync-parts.js'
import type { OutboxRow, SyncRule, SyncSnapshot } from '../../../src/sync/sync-state.js'

/** An event of the tests: what it is called is its id. */
export interface TestEvent {
  readonly id: string
  readonly type: string
  readonly stream: string
  readonly data: unknown
}

const by = { log: 'log', epoch: 'epoch', author: 'author' }

export const textOf = ({ id, type, stream, data }: TestEvent): OutboxRow['events'][number] => ({
  type,
  stream,
  id,
  idGiven: true,
  time: 0,
  schema: 1,
  data: JSON.stringify(data),
  meta: undefined,
})

/** One context of a device, with views of its own. */
export class Tab {
  readonly synced: SyncedStore
  readonly store: TidemarkStore

  constructor(synced: SyncedStore) {
    this.synced = synced
    this.store = synced as unknown as TidemarkStore
  }

  get #storage() {
    return syncPartsOf(this.store).storage
  }

  snapshot(): Promise<SyncSnapshot> {
    return this.#storage.load()
  }

  /** Stores what a rule makes of what is stored. */
  async change(rule: SyncRule): Promise<void> {
    for (;;) {
      const { kind } = await this.#storage.change(await this.#storage.load(), rule)
      if (kind === 'inconsistent') throw new Error('what was pulled does not follow')
      if (kind !== 'moved') return
    }
  }

  /** Appends as one commit; the events of a stream follow each other. */
  async append(events: readonly TestEvent[]): Promise<OwnCommit> {
    const streams = [...new Set(events.map(({ stream }) => stream))]
    const { commit } = await this.synced.append(
      streams.map((stream) => ({
        stream,
        events: events.filter((each) => each.stream === stream).map(({ id, type, data }) => ({ id, type, data })),
      })),
    )
    return commit as OwnCommit
  }

  /** Stores commits that the server sent. `before`: all that were pulled until now. */
  async pull(commits: readonly (readonly TestEvent[])[], before: readonly TestEvent[]): Promise<void> {
    await this.change((snapshot) => met(snapshot, by))
    const versions = new Map<string, number>()
    const next = ({ stream }: TestEvent) => {
      const version = (versions.get(stream) ?? 0) + 1
      versions.set(stream, version)
      return version
    }
    before.forEach(next)
    const events = commits.flat()
    const starts = new Set<number>()
    let at = 0
    for (const commit of commits) {
      starts.add(at)
      at += commit.length
    }
    const head = before.length + events.length
    await this.change((snapshot) =>
      pulled(snapshot, {
        kind: 'page',
        by,
        after: snapshot.state.cursor,
        events: { at: before.length + 1, events: events.map(textOf), versions: events.map(next), starts },
        cursor: { at: head, chain: `chain ${head}` },
        head,
      }),
    )
  }

  /** The server was restored from a backup and has the first events only: own commits behind them are given back. */
  async takeBack(upTo: number, identity: string): Promise<void> {
    const storage = this.#storage
    const { state, own } = await storage.loadOwn(0)
    const tail = new LostTail(own)
    const { events, starts } = await storage.confirmed(0, 1000)
    const first = events.findIndex(({ position }) => position > upTo)
    if (first < 0) return
    tail.add({ events, starts })
    const lost = tail.commits(state).filter(({ at }) => at > upTo)
    await this.change((snapshot) =>
      healed(snapshot, { by, cursor: { at: upTo, chain: `chain ${upTo}` }, lastId: null, head: upTo, identity, lost }),
    )
  }

  /** Changes commits of the outbox at their places; `undefined` removes one. */
  async changeRows(change: (row: OutboxRow) => OutboxRow | undefined): Promise<void> {
    await this.change(({ state, outbox }) => {
      const put: OutboxRow[] = []
      const remove: number[] = []
      for (const row of outbox) {
        const next = change(row)
        if (next === undefined) remove.push(row.n)
        else if (next !== row) put.push(next)
      }
      const largestN = Math.max(state.largestN, outbox.at(-1)?.n ?? 0)
      return { state: { ...state, turn: state.turn + 1, largestN }, put, remove }
    })
  }

  view<T extends Tables>(definition: Projection<never, T>, clock?: Clock) {
    const erased = definition as unknown as Projection<{ type: string; data: unknown }, T>
    return openReadModel(this.store, erased, clock && { clock })
  }

  /** Applies confirmed events: `maxEvents` at most. */
  run(definition: Projection<never, Tables>, maxEvents?: number) {
    return runProjection(this.store, definition as unknown as Projection, {
      retry: { maxRetries: 0 },
      batch: { maxEvents: 3 },
      ...(maxEvents !== undefined && { budget: { maxEvents } }),
    })
  }

  async rebuild(definition: Projection<never, Tables>): Promise<void> {
    const handle = startProjection(this.store, definition as unknown as Projection, { retry: { maxRetries: 0 } })
    await handle.rebuild()
    await handle.stop()
  }
}
