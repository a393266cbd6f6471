/** Appending to the log on IndexedDB: a warm writer does not read before it writes (docs/decisions/0001). */
import { StorageDamagedError, TidemarkError } from '../../errors.js'
import { say } from '../../messages.js'
import type { Clock } from '../../platform/clock.js'
import type { Connection } from '../../platform/connection.js'
import { mayCommitEarly } from '../../platform/engine-quirks.js'
import { commitWritten, requested } from '../../platform/indexeddb.js'
import { Slices } from '../../platform/slices.js'
import { decideAppend, versionsOf } from '../append-rules.js'
import type { Codec } from '../encode.js'
import type { AppendOptions, AppendResult, Durability } from '../event-store.js'
import { hintPause } from '../head-watch.js'
import type { EncodableAppend, PreparedAppend } from '../prepared-append.js'
import { encodeRecords, type CommitRecord } from '../record/record.js'
import { assertSupported, raiseFormat } from './format.js'
import { isLoss, unlessLost } from './lost-records.js'
import { assertSpace, assertVersion, givesIds, readLogState, type ReadState } from './read-log-state.js'
import type { RecentRecords } from './recent-records.js'
import { assertAnswering } from './sentinel.js'
import { WriterView } from './writer-view.js'

export interface WriterContext {
  readonly name: string
  readonly durability: Durability
  readonly codec: Codec | undefined
  readonly clock: Pick<Clock, 'monotonic'>
}

/** What a transaction stored of an append. */
export interface Written {
  readonly records: readonly CommitRecord[]
  /** Of the streams of the append, after it. */
  readonly versions: ReadonlyMap<string, number>
}

export interface LogWriter {
  /**
   * A hint says that the log reaches so far. Returns whether the writer acts on it: the next append then looks before
   * it writes, and what the writer remembers is forgotten only if the head did move. If it did not, hints are ignored
   * for a while: the unique keys refuse a writer that is late.
   */
  headMoved(head: number): boolean
  forget(): void
  /** Stores a prepared append. Calls must not overlap: the store queues them. */
  append(prepared: PreparedAppend, options: AppendOptions): Promise<AppendResult>
}

export function logWriter(connection: Connection, recent: RecentRecords, about: WriterContext): LogWriter {
  const what = say`appending to '${about.name}'`
  let view: WriterView | undefined
  /** The largest head that a hint named since the writer last looked. */
  let claimed = 0
  /** Hints are ignored until then: one was not true. */
  let deafUntil = -Infinity

  const stored = (to: WriterView, prepared: PreparedAppend, { records, versions }: Written): AppendResult => {
    const firstPosition = to.head + 1
    to.stored(prepared, versions)
    recent.appended(records)
    return {
      position: to.head,
      firstPosition,
      versions: versionsOf(prepared.expected, (stream) => versions.get(stream) ?? 0),
      duplicate: false,
    }
  }

  /**
   * Reads and writes in one write transaction. No other context can move the head inside it, so this always decides.
   */
  const decideAndWrite = async (prepared: PreparedAppend, durability: Durability): Promise<AppendResult> => {
    const remembered = view
    view = undefined
    // What hints said before the look is true by then, or never.
    const hinted = claimed
    claimed = 0
    const attempt = () =>
      connection.transact(
        {
          stores: ['commits', 'meta'],
          mode: prepared.events.length > 0 ? 'readwrite' : 'readonly',
          turns: 'several',
          isWrite: true,
          durability,
          what,
          urgent: true,
        },
        (transaction) =>
          decide(transaction, prepared, remembered, about, (head) => {
            if (head >= hinted) return
            deafUntil = about.clock.monotonic() + hintPause
            claimed = 0
          }),
      )
    // Again: what was lost stays lost, and nothing else does.
    const twice = unlessLost(attempt(), attempt, isLoss)
    const outcome = await unlessLost(
      twice,
      ({ cause }) => {
        throw new StorageDamagedError(
          say`The browser lost a record that ${what} depends on: verifyEventStore() names it. Restore the store from an export.`,
          { cause },
        )
      },
      isLoss,
    )
    if ('result' in outcome) return outcome.result
    const { state, store, written } = outcome
    view = new WriterView(state.head, state.ids, remembered)
    view.remember(state.versions)
    return stored(view, store, written)
  }

  return {
    headMoved(head) {
      if (about.clock.monotonic() < deafUntil) return false
      claimed = Math.max(claimed, head)
      return view === undefined || view.head < head
    },
    forget() {
      view = undefined
    },
    async append(prepared, { durability = about.durability }) {
      const known = view
      if (known !== undefined && claimed <= known.head && known.knowsEnough(prepared)) {
        try {
          return stored(known, prepared, await writeAtOnce(connection, what, known, prepared, durability))
        } catch (error) {
          view = undefined
          if (!isRefusedByKey(error)) throw error
        }
      }
      return decideAndWrite(prepared, durability)
    },
  }
}

/** Writes without a look at the log. If another context was first, the unique keys refuse the records. */
const writeAtOnce = (
  connection: Connection,
  what: string,
  { head, versionOf }: WriterView,
  prepared: PreparedAppend,
  durability: Durability,
): Promise<Written> =>
  connection.transact(
    { stores: ['commits'], mode: 'readwrite', durability, what, urgent: true },
    async (transaction) => {
      assertSpace(head + prepared.events.length)
      const writing = addRecords(transaction.objectStore('commits'), prepared, head + 1, versionOf)
      // Not a turn later if there was no pause.
      const { requests, ...written } = writing instanceof Promise ? await writing : writing
      // A single record needs no more answer of the page, which a frozen one never gives (H6).
      if (requests.length === 1 && mayCommitEarly()) transaction.commit()
      else await commitWritten(transaction, requests)
      return written
    },
  )

/** @param saw called with the head of the log */
async function decide(
  transaction: IDBTransaction,
  prepared: PreparedAppend,
  remembered: WriterView | undefined,
  { name, codec }: WriterContext,
  saw: (head: number) => void,
): Promise<{ result: AppendResult } | { state: ReadState; store: PreparedAppend; written: Written }> {
  const commits = transaction.objectStore('commits')
  const reading = readLogState(commits, prepared, remembered)
  // In the same turn, unless more is asked after it: "there is nothing" is trusted only if this row shows (H25).
  const asked = isAskedInOneTurn(prepared) ? assertAnswering(transaction) : undefined
  const [state, sentinel] = await Promise.all([reading, asked])
  const { head, known, match } = state
  saw(head)
  // Every writer that was not first comes here, so no older build appends once a newer one did (H41).
  const meta = sentinel ?? (await assertAnswering(transaction))
  assertSupported(meta, name)
  const versionOf = (stream: string) => state.versions.get(stream) ?? 0
  const isPlain = codec === undefined
  const decision = decideAppend(prepared, { head, known, versionOf, isPlain, firstMatch: () => match })
  if ('result' in decision) return decision
  raiseFormat(transaction, meta)
  const { requests, ...written } = await addRecords(commits, decision.store, head + 1, versionOf)
  await commitWritten(transaction, requests)
  return { state, written, ...decision }
}

/** Whether all that {@link readLogState} asks is asked in one turn. */
const isAskedInOneTurn = (append: PreparedAppend): boolean =>
  append.condition === undefined && append.expected.size === 1 && !givesIds(append)

const isRefusedByKey = (error: unknown): boolean =>
  error instanceof TidemarkError && (error.cause as { name?: string } | undefined)?.name === 'ConstraintError'

export interface Adding extends Written {
  readonly requests: readonly IDBRequest[]
}

/** Adds the records of an append. Between many of them it waits for the storage, so that the page can respond. */
export function addRecords(
  commits: IDBObjectStore,
  prepared: EncodableAppend,
  at: number,
  versionOf: (stream: string) => number,
): Adding | Promise<Adding> {
  const records: CommitRecord[] = []
  const requests: IDBRequest[] = []
  const encoded = encodeRecords(prepared, at, versionOf)
  const slices = new Slices()
  let left = prepared.events.length
  const addOn = (): Adding | Promise<Adding> => {
    for (;;) {
      const step = encoded.next()
      if (step.done === true) {
        for (const [stream, version] of step.value) assertVersion(stream, version, at)
        return { records, requests, versions: step.value }
      }
      records.push(step.value)
      const request = commits.add(step.value)
      requests.push(request)
      left -= step.value.n
      if (left === 0 || !slices.isOver) continue
      return requested(request).then(() => {
        slices.began()
        return addOn()
      })
    }
  }
  return addOn()
}
