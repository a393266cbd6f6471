/** Streams of a synced store: the confirmed events, and behind them the pending ones, as all of it was at one moment. */
import type { EventShape, RecordedEvent } from '../events/event.js'
import { streamName } from '../events/names.js'
import type { ReadStreamOptions } from '../log/event-store.js'
import { finishStream, type Decoding, type EventPages } from '../log/pages.js'
import type { EventText } from '../log/record/record-text.js'
import type { Log } from '../log/store.js'
import { nothingBroken } from './confirmed-pages.js'
import type { OutboxKeeper } from './outbox-keeper.js'
import { isShown } from './overlay/in-rows.js'
import { storedOf } from './stored-of.js'
import type { OutboxRow, SyncSnapshot } from './sync-state.js'

export interface OutboxStreamsOptions extends Decoding {
  /** Of confirmed events. */
  readonly log: Log
  readonly keeper: OutboxKeeper
}

/** Options of `readStream` that asked for confirmed events alone. */
export const confirmedOnly = new WeakSet<ReadStreamOptions>()

export function outboxStreams(parts: OutboxStreamsOptions) {
  const { log, keeper } = parts

  const confirmedVersion = async (stream: string, position: number): Promise<number> =>
    versionAt(log, stream, position, await log.streamVersion(stream))

  /** Confirmed events up to the cursor of a copy, and what is pending in it: as all of it was at that moment. */
  async function* streamAt<E extends EventShape>(
    stream: string,
    options: ReadStreamOptions,
    copy: SyncSnapshot,
  ): EventPages<E> {
    const { after = 0, before = Infinity, limit = Infinity, signal } = options
    const { at } = copy.state.cursor
    const pending = pendingOf(copy.outbox, stream)
    let left = limit
    let version = after
    let isRead = false
    for await (const events of log.readStream<E>(stream, options)) {
      const known = events.filter(({ position }) => position <= at)
      if (known.length > 0) {
        version = (known.at(-1) as RecordedEvent).version
        left -= known.length
        yield known
      }
      if (known.length < events.length) {
        isRead = true
        break
      }
    }
    if (pending.length === 0 || left <= 0 || version + 1 >= before) return
    // Nothing was found behind `after`: it may be beyond what is confirmed.
    const confirmed = version > after || isRead ? version : await confirmedVersion(stream, at)
    yield* pendingEvents<E>(parts, pending, confirmed, copy, { after, before, limit: left, signal })
  }

  async function* forwards<E extends EventShape>(stream: string, options: ReadStreamOptions): EventPages<E> {
    options.signal?.throwIfAborted()
    yield* streamAt<E>(stream, options, await keeper.fresh())
  }

  async function* backwards<E extends EventShape>(stream: string, options: ReadStreamOptions): EventPages<E> {
    const { after = 0, before = Infinity, limit = Infinity, signal } = options
    signal?.throwIfAborted()
    const copy = await keeper.fresh()
    const { at } = copy.state.cursor
    const pending = pendingOf(copy.outbox, stream)
    let left = limit
    if (pending.length > 0) {
      const confirmed = await confirmedVersion(stream, at)
      for await (const events of pendingEvents<E>(parts, pending, confirmed, copy, {
        after,
        before,
        signal,
        backwards: true,
      })) {
        const some = events.slice(0, left)
        left -= some.length
        yield some
        if (left <= 0) return
      }
    }
    let next = before
    let isShort = false
    for await (const events of log.readStream<E>(stream, { ...options, limit: left })) {
      const known = events.filter(({ position }) => position <= at)
      isShort ||= known.length < events.length
      left -= known.length
      next = (known.at(-1) ?? { version: next }).version
      if (known.length > 0) yield known
    }
    // What was stored meanwhile took a part of the limit.
    if (!isShort || left <= 0 || limit === Infinity) return
    const upTo = Math.min(next, (await confirmedVersion(stream, at)) + 1)
    if (upTo > after + 1) yield* log.readStream<E>(stream, { ...options, before: upTo, limit: left })
  }

  return {
    streamAt,

    readStream<E extends EventShape>(stream: string, options: ReadStreamOptions = {}): EventPages<E> {
      if (confirmedOnly.has(options)) return log.readStream<E>(stream, options)
      return (options.direction === 'backwards' ? backwards : forwards)<E>(streamName(stream), options)
    },

    async streamVersion(name: string): Promise<number> {
      const stream = streamName(name)
      const copy = await keeper.fresh()
      const pending = pendingOf(copy.outbox, stream)
      const confirmed = await log.streamVersion(stream)
      if (pending.length === 0) return confirmed
      // As it was at the moment of the copy: some of what was pending may be confirmed by now.
      return (await versionAt(log, stream, copy.state.cursor.at, confirmed)) + pending.length
    },
  }
}

/** The version of a stream at a position of the log. `version`: at its end. */
async function versionAt(log: Log, stream: string, position: number, version: number): Promise<number> {
  for await (const events of log.readStream(stream, { direction: 'backwards', before: version + 1 }))
    for (const event of events) if (event.position <= position) return event.version
  return 0
}

/** Pending events of a stream, with the versions and positions that they would have now. */
async function* pendingEvents<E extends EventShape>(
  decoding: Decoding,
  pending: readonly PendingEvent[],
  confirmed: number,
  { state }: SyncSnapshot,
  span: ReadStreamOptions & { readonly backwards?: boolean },
): EventPages<E> {
  const { after = 0, before = Infinity, limit = Infinity, signal, backwards = false } = span
  const found = pending
    .map(({ event, place }, index) => storedOf(event, confirmed + index + 1, state.cursor.at + place))
    .filter(({ version }) => version > after && version < before)
    .slice(0, limit)
  if (backwards) found.reverse()
  for await (const events of finishStream<E>({ found, broken: nothingBroken }, decoding, signal))
    yield events.map((event) => ({ ...event, pending: true }))
}

interface PendingEvent {
  readonly event: EventText
  /** Which of all pending events it is, from 1. */
  readonly place: number
}

/** The pending events of a stream, in their order. */
function pendingOf(outbox: readonly OutboxRow[], stream: string): PendingEvent[] {
  const found: PendingEvent[] = []
  let place = 0
  for (const row of outbox) {
    if (!isShown(row)) continue
    for (const event of row.events) {
      place += 1
      if (event.stream === stream) found.push({ event, place })
    }
  }
  return found
}
