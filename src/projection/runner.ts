/** The thin shell: performs the machine's effects against a reader, a target, a clock and a signal. */
import { hasCode, LogInconsistentError, messageOf, ProjectionError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { EventReader } from '../log/event-store.js'
import { hintPause } from '../log/head-watch.js'
import type { CollectedPage, PageOptions, ReadPage } from '../log/pages.js'
import { RecordsAhead } from '../log/records-ahead.js'
import { timeTold } from '../platform/clock.js'
import type { OpenOptions } from '../platform/opening-tries.js'
import type { PageLifecycle } from '../platform/page-lifecycle.js'
import { Slices } from '../platform/slices.js'
import type { Settings } from './config.js'
import { projectionMachine, type Effect, type EffectResults, type Rest, type RunProgress } from './machine.js'
import type { ProjectionResult } from './projector.js'
import type { ProjectionOccurrence } from './report.js'
import { workingPosition, type ProjectionTarget } from './target.js'

/** The clock is asked after so many events at most: asking takes as long as a simple handler. */
const stride = 8

/** A page that is made longer holds no more characters of JSON than these and one page. */
const longPageCharacters = 4 * 1024 * 1024

/** What a runner needs of the world around it. */
export interface RunnerPorts<E extends EventShape> {
  readonly reader: EventReader<E>
  /** Wakes a sleeping run although nothing was appended: somebody paused, resumed or rebuilt. */
  readonly onControl?: ((listener: () => void) => () => void) | undefined
  /**
   * Heads that others tell of, whether they are true or not: the run looks itself, which saves a read of the head.
   * @default the reader's `subscribe`
   */
  readonly onHint?: ((listener: (head: number) => void) => () => void) | undefined
  /** Positions whose rows somebody waits for. */
  readonly onWanted?: ((listener: (position: number) => void) => () => void) | undefined
  /** Rejects unless the storage can be asked, after as many tries as it was told. @default it is not known to fail */
  readonly reopen?: ((how: OpenOptions) => Promise<unknown>) | undefined
  /** The app asks for something, and a run that waits after a failure of the storage is to try again at once. */
  readonly onRetryNow?: ((listener: () => void) => () => void) | undefined
  /** Of this page. */
  readonly lifecycle?: PageLifecycle | undefined
}

/** What the parts of one run share. */
export interface RunContext<E extends EventShape> {
  readonly target: ProjectionTarget<E>
  readonly ports: RunnerPorts<E>
  readonly settings: Settings
  /** Names the run in the stored state. */
  readonly owner: string
  readonly run: RunProgress
  /** Whether it is not beside another run, which may be alive. @default it may be */
  readonly holdsLock?: () => boolean
  readonly report: (occurrence: ProjectionOccurrence) => void
}

/**
 * Drives the machine to its end. Answers `'aborted'` for a signal that aborted, whatever else failed on the way.
 *
 * @throws ProjectionError, LeadershipLostError
 */
export async function runMachine<E extends EventShape>(
  context: RunContext<E>,
  signal: AbortSignal,
): Promise<ProjectionResult> {
  const { target, settings, owner, run, holdsLock, report } = context
  const { clock } = settings
  const waker = wakeUp(context, signal)
  const slices = new Slices(() => clock.monotonic())
  const reads = readAhead(context, signal, slices, waker.reading)
  /** What this run knows of the stored state. */
  let known = { epoch: 0, rebuilding: false }
  let prepared = false
  let noted = false
  // The machine pauses between its tries: pauses of those who open the storage would multiply with them. A batch has none of its own at first.
  const how: OpenOptions = { urgent: true, single: settings.mode === 'continuous' }
  const failed = (error: unknown) => {
    waker.failing = true
    return { error }
  }

  const perform: {
    [K in Effect['kind']]: (effect: Extract<Effect, { kind: K }>) => Promise<EffectResults[K]> | EffectResults[K]
  } = {
    'load-checkpoint': async () => {
      reads.forget()
      try {
        await context.ports.reopen?.(how)
        const state = await target.begin(owner, signal)
        waker.failing = false
        const position = workingPosition(state)
        const rebuilding = state.rebuild !== undefined
        known = { epoch: state.epoch, rebuilding }
        report({ type: 'loaded', position, paused: state.paused, rebuilding })
        // Who works beside another one cannot tell a slow handler from one that kills.
        const { trying, ...rest } = state
        return {
          value: {
            ...rest,
            ...(trying !== undefined && holdsLock?.() === true && { trying }),
            position,
            rebuilding,
            blocked: target.blockedStreams,
            now: clock.monotonic(),
          },
        }
      } catch (error) {
        signal.throwIfAborted()
        return failed(error)
      }
    },
    'read-state': async () => {
      const now = clock.monotonic()
      const state = await target.state().catch(() => undefined)
      if (state === undefined) return undefined
      const moved =
        state.epoch !== known.epoch ||
        workingPosition(state) !== run.position ||
        (state.rebuild !== undefined) !== known.rebuilding
      return { paused: state.paused, moved, now }
    },
    'read-events': async ({ after, limit, most }) => {
      const start = clock.monotonic()
      // A reader need not know of the signal (N39).
      if (signal.aborted) return 'aborted'
      try {
        await slices.turn()
        if (waker.failing) await context.ports.reopen?.(how)
        const page = await reads.next(after, limit, most)
        if (page.scannedTo <= after && page.head > after) {
          throw new LogInconsistentError(
            after,
            `The reader found nothing after position ${after} of ${page.head} and did not say that it looked further: 'scannedTo' must grow.`,
          )
        }
        waker.sawHead(page.head, page.scannedTo >= page.head)
        // One of them may be what killed a run, and its turn has not come (N19).
        prepared = most > 0
        if (prepared) await target.prepare?.(page.events)
        waker.failing = false
        const now = clock.monotonic()
        report({
          type: 'read',
          events: page.events.length,
          scannedTo: page.scannedTo,
          head: page.head,
          duration: now - start,
        })
        return { value: { ...page, now } }
      } catch (error) {
        return signal.aborted ? 'aborted' : failed(error)
      }
    },
    apply: async ({ from, to }) => {
      const { events } = reads.page
      let next = from
      let nextCheck = from + 1
      let seen = slices.left()
      try {
        if (prepared && target.wantsPreparing === true) await target.prepare?.(events.slice(from))
        while (next < to) {
          // What was noted as tried is tried, so that its note says what happened.
          if (signal.aborted && !noted) return { next, now: clock.monotonic(), aborted: true }
          noted = false
          // Only handlers that wait cost turns of the microtask queue, and no more than they must: as `applied` does, without a promise of its own.
          const applying = target.apply(events[next] as (typeof events)[number])
          if (applying !== undefined) {
            try {
              await applying.done
            } catch (error) {
              applying.failed(error)
            }
            applying.ended()
          }
          next += 1
          if (next < nextCheck) continue
          const left = slices.left()
          if (left <= 0) {
            await slices.turn()
            break
          }
          // Slow handlers are looked at one by one.
          nextCheck = next + Math.max(1, Math.min(stride, Math.floor(((next - from) * left) / (2 * (seen - left)))))
        }
      } catch (error) {
        // Not the handler's: its checkpoint was moved by somebody else.
        if (hasCode(error, 'leadership-lost') && target.isStorageFailure?.(error) === true) throw error
        return {
          next,
          failure: { error, storage: target.isStorageFailure?.(error) === true },
          now: clock.monotonic(),
          aborted: false,
        }
      }
      return { next, now: clock.monotonic(), aborted: false }
    },
    decide: async ({ event, error, retryCount }) => {
      try {
        return {
          strategy: await target.onFailure({ error, event: event as never, position: event.position, retryCount }),
        }
      } catch (thrown) {
        return { strategy: 'fatal', error: thrown }
      }
    },
    park: async ({ event, error, attempts, blocksStream }) => {
      // A blocked stream may bring thousands.
      if (slices.isOver) await slices.turn()
      target.park({
        position: event.position,
        eventId: event.id,
        eventType: event.type,
        stream: event.stream,
        attempts,
        time: timeTold(clock),
        errorName: error instanceof Error ? error.name : 'Error',
        message: messageOf(error),
        ...(blocksStream && { holdsStream: blocksStream }),
      })
      return undefined
    },
    try: async ({ position }) => {
      try {
        // Who is stopped before the event comes was not killed by it.
        if (holdsLock?.() === true && !signal.aborted) {
          await target.tries?.(position)
          noted = true
        }
        return { value: undefined }
      } catch (error) {
        return { error }
      }
    },
    survived: async () => {
      // Best effort: it is taken back by whoever begins in this context, too.
      await target.tries?.().catch(() => {})
      return undefined
    },
    commit: async ({ position, caughtUp, events, ends }) => {
      const start = clock.monotonic()
      try {
        const { paused, deadLetterCount } = await target.commit(position, { caughtUp, ends })
        slices.began()
        if (caughtUp) known = { ...known, rebuilding: false }
        const now = clock.monotonic()
        report({
          type: 'committed',
          position,
          events,
          duration: now - start,
          ...(deadLetterCount !== undefined && { deadLetterCount }),
        })
        return {
          value: { paused, now, took: now - start, burst: settings.mode === 'continuous' && waker.inBurst(position) },
        }
      } catch (error) {
        return failed(error)
      }
    },
    sleep: async ({ ms, why }) => {
      const slept = await waker.sleep(ms, why)
      slices.began()
      return slept
    },
    report: ({ occurrence }) => {
      report(occurrence)
      return undefined
    },
    reset: () => {
      reads.forget()
      target.reset()
      return undefined
    },
  }

  const machine = projectionMachine(target.name, settings, () => clock.random(), run)
  try {
    let step = machine.next()
    while (step.done !== true) {
      const effect = step.value
      step = machine.next((await (perform[effect.kind] as (effect: Effect) => unknown)(effect)) as never)
    }
    return step.value
  } catch (error) {
    if (signal.aborted && !(error instanceof ProjectionError) && !hasCode(error, 'leadership-lost')) {
      return {
        position: run.position,
        applied: run.applied,
        skipped: run.skipped,
        parked: run.parked,
        reason: 'aborted',
      }
    }
    throw error
  } finally {
    waker.stop()
    reads.forget()
    target.reset()
  }
}

/** Between two tries that an app asks for, ms: a loop that asks makes no storm of them. */
const retryNowPause = 100

/** Sleeps that an abort, a control, or (when idle) an append cuts short. */
function wakeUp<E extends EventShape>({ ports, settings: { clock } }: RunContext<E>, signal: AbortSignal) {
  let knownHead = 0
  let appended = false
  let controlled = false
  /** The largest head that was told since the last read began, and before it. */
  let claimed = 0
  let tested = 0
  let cancelHintPause: (() => void) | undefined
  let wakeIfDue: (() => void) | undefined
  /** The largest position that somebody waits for, and how far rows are stored. */
  let wanted = 0
  let stored = 0
  const hinted = (head: number) => {
    if (head <= knownHead) return
    claimed = Math.max(claimed, head)
    if (cancelHintPause !== undefined) return
    appended = true
    wakeIfDue?.()
  }
  const pauseHints = () => {
    cancelHintPause?.()
    cancelHintPause = clock.schedule(hintPause, () => {
      cancelHintPause = undefined
      // Something was told meanwhile, and it may have been true.
      if (claimed > 0) hinted(claimed)
    })
  }
  const unsubscribe = (ports.onHint ?? ports.reader.subscribe)?.(hinted)
  const stopControl = ports.onControl?.(() => {
    controlled = true
    wakeIfDue?.()
  })
  const stopWanted = ports.onWanted?.((position) => {
    wanted = Math.max(wanted, position)
    wakeIfDue?.()
  })
  /** What was asked last of the storage failed. */
  let failing = false
  /** The app asked for something since then, and when a try was made for that. */
  let retryAsked = false
  let lastRetryNow = -Infinity
  const stopRetryNow = ports.onRetryNow?.(() => {
    retryAsked = failing
    wakeIfDue?.()
  })
  const aborted = () => wakeIfDue?.()
  signal.addEventListener('abort', aborted, { once: true })
  return {
    get failing() {
      return failing
    },
    set failing(now: boolean) {
      failing = now
      retryAsked &&= now
    },
    /** A read begins: appends from here on may not be in it. */
    reading() {
      appended = false
      tested = claimed
      claimed = 0
    },
    sawHead(head: number, isThere: boolean) {
      knownHead = head
      // While it is behind, the head may be an older one, and hints make no reads.
      if (ports.onHint !== undefined && isThere && tested > head) pauseHints()
      tested = 0
    },
    /** More was appended before rows up to `position` were stored. The timers of a hidden page come too late to wait for (H58). */
    inBurst(position: number) {
      stored = position
      return appended && wanted <= stored && ports.lifecycle?.presence() !== 'hidden'
    },
    sleep: (ms: number, why: Rest) =>
      new Promise<EffectResults['sleep']>((resolve) => {
        // An append does not shorten the pause that a failure asked for.
        const following = () => appended && (why === 'idle' || why === 'burst')
        const rowsAwaited = () => why === 'burst' && wanted > stored
        const asked = () => retryAsked && why === 'failed'
        const wake = () => {
          wakeIfDue = undefined
          cancel()
          resolve(
            signal.aborted
              ? 'aborted'
              : controlled
                ? 'control'
                : asked()
                  ? 'retry-now'
                  : rowsAwaited()
                    ? 'on'
                    : following()
                      ? 'append'
                      : 'on',
          )
          if (asked()) lastRetryNow = clock.monotonic()
          controlled = retryAsked = false
        }
        let cancel = clock.schedule(ms, wake)
        wakeIfDue = () => {
          const early = asked() ? lastRetryNow + retryNowPause - clock.monotonic() : 0
          if (signal.aborted || controlled || following() || rowsAwaited() || (asked() && early <= 0)) wake()
          else if (early > 0 && early < ms) {
            cancel()
            cancel = clock.schedule(early, wake)
          }
        }
        wakeIfDue()
      }),
    stop() {
      unsubscribe?.()
      stopControl?.()
      stopWanted?.()
      stopRetryNow?.()
      cancelHintPause?.()
      signal.removeEventListener('abort', aborted)
    },
  }
}

/** Reads pages, and while one is applied and committed already the next one: its records, or all of it. Holds two pages at most. */
function readAhead<E extends EventShape>(
  { target, ports: { reader }, settings }: RunContext<E>,
  signal: AbortSignal,
  slices: Slices,
  reading: () => void,
) {
  /** For a reader that can keep records: then they are what is read ahead, and not their events. */
  const records = new RecordsAhead(slices)
  let page: CollectedPage<E> = { events: [], scannedTo: 0, head: 0 }
  let ahead: { readonly after: number; readonly limit: number; readonly answer: Promise<CollectedPage<E>> } | undefined
  const read = (after: number, limit: number, keep: Pick<PageOptions, 'ahead'>): Promise<CollectedPage<E>> => {
    // A batch runs up to the head as it is now, whoever appended last.
    const options: PageOptions = { unreadable: 'collect', own: settings.mode === 'continuous', ...keep }
    reading()
    return (reader as { readPage: ReadPage<E> }).readPage({ filter: target.filter, after, limit, signal }, options)
  }
  return {
    get page() {
      return page
    },
    async next(after: number, limit: number, most: number): Promise<CollectedPage<E>> {
      const waiting = ahead?.after === after && ahead.limit === limit ? ahead.answer : undefined
      ahead = undefined
      page = await (waiting ?? read(after, limit, { ahead: records }))
      while (
        target.preparesMuch === true &&
        page.events.length < most &&
        (page.characters ?? 0) < longPageCharacters &&
        records.follows(page.scannedTo)
      ) {
        await slices.turn()
        signal.throwIfAborted()
        page = joined(page, await read(page.scannedTo, Math.min(limit, most - page.events.length), { ahead: records }))
      }
      if (page.scannedTo < page.head && page.events.length > 0 && !records.follows(page.scannedTo)) {
        const answer = read(page.scannedTo, limit, {})
        // Whoever asks for this page hears of its failure; nobody may ask.
        answer.catch(() => {})
        ahead = { after: page.scannedTo, limit, answer }
      }
      return page
    },
    forget() {
      ahead = undefined
      records.forget()
    },
  }
}

/** Two pages that follow each other. */
function joined<E extends EventShape>(page: CollectedPage<E>, next: CollectedPage<E>): CollectedPage<E> {
  const unreadable = [...(page.unreadable ?? []), ...(next.unreadable ?? [])]
  return {
    events: [...page.events, ...next.events],
    scannedTo: next.scannedTo,
    head: next.head,
    ...(unreadable.length === 0 ? {} : { unreadable }),
    characters: (page.characters ?? 0) + (next.characters ?? 0),
  }
}
