/**
 * The rules of a projection, as a pure machine: it yields effects and is resumed with their results. It does no I/O, reads
 * no clock and never sleeps, so every rule can be tested by stepping it.
 */
import {
  PoisonEventError,
  hasCode,
  LogInconsistentError,
  messageOf,
  ProjectionError,
  StreamBlockedError,
  type EventUnreadableError,
} from '../errors.js'
import type { RecordedEvent } from '../events/event.js'
import type { Settings } from './config.js'
import type { ProjectionResult } from './projector.js'
import { reportedEvent, type ProjectionOccurrence } from './report.js'
import { isForNewerBuilds, type ProjectionState, type ReadModelFailureStrategy } from './target.js'

/** What a read answers. */
export interface Page {
  readonly events: readonly RecordedEvent[]
  readonly unreadable?: readonly EventUnreadableError[]
  readonly scannedTo: number
  readonly head: number
  /** Characters of JSON that were read. */
  readonly characters?: number
  readonly now: number
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown }

/** Why nothing is done for a while. `'failed'`: the storage did. `'retrying'`: an event did. `'burst'`: more is likely to come at once, and goes into the same commit. */
export type Rest = 'idle' | 'paused' | 'failed' | 'retrying' | 'burst'

/** What the machine asks of its shell. */
export type Effect =
  | { readonly kind: 'load-checkpoint' }
  /** `most`: where preparing them has to read much, so many are better; 0: they are not to be prepared. */
  | { readonly kind: 'read-events'; readonly after: number; readonly limit: number; readonly most: number }
  /** Apply events of the last page from an index on, until one fails, time is up, or `to` is reached. */
  | { readonly kind: 'apply'; readonly from: number; readonly to: number }
  | { readonly kind: 'decide'; readonly event: RecordedEvent; readonly error: unknown; readonly retryCount: number }
  | {
      readonly kind: 'park'
      readonly event: RecordedEvent
      readonly error: unknown
      readonly attempts: number
      readonly blocksStream: boolean
    }
  /** An event comes next, alone. */
  | { readonly kind: 'try'; readonly position: number }
  /** It did not end this run, and is not to be applied again at once. */
  | { readonly kind: 'survived' }
  /** `ends`: see `ProjectionState.unclean`. */
  | {
      readonly kind: 'commit'
      readonly position: number
      readonly caughtUp: boolean
      readonly events: number
      readonly ends?: number
    }
  /** Look at what is stored, without taking over. */
  | { readonly kind: 'read-state' }
  /** An append cuts the `'idle'` and `'burst'` sleeps short, a caller that waits for the rows the latter, and a call of the app the `'failed'` one; an abort and a control cut every one. */
  | { readonly kind: 'sleep'; readonly ms: number; readonly why: Rest }
  | { readonly kind: 'report'; readonly occurrence: ProjectionOccurrence }
  /** Drop what is pending and not committed. */
  | { readonly kind: 'reset' }

/** What each effect is answered with. */
export interface EffectResults {
  /** `rebuilding`: a commit at the head makes the rows that are being built those that readers see. `blocked`: streams whose events are parked. */
  'load-checkpoint': Outcome<
    {
      readonly position: number
      readonly paused: boolean
      readonly rebuilding: boolean
      readonly now: number
      readonly blocked?: ReadonlySet<string> | undefined
    } & Pick<ProjectionState, 'unclean' | 'trying' | 'skipped' | 'carried'>
  >
  /** `moved`: it is not what this run left: somebody rebuilt, skipped, replayed or took over. */
  'read-state': { readonly paused: boolean; readonly moved: boolean; readonly now: number } | undefined
  'read-events': Outcome<Page> | 'aborted'
  /** `storage`: what failed was not the handler, but reading what it asked for. */
  apply: {
    readonly next: number
    readonly failure?: { readonly error: unknown; readonly storage: boolean }
    readonly now: number
    readonly aborted: boolean
  }
  /** `error` is what the policy itself threw. */
  decide: { readonly strategy: ReadModelFailureStrategy; readonly error?: unknown }
  park: undefined
  try: Outcome<undefined>
  survived: undefined
  /** `burst`: more was appended while it was stored, and nobody waits for the rows of that. */
  commit: Outcome<{ readonly paused: boolean; readonly now: number; readonly took: number; readonly burst: boolean }>
  /** `'append'`, `'retry-now'`: an append cut it short, or an app that asks for something. */
  sleep: 'aborted' | 'control' | 'append' | 'retry-now' | 'on'
  report: undefined
  reset: undefined
}

/** What a run carries through changes of leadership: the counts of what is stored, and what it set out to do. */
export interface RunProgress {
  /** Its work was lost to a change of the state from outside. */
  commitSoon: boolean
  position: number
  applied: number
  skipped: number
  parked: number
  startedAt: number | undefined
  /** The head that a batch runs up to. */
  goal: number | undefined
}

/** A run that has done nothing yet. */
export const newRun = (): RunProgress => ({
  commitSoon: false,
  position: 0,
  applied: 0,
  skipped: 0,
  parked: 0,
  startedAt: undefined,
  goal: undefined,
})

/** Errors after which nothing will ever be better: the store was closed or lost, or belongs to a newer build. */
const isFinal = (error: unknown): boolean =>
  hasCode(error, 'closed', 'storage-lost', 'unsupported-format', 'invalid-argument', 'invalid-name')

/** How many events one read asks for. */
export const pageSize = 4096
/** … and how many are held at a time where that saves reading rows. A table's work remembers as many rows as that, whatever is committed meanwhile. */
const longPageSize = 2 * pageSize
const maxIdle = 5_000
const maxFailurePause = 30_000

/** So many runs in a row may end without a word and a commit, as a closed tab does. Then commits come after so many events … */
const endsBeforeSmall = 2
const smallBatch = 64
/** … and after one more end each event is applied alone, so many of them, … */
const endsBeforeAlone = 3
/** … and whichever ends so many runs is not applied again (N19). */
const runsBeforeBlame = 2

/** Why the work on a page ended before its end. `'again'`: read again from where the checkpoint is. */
type Turn = 'done' | 'again' | 'aborted' | 'budget'

/** Steps through a projection. `random` gives jitter; `run` is kept up to date at every commit. */
export function* projectionMachine(
  name: string,
  settings: Settings,
  random: () => number,
  run: RunProgress,
): Generator<Effect, ProjectionResult, never> {
  /** Everything up to here is applied, committed or not. */
  let cursor = 0
  let paused = false
  let rebuilding = false
  let now = 0
  let idle = settings.emptyBackoff
  let checkedAt = 0
  /** The event that is being retried, and how often it was. */
  let retrying = { position: 0, count: 0 }
  /** Somebody else changes the state again and again: commit as soon as anything is done, so that something is. */
  let commitSoon = run.commitSoon
  /** How often in a row a run ended without a word, before this one (N19). */
  let ends = 0
  /** How many events are still to be applied alone … */
  let alone = 0
  /** … and which of them killed the runs before this one. */
  let blamed: ProjectionState['trying']
  /** Noted by this run already. */
  let tried = 0
  /** Whoever waits may be stopped or killed meanwhile, and not by the event. */
  const survived = function* (): Generator<Effect, void, never> {
    if (tried === 0) return
    tried = 0
    yield { kind: 'survived' }
  }
  /** Streams whose events are parked without being tried (N22). */
  let blocked = new Set<string>()
  /** Events that were left out by hand, and are left out again by a rebuild. */
  let leftOut: ReadonlySet<number> = new Set()
  /** Events that were left out by hand in earlier versions: left out here if they fail. */
  let carried: ReadonlySet<number> = new Set()
  /** In a row. Apart, because a good read says nothing about whether storing works (H28). */
  const failures = { loading: 0, reading: 0, storing: 0 }
  /** What was done since the last commit. */
  let pending = { applied: 0, skipped: 0, parked: 0, bytes: 0, since: 0 }

  const result = (reason: ProjectionResult['reason']): ProjectionResult => ({
    position: run.position,
    applied: run.applied,
    skipped: run.skipped,
    parked: run.parked,
    reason,
  })
  const done = () => pending.applied + pending.skipped + pending.parked
  const nothingPending = () => ({ applied: 0, skipped: 0, parked: 0, bytes: 0, since: now })
  const overBudget = () =>
    now - (run.startedAt ?? now) >= settings.budgetTime ||
    run.applied + run.skipped + run.parked + done() >= settings.budgetEvents
  /** Commits are to take a tenth of the time at most, in reason: a table of many rows takes long to write. */
  let batchTime = settings.batchTime[0]
  /** Events came in while the last commit was stored, which took so many ms. So the next ones wait for those that follow, as long as commits then take a tenth of the time. */
  let burst: number | undefined
  const batchEvents = () =>
    alone > 0 ? 1 : ends >= endsBeforeSmall ? Math.min(smallBatch, settings.batchEvents) : settings.batchEvents
  const batchFull = () =>
    commitSoon || done() >= batchEvents() || pending.bytes >= settings.batchBytes || now - pending.since >= batchTime

  const report = function* (occurrence: ProjectionOccurrence): Generator<Effect, void, never> {
    yield { kind: 'report', occurrence }
  }
  const sleep = function* (ms: number, why: Rest): Generator<Effect, EffectResults['sleep'], never> {
    return (yield { kind: 'sleep', ms, why }) as EffectResults['sleep']
  }
  /** Waits after a failure of the storage; throws when too many came in a row (P5, P26, P29). Answers true if aborted. */
  const failed = function* (
    what: keyof typeof failures,
    error: unknown,
    final = isFinal(error),
  ): Generator<Effect, boolean, never> {
    const before = failures[what]
    if (before >= settings.maxFailures || (what === 'loading' && settings.mode === 'batch') || final) {
      throw new ProjectionError(
        `Projection '${name}' stopped at ${run.position}: ${what} failed ${final ? 'for good' : `${before + 1} times in a row`}: ${messageOf(error)}`,
        { projector: name, attempts: before + 1, position: run.position },
        error,
      )
    }
    const delay = Math.min(
      maxFailurePause,
      settings.failureBackoff * 2 ** Math.min(before, 20) * (1 + settings.jitter * random()),
    )
    failures[what] = before + 1
    yield* report({ type: 'storage-failed', what, error, failures: before + 1, delay })
    const slept = yield* sleep(delay, 'failed')
    // A try that the app asked for makes no later pause longer.
    if (slept === 'retry-now') failures[what] = before
    // What follows a failure of loading or storing is to load, in any case.
    return slept === 'control' && what === 'reading' ? yield* load() : slept === 'aborted'
  }
  /** Loads the checkpoint, until it can be loaded. Answers true if aborted. */
  const load = function* (): Generator<Effect, boolean, never> {
    for (;;) {
      const loaded = (yield { kind: 'load-checkpoint' }) as EffectResults['load-checkpoint']
      if ('error' in loaded) {
        if (loaded.error instanceof ProjectionError) throw loaded.error
        // A damaged state is not repaired by looking at it again.
        if (
          yield* failed('loading', loaded.error, isFinal(loaded.error) || loaded.error instanceof LogInconsistentError)
        )
          return true
        continue
      }
      failures.loading = 0
      // A rebuild begins with all of its tries.
      if (loaded.value.position < run.position) retrying = { position: 0, count: 0 }
      run.position = cursor = loaded.value.position
      ;({ paused, rebuilding, now } = loaded.value)
      const { unclean, trying, skipped } = loaded.value
      blocked = new Set(loaded.value.blocked)
      leftOut = new Set(skipped)
      carried = new Set(loaded.value.carried)
      ends = unclean?.ends ?? 0
      tried = 0
      alone = trying !== undefined || ends >= endsBeforeAlone ? smallBatch : 0
      blamed = trying !== undefined && trying.runs >= runsBeforeBlame ? trying : undefined
      checkedAt = now
      pending = nothingPending()
      return false
    }
  }
  const stored = (position: number) => {
    run.position = position
    run.applied += pending.applied
    run.skipped += pending.skipped
    run.parked += pending.parked
  }
  /**
   * The storage failed while something was pending, which is gone with that. Or not: whether it was stored, up to `position` or to the
   * event that was applied `next`, is what the storage says, not what the error says (N4).
   */
  const lostPending = function* (
    what: 'reading' | 'storing',
    error: unknown,
    position: number,
    next?: number,
  ): Generator<Effect, 'again' | 'aborted', never> {
    if (hasCode(error, 'leadership-lost')) throw error
    yield { kind: 'reset' }
    yield* survived()
    const attempted = pending
    if ((yield* failed(what, error)) || (yield* load())) return 'aborted'
    if (run.position === position || run.position === next) {
      pending = { ...attempted, applied: attempted.applied + (run.position === next ? 1 : 0) }
      stored(run.position)
      pending = nothingPending()
    }
    return 'again'
  }
  const commit = function* (position: number, caughtUp: boolean): Generator<Effect, Turn, never> {
    if (alone > 0 && (alone = Math.max(0, alone - done())) === 0) ends = endsBeforeSmall
    const outcome = (yield {
      kind: 'commit',
      position,
      caughtUp,
      events: done(),
      ...(ends >= endsBeforeSmall && { ends }),
    }) as EffectResults['commit']
    if ('error' in outcome) return yield* lostPending('storing', outcome.error, position)
    failures.storing = failures.reading = 0
    stored(position)
    cursor = position
    const { took } = outcome.value
    ;({ paused, now } = outcome.value)
    batchTime = Math.min(settings.batchTime[1], Math.max(settings.batchTime[0], 9 * took))
    burst = outcome.value.burst ? took : undefined
    if (caughtUp) {
      rebuilding = false
      ends = alone = 0
    }
    commitSoon = run.commitSoon = false
    checkedAt = now
    pending = nothingPending()
    return 'done'
  }

  /** Puts an event aside, and with `blocksStream` those of its stream that follow. */
  const park = function* (
    event: RecordedEvent,
    error: unknown,
    attempts: number,
    blocksStream: boolean,
  ): Generator<Effect, void, never> {
    yield { kind: 'park', event, error, attempts, blocksStream }
    if (blocksStream) blocked.add(event.stream)
    pending.parked += 1
    yield* report({ type: 'parked', error, attempts, ...reportedEvent(event) })
  }

  /** What to do with an event that failed: by its policy, with everything before it stored (N18). */
  const settleFailure = function* (event: RecordedEvent, error: unknown): Generator<Effect, 'next' | Turn, never> {
    const at = reportedEvent(event)
    const retryCount = retrying.position === event.position ? retrying.count : 0
    yield* report({ type: 'event-failed', error, retryCount, ...at })
    // It was decided already, but not about an event that a newer build can apply.
    if (carried.has(event.position) && !isForNewerBuilds(error)) {
      pending.skipped += 1
      yield* report({ type: 'skipped', error, attempts: retryCount + 1, ...at })
      return 'next'
    }
    const decision = (yield { kind: 'decide', event, error, retryCount }) as EffectResults['decide']
    const { strategy } = decision
    if (strategy === 'retry' && retryCount < settings.retries && !(error instanceof PoisonEventError)) {
      const delay = Math.min(
        settings.retryMaxDelay,
        settings.retryDelay * settings.retryMultiplier ** retryCount * (1 + settings.jitter * random()),
      )
      yield* report({ type: 'retrying', error, retryCount: retryCount + 1, delay, ...at })
      retrying = { position: event.position, count: retryCount + 1 }
      yield* survived()
      const slept = yield* sleep(delay, 'retrying')
      if (slept === 'control' && (yield* load())) return 'aborted'
      // Read anew: the handler may have changed the event that it was given (N17).
      return slept === 'aborted' ? 'aborted' : 'again'
    }
    const attempts = retryCount + 1
    if (strategy === 'park' || strategy === 'park-stream') {
      yield* park(event, error, attempts, strategy === 'park-stream')
      return 'next'
    }
    if (strategy === 'skip') {
      pending.skipped += 1
      yield* report({ type: 'skipped', error, attempts, ...at })
      return 'next'
    }
    const cause = decision.error ?? error
    const reason = messageOf(cause)
    throw new ProjectionError(
      `Projection '${name}' stopped at position ${event.position} (${event.type} in '${event.stream}') after ${attempts === 1 ? 'one attempt' : `${attempts} attempts`}: ${reason}`,
      { projector: name, attempts, event },
      cause,
    )
  }

  /** Stores what was done before the abort. */
  const aborted = function* (): Generator<Effect, 'aborted', never> {
    if (cursor > run.position) yield* commit(cursor, false)
    return 'aborted'
  }
  /** An event that is not applied like others. */
  const isAside = ({ position, stream }: RecordedEvent, broken: ReadonlyMap<number, unknown>) =>
    broken.has(position) || (blocked.size > 0 && blocked.has(stream)) || (leftOut.size > 0 && leftOut.has(position))

  /** Applies the first `count` events of a page. `cursor` is at the last one applied when it ends. */
  const applyPage = function* ({ events, unreadable = [] }: Page, count: number): Generator<Effect, Turn, never> {
    const broken = new Map(unreadable.map((error) => [error.position, error]))
    let at = 0
    while (at < count) {
      let failure: { readonly error: unknown } | undefined
      const { position, stream } = events[at] as RecordedEvent
      const unreadableHere = broken.get(position)
      if (leftOut.has(position)) {
        pending.skipped += 1
        yield* report({ type: 'skipped', error: undefined, attempts: 0, ...reportedEvent(events[at] as RecordedEvent) })
        cursor = position
        at += 1
      } else if (blocked.has(stream)) {
        yield* park(events[at] as RecordedEvent, new StreamBlockedError(stream), 0, true)
        cursor = position
        at += 1
      } else if (unreadableHere !== undefined) failure = { error: unreadableHere }
      else if (blamed?.position === position) failure = { error: new PoisonEventError(position, blamed.runs) }
      else {
        if (alone > 0 && tried !== position) {
          const marked = (yield { kind: 'try', position }) as EffectResults['try']
          if ('error' in marked) return yield* lostPending('storing', marked.error, cursor)
          tried = position
        }
        let to = at
        while (to < count && !isAside(events[to] as RecordedEvent, broken)) to += 1
        const room = Math.min(
          batchEvents() - done(),
          settings.budgetEvents - (run.applied + run.skipped + run.parked + done()),
        )
        const applied = (yield {
          kind: 'apply',
          from: at,
          to: Math.min(to, at + Math.max(1, room)),
        }) as EffectResults['apply']
        if (applied.next > at) {
          pending.applied += applied.next - at
          cursor = (events[applied.next - 1] as RecordedEvent).position
        }
        at = applied.next
        now = applied.now
        failure = applied.failure
        if (applied.failure?.storage === true)
          return yield* lostPending('reading', applied.failure.error, cursor, (events[at] as RecordedEvent).position)
        if (applied.aborted) return yield* aborted()
      }
      if (failure !== undefined) {
        if (cursor > run.position) {
          const turn = yield* commit(cursor, false)
          if (turn !== 'done') return turn
        }
        const event = events[at] as RecordedEvent
        const next = yield* settleFailure(event, failure.error)
        if (next !== 'next') return next
        cursor = event.position
        at += 1
      }
      if (at < count && (overBudget() || batchFull())) {
        const spent = overBudget()
        const turn = yield* commit(cursor, false)
        if (turn !== 'done') return turn
        if (spent) return 'budget'
        if (paused) return 'again'
      }
    }
    return 'done'
  }

  if (yield* load()) return result('aborted')
  run.startedAt ??= now
  for (;;) {
    if (paused) {
      yield* report({ type: 'paused' })
      if (settings.mode === 'batch') return result('paused')
      let slept: EffectResults['sleep']
      do {
        slept = yield* sleep(maxIdle, 'paused')
        if (slept === 'aborted') return result('aborted')
        const found = (yield { kind: 'read-state' }) as EffectResults['read-state']
        paused = found?.paused ?? true
      } while (paused)
      if (yield* load()) return result('aborted')
      continue
    }
    const room = settings.budgetEvents - (run.applied + run.skipped + run.parked + done())
    const upTo = (most: number) => Math.max(1, Math.min(most, room))
    const read = (yield {
      kind: 'read-events',
      after: cursor,
      limit: upTo(pageSize),
      most: alone > 0 ? 0 : upTo(longPageSize),
    }) as EffectResults['read-events']
    if (read === 'aborted') return result(yield* aborted())
    if ('error' in read) {
      if (yield* failed('reading', read.error)) return result(yield* aborted())
      continue
    }
    const page = read.value
    const { events, scannedTo, head } = page
    now = page.now
    // The time of a batch begins with its first work, not with the commit before a long idleness.
    if (cursor === run.position) pending.since = now
    pending.bytes += page.characters ?? 0
    if (run.position > head) {
      const cause = new LogInconsistentError(
        run.position,
        `The checkpoint of '${name}' is ${run.position}, beyond the head of the log, ${head}: the log lost its tail or was replaced. Rebuild the projection.`,
      )
      throw new ProjectionError(cause.message, { projector: name, attempts: 1, position: run.position }, cause)
    }
    const goal = (run.goal ??= head)
    const beyond = settings.mode === 'batch' ? events.findIndex((event) => event.position > goal) : -1
    const turn = yield* applyPage(page, beyond < 0 ? events.length : beyond)
    if (turn === 'again') continue
    if (turn !== 'done') return result(turn)
    failures.reading = 0

    // What was looked at counts as done, also where nothing matched (W6, N10).
    const through = settings.mode === 'batch' ? Math.max(cursor, Math.min(goal, scannedTo)) : scannedTo
    const caughtUp = through >= head || (settings.mode === 'batch' && through >= goal)
    const spent = overBudget()
    let stopped = false
    if (
      caughtUp &&
      !spent &&
      !batchFull() &&
      through > run.position &&
      burst !== undefined &&
      now - pending.since < Math.min(settings.batchTime[0], 9 * burst)
    ) {
      cursor = through
      // No longer than a commit takes: so what comes last of all is there in twice the time at most.
      const slept = yield* sleep(burst, 'burst')
      if (slept === 'append') continue
      stopped = slept === 'aborted'
    }
    // While behind, one commit for many pages: writing rows costs more than folding events.
    if (!caughtUp && !spent && !batchFull()) cursor = through
    else if (through > run.position || (caughtUp && rebuilding)) {
      const turn = yield* commit(through, caughtUp)
      if (turn === 'aborted' || stopped) return result('aborted')
      if (turn === 'again') continue
    }
    if (settings.mode === 'batch' && run.position >= goal) return result('caught-up')
    if (spent) return result('budget')
    // Behind: no pause, whatever the interval (W8, N12).
    if (!caughtUp) continue
    if (events.length > 0) idle = settings.emptyBackoff
    yield* report({ type: 'idle', position: run.position })
    const slept = yield* sleep(
      events.length > 0 && settings.interval > 0 ? settings.interval : Math.max(idle, settings.interval),
      'idle',
    )
    if (slept === 'aborted') return result('aborted')
    // Somebody paused or rebuilt, perhaps in another tab, perhaps without being heard: only the stored state knows (H66).
    if (slept === 'control' || now - checkedAt >= maxIdle) {
      const found = (yield { kind: 'read-state' }) as EffectResults['read-state']
      // What cannot be read now is looked at again later.
      if (found !== undefined) {
        checkedAt = found.now
        paused = found.paused
        if (found.moved && (yield* load())) return result('aborted')
      }
    }
    if (events.length === 0) idle = Math.min(idle * 2, Math.max(maxIdle, settings.emptyBackoff))
  }
}
