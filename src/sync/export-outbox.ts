/** What is pending, as text: so that work is not lost with a server. */
import type { EventShape } from '../events/event.js'
import type { ReadOptions } from '../log/event-store.js'
import { exportFormat, type ExportedEvent, type ExportHeader } from '../maintenance/export.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { isShown } from './overlay/in-rows.js'
import { storedOf } from './stored-of.js'
import { syncPartsOf, type SyncParts } from './sync-parts.js'
import type { SyncedStore } from './synced-store.js'

/**
 * The pending commits of this device as a part of an export that follows the log: `importEvents` takes it into a local
 * store that has what `exportEvents` of this store gave, and stores them behind it, each commit whole, with their ids and
 * times. For when the server is gone for good, and as a backup before a user signs out. Commits that were refused or
 * discarded are not in it. Positions and versions are those that they would have if they were confirmed now.
 *
 * Call it before `exportEvents`, so that what is confirmed in between is in both, and is imported once.
 *
 * @throws InvalidArgumentError, ClosedError synchronously: for a store of another kind, and one that was closed
 * @throws StorageDamagedError before the first line if the outbox was damaged
 *
 * @example
 * const outbox: string[] = []
 * const log: string[] = []
 * for await (const line of exportOutbox(synced)) outbox.push(line)
 * for await (const line of exportEvents(synced)) log.push(line)
 * await importEvents(local, log)
 * await importEvents(local, outbox)
 */
export function exportOutbox<E extends EventShape>(
  store: SyncedStore<E>,
  options: ReadOptions = {},
): AsyncIterable<string> {
  const parts = syncPartsOf(store)
  parts.assertOpen()
  onlyKnown(options, ['signal'])
  assertSignal(options.signal)
  return lines(parts, options.signal)
}

async function* lines(
  { storage }: SyncParts,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, void, undefined> {
  signal?.throwIfAborted()
  const { log, rows, head, versions, previous } = await atOneMoment(storage)
  const count = rows.reduce((sum, { events }) => sum + events.length, 0)
  const header: ExportHeader = { tidemark: 'export', format: exportFormat, log, after: head, head: head + count }
  yield line(previous === undefined ? header : { ...header, previous })
  let at = head
  for (const { events } of rows) {
    const commit = at + 1
    for (const [index, event] of events.entries()) {
      signal?.throwIfAborted()
      const version = (versions.get(event.stream) ?? 0) + 1
      versions.set(event.stream, version)
      const { position, ...rest } = storedOf(event, version, (at += 1))
      const exported: ExportedEvent = { position, commit, ...rest }
      yield line(index === events.length - 1 ? { ...exported, end: true } : exported)
    }
  }
}

/** What is pending, and the end of the log and of its streams. */
async function atOneMoment(storage: SyncParts['storage']) {
  for (;;) {
    const { state, outbox } = await storage.load()
    const rows = outbox.filter(isShown)
    const streams = new Set(rows.flatMap(({ events }) => events.map(({ stream }) => stream)))
    const expected = new Map([...streams].map((stream) => [stream, 'any'] as const))
    const { turn, head, lastId, ends } = await storage.facts({
      events: [],
      expected,
      condition: undefined,
      pathOf: String,
    })
    const last = head === 0 ? undefined : (await storage.confirmed(head - 1, 1)).events[0]
    if (turn !== state.turn || (last?.id ?? null) !== lastId) continue
    return {
      log: state.identity,
      rows,
      head,
      versions: new Map([...ends].map(([stream, { version }]) => [stream, version])),
      ...(last !== undefined && last.id !== '' && { previous: { id: last.id, stream: last.stream } }),
    }
  }
}

const line = (value: object): string => `${JSON.stringify(value)}\n`
