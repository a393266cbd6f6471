/** Pages of the confirmed events of a synced store: always of one log, also where a server was restored meanwhile. */
import { hasCode } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { PageRequest, ReadAllOptions } from '../log/event-store.js'
import { compileFilter } from '../log/filter.js'
import {
  finishPage,
  type CollectedPage,
  type Decoding,
  type EventPages,
  type FoundEvents,
  type PageOptions,
} from '../log/pages.js'
import type { Log } from '../log/store.js'
import type { OutboxCopy } from './outbox-copy.js'
import type { OutboxKeeper } from './outbox-keeper.js'
import { storedOf } from './stored-of.js'
import type { PulledEvents, SyncState } from './sync-state.js'

export interface ConfirmedPagesOptions extends Decoding {
  /** Of confirmed events. */
  readonly log: Log
  readonly keeper: OutboxKeeper
  /** What this context remembers of the log may not be true any more. */
  forget(): void
}

/** The most events of a pulled page that are kept in memory for those who follow. */
const shortPage = 16

export const nothingBroken: FoundEvents['broken'] = new Map()

export function confirmedPages({ log, keeper, catalogue, codec, forget }: ConfirmedPagesOptions) {
  /** By reader that reads page after page: the identity of the log that its records are of. */
  const readAhead = new WeakMap<object, string | undefined>()
  /** The page that this context added to the log last, if it is short: those who follow the log need not read it. */
  let last: (PulledEvents & Pick<SyncState, 'identity'>) | undefined
  /** How many pages were read, and how many of them before `known` last read the stored state. */
  let reads = 0
  let looked = 0

  async function read<E extends EventShape>(request: PageRequest<E>, options?: PageOptions): Promise<CollectedPage<E>> {
    const { after = 0 } = request
    let scannedTo = Infinity
    try {
      const page = await log.readPage<E>(request, options)
      ;({ scannedTo } = page)
      return page
    } finally {
      // A page without anything new changes nothing. One that fails counts: it may be of another log.
      if (scannedTo > after) reads += 1
    }
  }

  function pulledPage<E extends EventShape>(
    { after = 0, limit, filter = {}, signal }: PageRequest<E>,
    options: PageOptions,
  ): Promise<CollectedPage<E>> | undefined {
    const { identity, at, events, versions } = last ?? { at: 0, events: [], versions: [] }
    const head = after + events.length
    const state = keeper.current?.state
    if (at !== after + 1 || state?.identity !== identity || state?.cursor.at !== head) return undefined
    if (events.length > limit || options.ahead?.follows(after) === true) return undefined
    const { matches } = compileFilter(filter)
    const found = events
      .map((event, index) => storedOf(event, versions[index] as number, at + index))
      .filter((event) => matches(event))
    return finishPage<E>({ found, broken: nothingBroken }, head, head, { catalogue, codec }, { ...options, signal })
  }

  return {
    async readPage<E extends EventShape>(request: PageRequest<E>, options?: PageOptions): Promise<CollectedPage<E>> {
      const ahead = options?.ahead
      const short = options?.own === true && pulledPage(request, options)
      if (short) return short
      if (ahead !== undefined) {
        // Who reads page after page must not go from one log to another: runs end once this context knows of it.
        // What this context pulled itself is there. A run that finds nothing is to find out whether that is true.
        const known = keeper.current?.state
        const { identity } = known && (request.after ?? 0) < known.cursor.at ? known : (await keeper.fresh()).state
        if (readAhead.get(ahead) !== identity) ahead.forget()
        readAhead.set(ahead, identity)
      }
      try {
        return await read<E>(request, options)
      } catch (error) {
        if (!hasCode(error, 'log-inconsistent')) throw error
        // It may have been taken back while it was read, also by another context.
        await keeper.fresh().catch(() => {})
        forget()
        ahead?.forget()
        return read<E>(request, options)
      }
    },

    readBackwards: <E extends EventShape>(options: ReadAllOptions<E>): EventPages<E> => log.readBackwards<E>(options),

    async head(): Promise<number> {
      // A run that begins asks for it: by then this context knows whether the log was taken back.
      await keeper.fresh().catch((error: unknown) => {
        // Confirmed events can be read, and exported, from a store whose outbox was damaged, or is that of a newer build.
        if (!hasCode(error, 'storage-damaged', 'unsupported-format')) throw error
        forget()
      })
      return log.head()
    },

    /** This context added these to the log. */
    pulled({ identity }: SyncState, added: PulledEvents): void {
      last = added.events.length > shortPage ? undefined : { identity, ...added }
    },

    /** A copy of the outbox that is no older than any page that was read here. A page that this context pulled needs no look. */
    async known(): Promise<OutboxCopy> {
      const all = reads
      if (keeper.current !== undefined && looked === all) return keeper.current
      const copy = await keeper.fresh()
      looked = Math.max(looked, all)
      return copy
    },
  }
}
