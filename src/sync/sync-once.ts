/** One bounded round, for the events of a service worker. */
import type { EventShape } from '../events/event.js'
import { randomId } from '../events/identifier.js'
import { abortWith } from '../platform/abort-with.js'
import { assertSignal, onlyKnown, wholeNumber } from '../platform/arguments.js'
import { startDeadline } from '../platform/deadline.js'
import type { storageUsage } from '../platform/storage-manager.js'
import { syncMachine } from './machine/sync-machine.js'
import { Puller } from './puller.js'
import type { Woken } from './sync-effects.js'
import { syncPartsOf, type SyncParts } from './sync-parts.js'
import { runSync } from './sync-run.js'
import { nothingKnown } from './sync-status-keeper.js'
import { countsOf, statusOf, type SyncStatus } from './sync-status.js'
import type { SyncedStore } from './synced-store.js'
import { openTransport, type Transport } from './transport.js'

/** What `syncOnce` takes. */
export interface SyncOnceOptions {
  /** `maxTime`: how long it may take, in ms. @default 25 s, which is less than what browsers give an event */
  readonly budget?: { readonly maxTime: number }
  readonly signal?: AbortSignal | undefined
}

const defaultTime = 25_000

/** A commit has to be decided again by a command that this context does not have: it is left to a tab. */
class CommandMissing extends Error {}

/**
 * Sends and fetches once, and then ends: for `sync`, `periodicsync` and `push` events of a service worker. Safe while
 * tabs sync the same store, and wherever it is stopped: it holds no lock, and what was under way is done again. Commits
 * that would have to be decided again by a command that this context does not have stay pending, for a tab.
 *
 * @returns how it is afterwards; `'working'` if its time was up before it was done
 * @throws InvalidArgumentError for anything that is not a synced store, and for unknown options; ClosedError; the
 * reason of the signal
 *
 * @example
 * self.addEventListener('sync', (event) => event.waitUntil(syncOnce(store)))
 */
export async function syncOnce<E extends EventShape = EventShape>(
  store: SyncedStore<E>,
  options: SyncOnceOptions = {},
): Promise<SyncStatus> {
  const parts = syncPartsOf(store)
  onlyKnown(options, ['budget', 'signal'])
  onlyKnown(options.budget, ['maxTime'], 'budget')
  const { signal, budget: { maxTime } = { maxTime: defaultTime } } = options
  assertSignal(signal)
  wholeNumber(maxTime, 'budget.maxTime', 1)
  parts.assertOpen()
  signal?.throwIfAborted()
  let lastContact: number | undefined
  const transport = openTransport(parts.remote, parts.clock, () => (lastContact = parts.clock.now()))
  const controller = new AbortController()
  const cancel = startDeadline(parts.clock, maxTime, () => controller.abort())
  const undo = abortWith(controller, signal, parts.closed)
  try {
    const status = await runOnce(parts, transport, {}, controller.signal)
    return statusOf({ ...(status ?? nothingKnown), lastContact })
  } catch (error) {
    signal?.throwIfAborted()
    parts.assertOpen()
    if (!controller.signal.aborted) throw error
    return statusOf({ ...countsOf(await parts.storage.load()), status: 'working', lastContact })
  } finally {
    cancel()
    undo()
  }
}

/**
 * One round in this context, without the lock.
 *
 * @throws the reason of the signal; ClosedError; what the storage failed with before anything was known
 */
export async function runOnce(
  parts: SyncParts,
  transport: Transport,
  { usage }: { readonly usage?: typeof storageUsage },
  signal: AbortSignal,
): Promise<SyncStatus | undefined> {
  const snapshot = await parts.storage.load()
  if (snapshot.state.paused === true) return { ...countsOf(snapshot), status: 'paused', reason: 'by-hand' }
  const round = async (decides: boolean) => {
    const machine = syncMachine({
      random: () => parts.clock.random(),
      newIdentity: randomId,
      isBounded: true,
      decides,
    })
    const { storage, clock } = parts
    const decide: SyncParts['decide'] = async (row, from) => {
      const reply = await parts.decide(row, from)
      if (reply.kind === 'unknown') throw new CommandMissing()
      return reply
    }
    const puller = new Puller(transport, usage)
    const report = () => {}
    // A round that is bounded waits for nothing.
    const wait = async (): Promise<Woken> => 'time'
    return runSync(machine, { parts: { storage, clock, decide }, transport, puller, report, wait }, signal)
  }
  let report: Awaited<ReturnType<typeof round>>
  try {
    report = await round(true)
  } catch (error) {
    if (!(error instanceof CommandMissing)) throw error
    report = await round(false)
  }
  if (report === undefined) return undefined
  const { status, reason, message, snapshot: seen } = report
  // What was appended during the round counts, too.
  const now = await parts.storage.load().catch(() => seen)
  return statusOf({ ...countsOf(now), status, reason, message })
}
