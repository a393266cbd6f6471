/**
 * The rules of a projection, as a pure machine: it yields effects and is resumed with their results. It does no I/O, reads
 * no clock and never sleeps, so every rule can be tested by stepping it.
 */
import { IntegrityError, LeadershipLostError, ProjectionError, type EventUnreadableError } from '../errors.js'
import type { RecordedEvent } from '../events/event.js'
import type { ProjectionResult, Settings } from './projector.js'
import type { FailureStrategy } from './target.js'

export interface Page {
  readonly events: readonly RecordedEvent[]
  readonly unreadable?: readonly EventUnreadableError[]
  readonly scannedTo: number
  readonly head: number
  readonly now: number
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown }

export type Effect =
  | { readonly kind: 'load-checkpoint' }
  | { readonly kind: 'read-events'; readonly after: number; readonly limit: number }
  /** Apply events of the last page from an index on, until one fails, time is up, or the page ends. */
  | { readonly kind: 'apply'; readonly from: number; readonly to: number }
  | { readonly kind: 'decide'; readonly event: RecordedEvent; readonly error: unknown; readonly retryCount: number }
  | { readonly kind: 'park'; readonly event: RecordedEvent; readonly error: unknown; readonly attempts: number }
  | { readonly kind: 'commit'; readonly position: number; readonly caughtUp: boolean }
  | { readonly kind: 'sleep'; readonly ms: number; readonly why: 'idle' | 'retrying' | 'reading-failed' | 'paused'; readonly error?: unknown }
  /** Drop what is pending and not committed. */
  | { readonly kind: 'reset' }

export interface EffectResults {
  'load-checkpoint': { readonly position: number; readonly paused: boolean; readonly now: number }
  'read-events': Outcome<Page>
  apply: { readonly next: number; readonly failure?: { readonly error: unknown }; readonly now: number; readonly aborted: boolean }
  decide: FailureStrategy
  park: undefined
  commit: Outcome<{ readonly paused: boolean; readonly now: number }>
  sleep: 'aborted' | 'control' | 'on'
  reset: undefined
}

/** How many events one read asks for. */
export const pageSize = 4096
const maxIdle = 5_000
const maxFailurePause = 30_000

/** Steps through a projection. `random` gives jitter. */
export function* projectionMachine(name: string, settings: Settings, random: () => number): Generator<Effect, ProjectionResult, never> {
  let applied = 0
  let skipped = 0
  let parked = 0
  /** What is committed. */
  let position = 0
  /** What is applied, committed or not. */
  let cursor = 0
  let paused = false
  let goal: number | undefined
  /** In a row. Apart, because a good read says nothing about whether storing works (H28). */
  const failures = { reading: 0, storing: 0 }
  /** The counts that are committed: what a failed commit goes back to. */
  let stored = { applied: 0, skipped: 0, parked: 0 }
  let idle = settings.emptyBackoff
  let now = 0
  let lastCommit = 0
  let sinceCommit = 0

  const load = function* (): Generator<Effect, void, never> {
    const loaded = (yield { kind: 'load-checkpoint' }) as EffectResults['load-checkpoint']
    position = cursor = loaded.position
    paused = loaded.paused
    now = lastCommit = loaded.now
    sinceCommit = 0
  }
  const result = (reason: ProjectionResult['reason']): ProjectionResult => ({ position, applied, skipped, parked, reason })
  /** Pauses after a failure of the storage; throws when too many came in a row (P5, P26, P29). Answers true if aborted. */
  const failed = function* (what: keyof typeof failures, error: unknown): Generator<Effect, boolean, never> {
    const before = failures[what]
    if (before >= settings.maxFailures) {
      throw new ProjectionError(`Projection '${name}' stopped at ${position}: ${what} failed ${before + 1} times in a row. See the cause.`, { projector: name, attempts: before + 1, position }, error)
    }
    const pause = Math.min(maxFailurePause, settings.failureBackoff * 2 ** Math.min(before, 20) * (1 + settings.jitter * random()))
    failures[what] = before + 1
    return (yield { kind: 'sleep', ms: pause, why: 'reading-failed', error }) === ('aborted' as never)
  }
  /** Answers false if the commit failed and everything since the last one has to be done again. */
  const commit = function* (to: number, caughtUp: boolean): Generator<Effect, boolean, never> {
    const outcome = (yield { kind: 'commit', position: to, caughtUp }) as EffectResults['commit']
    if ('error' in outcome) {
      if (outcome.error instanceof LeadershipLostError) throw outcome.error
      yield { kind: 'reset' }
      const attempted = { applied, skipped, parked }
      ;({ applied, skipped, parked } = stored)
      if (yield* failed('storing', outcome.error)) return false
      // Whether the commit happened is what the storage says, not what the error says (N4).
      yield* load()
      if (position === to) {
        stored = attempted
        ;({ applied, skipped, parked } = attempted)
      }
      return false
    }
    position = cursor = to
    stored = { applied, skipped, parked }
    failures.storing = 0
    paused = outcome.value.paused
    now = lastCommit = outcome.value.now
    sinceCommit = 0
    return true
  }

  yield* load()
  const started = now
  for (;;) {
    if (paused) {
      if (settings.mode === 'batch') return result('aborted')
      if ((yield { kind: 'sleep', ms: maxIdle, why: 'paused' }) === ('aborted' as never)) return result('aborted')
      yield* load()
      continue
    }
    const page: EffectResults['read-events'] = (yield { kind: 'read-events', after: cursor, limit: pageSize }) as EffectResults['read-events']
    if ('error' in page) {
      if (yield* failed('reading', page.error)) return result('aborted')
      continue
    }
    const { events, scannedTo, head } = page.value
    now = page.value.now
    if (position > head) {
      const cause = new IntegrityError(position, `The checkpoint of '${name}' is ${position}, beyond the head of the log, ${head}: the log lost its tail or was replaced. Rebuild the projection.`)
      throw new ProjectionError(cause.message, { projector: name, attempts: 1, position }, cause)
    }
    goal ??= head
    const unreadable = new Map(page.value.unreadable?.map((error) => [error.position, error]))
    const end = settings.mode === 'batch' ? events.findIndex((event) => event.position > (goal as number)) : -1
    const usable = end < 0 ? events.length : end
    let reached = cursor
    let at = 0
    let retryCount = 0
    let redo = false
    while (at < usable) {
      const event = events[at] as RecordedEvent
      const broken = unreadable.get(event.position)
      let failure: { readonly error: unknown } | undefined
      if (broken !== undefined) failure = { error: broken }
      else {
        let to = at
        while (to < usable && !unreadable.has((events[to] as RecordedEvent).position)) to += 1
        const room = Math.min(settings.batchEvents - sinceCommit, settings.budgetEvents - (applied + skipped + parked))
        const done = (yield { kind: 'apply', from: at, to: Math.min(to, at + Math.max(1, room)) }) as EffectResults['apply']
        applied += done.next - at
        sinceCommit += done.next - at
        if (done.next > at) {
          retryCount = 0
          reached = (events[done.next - 1] as RecordedEvent).position
        }
        at = done.next
        now = done.now
        failure = done.failure
        if (done.aborted) {
          if (reached > position && !(yield* commit(reached, false))) return result('aborted')
          return result('aborted')
        }
      }
      if (failure !== undefined) {
        const failing = events[at] as RecordedEvent
        // What came before is safe first, so that neither a retry's wait nor a stop holds it back (N18).
        if (reached > position && !(yield* commit(reached, false))) {
          redo = true
          break
        }
        const strategy = (yield { kind: 'decide', event: failing, error: failure.error, retryCount }) as FailureStrategy
        if (strategy === 'retry' && retryCount < settings.retries) {
          const delay = settings.retryDelay * settings.retryMultiplier ** retryCount * (1 + settings.jitter * random())
          retryCount += 1
          if ((yield { kind: 'sleep', ms: Math.min(settings.retryMaxDelay, delay), why: 'retrying', error: failure.error }) === ('aborted' as never)) return result('aborted')
          continue
        }
        if (strategy !== 'skip' && strategy !== 'park') {
          const reason = failure.error instanceof Error ? failure.error.message : String(failure.error)
          throw new ProjectionError(
            `Projection '${name}' stopped at position ${failing.position} (${failing.type} in '${failing.stream}') after ${retryCount + 1} attempts: ${reason}`,
            { projector: name, attempts: retryCount + 1, event: failing }, failure.error,
          )
        }
        if (strategy === 'park') {
          yield { kind: 'park', event: failing, error: failure.error, attempts: retryCount + 1 }
          parked += 1
        } else skipped += 1
        sinceCommit += 1
        reached = failing.position
        retryCount = 0
        at += 1
      }
      const overBudget = now - started >= settings.budgetTime || applied + skipped + parked >= settings.budgetEvents
      if (at < usable && (overBudget || sinceCommit >= settings.batchEvents || now - lastCommit >= settings.batchTime)) {
        if (!(yield* commit(reached, false))) {
          redo = true
          break
        }
        if (overBudget) return result('budget')
        if (paused) {
          redo = true
          break
        }
      }
    }
    if (redo) continue
    const through = usable < events.length || (settings.mode === 'batch' && scannedTo > goal) ? Math.max(reached, Math.min(goal, scannedTo)) : scannedTo
    const caughtUp = through >= head || (settings.mode === 'batch' && through >= goal)
    failures.reading = 0
    const spent = now - started >= settings.budgetTime || applied + skipped + parked >= settings.budgetEvents
    // While behind, one commit for many pages: writing rows costs more than folding events.
    if (!caughtUp && !spent && sinceCommit < settings.batchEvents && now - lastCommit < settings.batchTime) cursor = through
    else if (through > position && !(yield* commit(through, caughtUp))) continue
    if (settings.mode === 'batch' && position >= goal) return result('caught-up')
    if (spent) return result('budget')
    // Behind: no pause, whatever the interval (W8, N12).
    if (!caughtUp) continue
    idle = events.length > 0 ? settings.emptyBackoff : idle
    const pause = events.length > 0 && settings.interval > 0 ? settings.interval : Math.max(idle, settings.interval)
    const slept = (yield { kind: 'sleep', ms: pause, why: 'idle' }) as EffectResults['sleep']
    if (slept === 'aborted') return result('aborted')
    // Somebody paused, perhaps in another tab: only the stored state knows.
    if (slept === 'control') yield* load()
    if (events.length === 0) idle = Math.min(idle * 2, Math.max(maxIdle, settings.emptyBackoff))
  }
}
