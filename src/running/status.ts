/** What a projection says of itself: made from the reports of its run and from the stored state. */
import { messageOf } from '../errors.js'
import { notice, say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
import { prerendered } from '../platform/deadline.js'
import type { StorageOccurrence } from '../platform/healing.js'
import { listenerSet } from '../platform/listeners.js'
import { stallTimeout } from '../projection/stall-watch.js'
import type { ProjectionReport } from '../projection/report.js'
import type { ProjectionState, StoredFault } from '../projection/target.js'
import { equal } from '../read-model/equal.js'

/** The state of a projection as this context knows it. A new object whenever something in it changed. */
export interface ProjectionStatus {
  /**
   * - `'starting'`: nothing is known yet
   * - `'standby'`: another context runs it, and this one would take over
   * - `'catching-up'`, `'live'`: this context runs it, and is behind or at the head
   * - `'retrying'`: an event or the storage failed and is tried again; see `lastError`
   * - `'stalled'`: behind, and not moving for five seconds; see `message`
   * - `'paused'`: by `pause()`, in any context; stored
   * - `'faulted'`: stopped for good until `resume`, `skip` or `rebuild`; see `lastError`
   * - `'stopped'`: by `stop()` or the signal, in this context
   */
  readonly phase:
    | 'starting'
    | 'standby'
    | 'catching-up'
    | 'live'
    | 'retrying'
    | 'stalled'
    | 'paused'
    | 'faulted'
    | 'stopped'
  /** Why it does not move, in words; absent while it does. */
  readonly message?: string
  /** Everything up to here is in the rows that readers see. */
  readonly position: number
  /** The end of the log, as far as is known. */
  readonly head: number
  /** `head - position`. */
  readonly behind: number
  /** Events per second over the last seconds; 0 when live. */
  readonly rate: number
  /** This context runs it. */
  readonly leader: boolean
  /** The run that took over last, in whichever context. */
  readonly owner: string
  /** Dead letters that wait. */
  readonly deadLetterCount: number
  /** A rebuild under way, and how far it is. */
  readonly rebuilding?: { readonly position: number }
  /** Why the last rebuild was given up; the rows from before it stayed. */
  readonly rebuildFault?: StoredFault
  readonly lastError?: unknown
  /** Why all that this site stored is in danger, and what to do, in words; absent while it is not. See `StorageReport`. */
  readonly atRisk?: string
}

/** For `useSyncExternalStore`, or any other way to follow a value. Each method works detached. */
export interface StatusStore {
  /** The same object as long as nothing in it changed. */
  getSnapshot(): ProjectionStatus
  /** For rendering on a server, and for the first render over its HTML: always the same status, whose phase is `'starting'`. */
  getServerSnapshot(): ProjectionStatus
  /** Calls back when the status is another one. Returns how to stop that. */
  subscribe(listener: () => void): () => void
}

/** Where a status is made. */
export interface StatusKeeper extends StatusStore {
  /** From the run in this context. */
  report(report: ProjectionReport): void
  /** From the stored state, which other contexts change as well. `late`: the run in this context told meanwhile where it stands. */
  stored(state: ProjectionState, head: number, late?: boolean): void
  set(change: Change): void
  storage(occurrence: StorageOccurrence): void
}

type Change = { readonly [K in keyof ProjectionStatus]?: ProjectionStatus[K] | undefined }

/** The rate is measured over about so long, ms. */
const rateSpan = 3_000

const unknown: ProjectionStatus = Object.freeze({
  phase: 'starting',
  position: 0,
  head: 0,
  behind: 0,
  rate: 0,
  leader: false,
  owner: '',
  deadLetterCount: 0,
})

const pausedStatus = () =>
  ({ phase: 'paused', rate: 0, message: notice('paused', say`The projection is paused. Call resume().`) }) as const

export function keepStatus(clock: Clock): StatusKeeper {
  let status = unknown
  const listeners = listenerSet()
  /** Where the projection stood when it last moved, as far as is known: nobody knows how long it stood still before the first look. */
  let moved = { at: clock.monotonic(), position: -1 }
  let measured = { at: clock.monotonic(), position: -1 }

  const set = (given: Change) => {
    const { position = status.position } = given
    const head = Math.max(given.head ?? status.head, position)
    const change: Change = { ...given, head, behind: head - position }
    const keys = Object.keys(change) as (keyof ProjectionStatus)[]
    // A status that says the same stays the same object.
    if (keys.every((key) => equal(change[key], status[key]))) return
    const next: Record<string, unknown> = { ...status, ...change }
    for (const key of keys) if (change[key] === undefined) delete next[key]
    status = next as unknown as ProjectionStatus
    listeners.tell()
  }
  /** What to say of a run that goes on, with such a change. */
  const running = ({ position = status.position, head = status.head }: Change = {}): Change => ({
    phase: head > position || status.rebuilding !== undefined ? 'catching-up' : 'live',
    message: undefined,
  })
  const movedTo = (position: number) => {
    const now = clock.monotonic()
    if (position !== moved.position) moved = { at: now, position }
    if (measured.position < 0 || position < measured.position || now - measured.at > rateSpan)
      measured = { at: now, position }
    const seconds = (now - measured.at) / 1000
    return seconds < 0.05 ? status.rate : Math.round((position - measured.position) / seconds)
  }

  return {
    getSnapshot: () => status,
    getServerSnapshot: () => unknown,
    subscribe: listeners.add,
    set,
    storage: (occurrence) => set({ atRisk: occurrence.type === 'storage-healing' ? occurrence.message : undefined }),
    report(report) {
      switch (report.type) {
        case 'waiting':
          return set({ phase: 'standby', leader: false, message: undefined })
        // Where it stands is known when it is `loaded`. It is not live before that, and what keeps it from loading stays the reason.
        case 'leading':
          return set({
            leader: true,
            phase: 'starting',
            message: status.phase === 'starting' ? status.message : undefined,
          })
        case 'loaded': {
          movedTo(report.position)
          // Where the head is nobody knows before the first read.
          const phase =
            report.paused || (status.phase === 'starting' && status.head <= report.position && !report.rebuilding)
              ? {}
              : running()
          return set(
            report.rebuilding
              ? { rebuilding: { position: report.position }, ...phase }
              : { position: report.position, ...phase },
          )
        }
        case 'read': {
          const { head } = report
          return set({ head, ...(status.phase === 'retrying' || status.phase === 'stalled' ? {} : running({ head })) })
        }
        case 'committed': {
          const rate = movedTo(report.position)
          const { position } = report
          const change = status.rebuilding === undefined ? { position } : { rebuilding: { position } }
          return set({
            ...change,
            ...running(change),
            rate,
            lastError: undefined,
            deadLetterCount: report.deadLetterCount ?? status.deadLetterCount,
          })
        }
        case 'idle':
          return set({
            phase: 'live',
            rate: 0,
            message: undefined,
            lastError: undefined,
            position: report.position,
            rebuilding: undefined,
          })
        case 'paused':
          return set(pausedStatus())
        case 'event-failed':
          return set({ lastError: report.error })
        case 'retrying':
          return set({
            phase: 'retrying',
            message: notice('retrying', say`The event at position ${report.position} failed and is tried again.`),
            lastError: report.error,
          })
        case 'storage-failed':
          return set({
            phase: 'retrying',
            message: notice(
              'retrying',
              say`${report.what} failed ${report.failures} times in a row and is tried again: ${messageOf(report.error)}`,
            ),
            lastError: report.error,
          })
        case 'leadership-lost':
          return set({ rate: 0 })
        case 'rebuild-failed':
          return set({ rebuilding: undefined, lastError: report.error })
        case 'resigned':
          return set({ leader: false, rate: 0 })
        default:
          return undefined
      }
    },
    stored(state, head, late = false) {
      if (late) return set({ head, owner: state.owner, rebuildFault: state.rebuildFault })
      const working = state.rebuild?.position ?? state.position
      const rate = movedTo(working)
      if (prerendered() !== undefined) moved = { ...moved, at: clock.monotonic() }
      set({
        position: state.position,
        head,
        owner: state.owner,
        deadLetterCount: state.letters,
        rebuilding: state.rebuild === undefined ? undefined : { position: state.rebuild.position },
        rebuildFault: state.rebuildFault,
        ...(status.leader ? {} : { rate: working >= head ? 0 : rate }),
      })
      if (status.phase === 'stopped' || status.phase === 'faulted') return
      if (state.paused) return set(pausedStatus())
      if (status.phase === 'paused') set({ phase: status.leader ? 'live' : 'standby', message: undefined })
      // An error of a follower was that of a look, and this one succeeded.
      const passed = status.leader ? {} : { lastError: undefined }
      const still = clock.monotonic() - moved.at
      const behind = head > state.position || state.rebuild !== undefined
      if (behind && still >= stallTimeout && status.phase !== 'retrying') {
        const who = status.leader
          ? say`The handler for the event after position ${working} has been running`
          : say`The leader (${state.owner === '' ? 'unknown' : state.owner}) has stayed at position ${working}`
        set({
          ...passed,
          phase: 'stalled',
          rate: 0,
          message: notice('stalled', say`${who} for ${Math.round(still / 1000)} s.`),
        })
      } else if (status.phase === 'stalled' || status.phase === 'standby')
        set(status.leader ? running() : { ...passed, phase: 'standby', message: undefined })
    },
  }
}
