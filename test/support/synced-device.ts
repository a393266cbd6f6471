/** Devices of a synced store over storage in memory, for tests of what runs on them: the shell, without stores. */
import type { SyncParts, RemoteOptions } from '../../src/sync/sync-parts.js'
import type { OutboxRow } from '../../src/sync/sync-state.js'
import type { DecisionReply } from '../../src/sync/sync-effects.js'
import { syncParts } from '../../src/sync/sync-parts.js'
import { MemoryLog } from '../../src/log/memory/memory-log.js'
import { inProcessCoordinator } from '../../src/locks/in-process.js'
import { MemorySyncStorage } from '../../src/sync/memory/memory-sync-storage.js'
import { listenerSet } from '../../src/platform/listeners.js'
import { randomId } from '../../src/events/identifier.js'
import { anyEvents } from '../../src/events/catalogue-core.js'
import type { SyncedStore } from '../../src/sync/synced-store.js'
import type { Clock } from '../../src/platform/clock.js'

/** What a test may replace. */
export interface DeviceOptions {
  readonly clock: Clock
  readonly remote: RemoteOptions
  readonly decide?: (row: OutboxRow) => Promise<DecisionReply>
}

/** A device with one storage and any number of tabs. */
export class Device {
  readonly storage: MemorySyncStorage
  readonly #options: DeviceOptions
  readonly #coordinator = inProcessCoordinator()
  readonly #appended = listenerSet()
  #closing = new AbortController()
  readonly #log: MemoryLog
  #count = 0

  constructor(options: DeviceOptions) {
    this.#options = options
    this.#log = new MemoryLog({ catalogue: anyEvents, codec: undefined })
    this.storage = new MemorySyncStorage(this.#log, randomId())
  }

  /** What a store of another tab is to `startSync`. */
  tab(more: Partial<SyncParts> = {}): SyncedStore & { [syncParts]: SyncParts } {
    const { clock, remote, decide = async () => ({ kind: 'unknown' }) as const } = this.#options
    const store = {
      [syncParts]: {
        name: 'test',
        storage: this.storage,
        // Nothing is adopted here.
        outbox: undefined as never,
        holdAppends() {},
        remote,
        clock,
        decoding: { catalogue: anyEvents, codec: undefined },
        coordinator: this.#coordinator,
        decide,
        onAppend: this.#appended.add,
        onChange: this.#appended.add,
        closed: this.#closing.signal,
        assertOpen() {},
        ...more,
      },
    }
    return store as unknown as SyncedStore & typeof store
  }

  /** Stores commits of one event each, as a store's `append` does. Returns the ids of their events. */
  async append(streams: string | readonly string[], more: Partial<OutboxRow> = {}): Promise<string[]> {
    const ids: string[] = []
    for (const stream of [streams].flat()) {
      const id = `own-${(this.#count += 1)}-${randomId().slice(0, 8)}`
      for (;;) {
        const { state, outbox } = await this.storage.load()
        const n = Math.max(state.largestN, ...outbox.map((row) => row.n), 0) + 1
        const row: OutboxRow = {
          n,
          name: id,
          time: 1,
          events: [{ type: 'Added', stream, id, idGiven: true, time: 1, schema: 1, data: '{"a":1}', meta: undefined }],
          expect: [],
          ...more,
        }
        if ((await this.storage.append(row, state)) === 'stored') break
      }
      ids.push(id)
      this.#appended.tell()
    }
    return ids
  }

  /** The ids in the log of this device. */
  ids(): string[] {
    return this.#log.recorded(0, Infinity).events.map(({ id }) => id)
  }

  async pending(): Promise<OutboxRow[]> {
    return (await this.storage.load()).outbox.filter(({ refused }) => refused === undefined)
  }

  async refused(): Promise<OutboxRow[]> {
    return (await this.storage.load()).outbox.filter(({ refused }) => refused !== undefined)
  }

  close(): void {
    this.#closing.abort()
  }
}
