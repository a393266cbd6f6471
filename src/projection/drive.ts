/** The thin shell: performs the machine's effects against a reader, a target, a clock and a signal. */
import { LeadershipError, LeadershipLostError, ProjectionError, TidemarkError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { EventReader } from '../log/event-store.js'
import type { Clock } from '../platform/clock.js'
import type { CollectedRead, PageReadOptions } from '../log/pages.js'
import { projectionMachine, type Effect, type EffectResults } from './machine.js'
import type { LeadershipGuard, ProjectorCoordinator } from './ports.js'
import { settle, type ProjectionConfig, type ProjectionResult, type Settings } from './projector.js'
import type { ProjectionTarget } from './target.js'

/** How long events are applied before the page gets its turn, ms: well under a long task. */
const slice = 12
/** A follower that sees the head move and the checkpoint not for so long works without the lock, ms (N15). */
const stallTimeout = 5_000

/** What a run tells about itself. */
export interface Observer {
  (change: {
    phase?: 'waiting-for-leader' | 'catching-up' | 'live' | 'retrying' | 'paused'
    position?: number
    head?: number
    leader?: boolean
    error?: unknown
    applied?: number
  }): void
}

export interface Backend<E extends EventShape> {
  readonly reader: EventReader<E>
  readonly coordinator: ProjectorCoordinator
  /** Wakes a sleeping run although nothing was appended: a pause was asked for or taken back. */
  onControl?(listener: () => void): () => void
}

/** Lets the page answer input and paint, without the delay that timers have in the background. */
function nextTask(): Promise<void> {
  const scheduler = (globalThis as { scheduler?: { yield?: () => Promise<void> } }).scheduler
  if (typeof scheduler?.yield === 'function') return scheduler.yield()
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
}

async function leadOnce<E extends EventShape>(
  target: ProjectionTarget<E>, backend: Backend<E>, settings: Settings, owner: string, signal: AbortSignal, observe: Observer,
): Promise<ProjectionResult> {
  const { clock } = settings
  let knownHead = 0
  let wake: (() => void) | undefined
  let hinted = false
  let controlled = false
  const nudge = (appended: boolean) => {
    if (appended) hinted = true
    wake?.()
  }
  const unsubscribe = backend.reader.subscribe?.((head) => {
    if (head > knownHead) nudge(true)
  })
  const stopControl = backend.onControl?.(() => {
    controlled = true
    nudge(false)
  })
  const onAbort = () => nudge(false)
  signal.addEventListener('abort', onAbort, { once: true })
  let page: CollectedRead<E> = { events: [], scannedTo: 0, head: 0 }

  const perform: { [K in Effect['kind']]: (effect: Extract<Effect, { kind: K }>) => Promise<EffectResults[K]> | EffectResults[K] } = {
    'load-checkpoint': async () => {
      const state = await target.begin(owner)
      observe({ position: state.position, ...(state.paused ? { phase: 'paused' as const } : {}) })
      return { position: state.position, paused: state.paused, now: clock.monotonic() }
    },
    'read-events': async ({ after, limit }) => {
      hinted = false
      try {
        const options: PageReadOptions = { unreadable: 'collect', signal }
        page = await backend.reader.readEvents(target.filter, { after, limit }, options)
        knownHead = page.head
        observe({ head: page.head, ...(after < page.head ? { phase: 'catching-up' as const } : {}) })
        await target.prepare?.(page.events)
        return { value: { ...page, now: clock.monotonic() } }
      } catch (error) {
        signal.throwIfAborted()
        return { error }
      }
    },
    apply: async ({ from, to }) => {
      const start = clock.monotonic()
      let next = from
      try {
        for (; next < to; next += 1) {
          if (signal.aborted) return { next, now: clock.monotonic(), aborted: true }
          // Only handlers that wait cost a turn of the microtask queue.
          const pending = target.apply(page.events[next] as (typeof page.events)[number])
          if (pending !== undefined) await pending
          if (clock.monotonic() - start >= slice) {
            next += 1
            await nextTask()
            break
          }
        }
      } catch (error) {
        return { next, failure: { error }, now: clock.monotonic(), aborted: false }
      }
      return { next, now: clock.monotonic(), aborted: false }
    },
    decide: ({ event, error, retryCount }) => {
      observe({ error })
      return target.onError({ error, event: event as never, position: event.position, retryCount })
    },
    park: ({ event, error, attempts }) => {
      target.park({
        position: event.position, eventId: event.id, eventType: event.type, stream: event.stream, attempts, time: clock.now(),
        errorName: error instanceof Error ? error.name : 'Error', message: error instanceof Error ? error.message : String(error),
      })
      return undefined
    },
    commit: async ({ position, caughtUp }) => {
      try {
        const { paused } = await target.commit(position, { caughtUp })
        observe({ position })
        return { value: { paused, now: clock.monotonic() } }
      } catch (error) {
        return { error }
      }
    },
    sleep: ({ ms, why, error }) => {
      observe({
        phase: why === 'idle' ? 'live' : why === 'paused' ? 'paused' : 'retrying', ...(error === undefined ? {} : { error }),
      })
      return new Promise<EffectResults['sleep']>((resolve) => {
        const done = () => {
          wake = undefined
          cancel()
          resolve(signal.aborted ? 'aborted' : controlled ? 'control' : 'on')
          controlled = false
        }
        const cancel = clock.schedule(ms, done)
        // An append cuts idleness short, but not the pause that a failure asked for.
        wake = () => {
          if (signal.aborted || (controlled && why !== 'retrying') || (hinted && why === 'idle')) done()
        }
        wake()
      })
    },
    reset: () => {
      target.reset()
      return undefined
    },
  }

  const machine = projectionMachine(target.name, settings, () => clock.random())
  try {
    let step = machine.next()
    while (step.done !== true) {
      const effect = step.value
      step = machine.next((await (perform[effect.kind] as (effect: Effect) => unknown)(effect)) as never)
    }
    return step.value
  } catch (error) {
    if (signal.aborted && !(error instanceof ProjectionError)) {
      return { position: (await target.state()).position, applied: 0, skipped: 0, parked: 0, reason: 'aborted' }
    }
    if (error instanceof ProjectionError) {
      await target.recordFault?.({
        position: error.position ?? 0, message: error.message, time: clock.now(),
        ...(error.eventId === undefined ? {} : { eventId: error.eventId }), ...(error.eventType === undefined ? {} : { eventType: error.eventType }),
      }).catch(() => {})
    }
    throw error
  } finally {
    unsubscribe?.()
    stopControl?.()
    signal.removeEventListener('abort', onAbort)
    target.reset()
  }
}

/** Waits, but not past an abort; leaves no listener behind (H75). */
function pause(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.schedule(ms, done)
    signal?.addEventListener('abort', done, { once: true })
    if (signal?.aborted === true) done()
  })
}

/** Resolves once the head moved on while the stored checkpoint did not, for the stall time. */
async function stalled<E extends EventShape>(target: ProjectionTarget<E>, backend: Backend<E>, settings: Settings, signal: AbortSignal): Promise<void> {
  const { clock } = settings
  let seen = (await target.state()).position
  for (;;) {
    const before = clock.monotonic()
    await pause(clock, stallTimeout * (1 + 0.2 * clock.random()), signal)
    if (signal.aborted) return
    // A read that fails says nothing about the leader: look again later.
    const [state, page] = await Promise.all([target.state(), backend.reader.readEvents({}, { after: seen, limit: 1 })]).catch(() => [])
    if (state === undefined || page === undefined) continue
    // A span far over the timer's says that this context slept: it has no right to judge others (H56).
    const slept = clock.monotonic() - before > 4 * stallTimeout
    if (!slept && !state.paused && state.position === seen && page.head > seen && state.fault === undefined) return
    seen = state.position
  }
}

/** Runs a target under leadership until it is done; see `runProjection`. */
export async function driveTarget<E extends EventShape>(
  target: ProjectionTarget<E>, backend: Backend<E>, config: ProjectionConfig<never>, options: { mode: 'batch' | 'continuous'; owner: string; observe?: Observer },
): Promise<ProjectionResult> {
  const settings = settle(config, options.mode)
  const observe = options.observe ?? (() => {})
  const leadership = config.leadership ?? (settings.mode === 'batch' ? 'try' : 'wait')
  const outer = config.signal
  const aborted = async (): Promise<ProjectionResult> => ({ position: (await target.state()).position, applied: 0, skipped: 0, parked: 0, reason: 'aborted' })
  for (let lostInARow = 0; ; ) {
    if (outer?.aborted === true) return aborted()
    // One controller per attempt, ended with it: nothing stays on the caller's long-lived signal (H75).
    const attempt = new AbortController()
    const stop = () => attempt.abort(outer?.reason)
    outer?.addEventListener('abort', stop, { once: true })
    let guard: LeadershipGuard | undefined
    let queued: Promise<LeadershipGuard | undefined> | undefined
    try {
      try {
        guard = await backend.coordinator.tryAcquire(target.key)
      } catch (error) {
        throw new LeadershipError(target.name, 'the coordinator failed. See the cause.', error)
      }
      if (guard === undefined) {
        if (leadership === 'try') throw new LeadershipError(target.name, "another tab or worker runs it. Use leadership: 'wait', or try again later.")
        observe({ phase: 'waiting-for-leader', leader: false })
        const watch = new AbortController()
        queued = backend.coordinator.acquire(target.key, { signal: attempt.signal })
        try {
          // A lock may be held by a page that is frozen. The compare in the commit makes it safe to work beside it, so nothing is stolen (H54–H56).
          guard = (await Promise.race([queued, stalled(target, backend, settings, watch.signal).then(() => undefined)])) ?? undefined
        } catch (error) {
          if (attempt.signal.aborted) return await aborted()
          throw new LeadershipError(target.name, 'waiting for leadership failed. See the cause.', error)
        } finally {
          watch.abort()
        }
      }
      guard?.lost?.addEventListener('abort', () => attempt.abort(guard?.lost?.reason), { once: true })
      observe({ leader: true })
      const result = await leadOnce(target, backend, settings, options.owner, attempt.signal, (change) => {
        if (change.position !== undefined) lostInARow = 0
        observe(change)
      })
      if (guard?.lost?.aborted === true) throw new LeadershipLostError(target.name, 'its lock was taken away.')
      return result
    } catch (error) {
      const again = error instanceof TidemarkError && error.code === 'leadership-lost' && settings.mode === 'continuous' && leadership === 'wait' && lostInARow < 20
      if (!again) throw error
      lostInARow += 1
      await pause(settings.clock, Math.min(5_000, 50 * 2 ** lostInARow) * (0.5 + settings.clock.random()), outer)
    } finally {
      observe({ leader: false })
      outer?.removeEventListener('abort', stop)
      if (guard === undefined) {
        attempt.abort(new DOMException('No longer waiting', 'AbortError'))
        queued?.then((late) => late?.release(), () => {})
      }
      guard?.release()
    }
  }
}
