/** The shell of a run: performs the machine's effects against a reader, a target, a clock and a signal. */
import {
  describe,
  hasCode,
  InvalidArgumentError,
  LogInconsistentError,
  messageOf,
  ProjectionFailedError,
} from '../errors.js'
import { say } from '../messages.js'
import type { EventShape } from '../events/event.js'
import { timeTold } from '../platform/clock.js'
import type { OpenOptions } from '../platform/opening-tries.js'
import { Slices } from '../platform/slices.js'
import { resultOf } from './batching.js'
import type { Effect, EffectResults } from './effects.js'
import { projectionMachine } from './machine.js'
import type { ProjectionResult } from './projector.js'
import { ReadAhead } from './read-ahead.js'
import type { RunContext } from './run-context.js'
import { workingPosition, type ReadModelFailureStrategy } from './target.js'
import { WakeUp } from './wake-up.js'

/** What `onFailure` may return. */
const strategies: readonly ReadModelFailureStrategy[] = ['fatal', 'skip', 'retry', 'park', 'park-stream']

/** The clock is read after at most this many events: reading it takes as long as a simple handler. */
const stride = 8

type Performer = {
  [K in Effect['kind']]: (effect: Extract<Effect, { kind: K }>) => Promise<EffectResults[K]> | EffectResults[K]
}

/**
 * Drives the machine to its end. Returns `'aborted'` for a signal that aborted, whatever else failed.
 *
 * @throws ProjectionFailedError, LeadershipLostError
 */
export async function runMachine<E extends EventShape>(
  context: RunContext<E>,
  signal: AbortSignal,
): Promise<ProjectionResult> {
  const { target, settings, run } = context
  const shell = new Shell(context, signal)
  const machine = projectionMachine(target.name, settings, () => settings.clock.random(), run)
  try {
    let step = machine.next()
    while (step.done !== true) {
      const effect = step.value
      step = machine.next((await (shell[effect.kind] as (effect: Effect) => unknown).call(shell, effect)) as never)
    }
    return step.value
  } catch (error) {
    if (!signal.aborted || error instanceof ProjectionFailedError || hasCode(error, 'leadership-lost')) throw error
    return resultOf(run, 'aborted')
  } finally {
    shell.end()
  }
}

/** Performs each effect by the method of its name. */
class Shell<E extends EventShape> implements Performer {
  readonly #context: RunContext<E>
  readonly #signal: AbortSignal
  readonly #slices: Slices
  readonly #waker: WakeUp
  readonly #reads: ReadAhead<E>
  /**
   * The machine pauses between its tries, and those of the storage would multiply with them. A batch does not pause
   * before its first.
   */
  readonly #how: OpenOptions
  /** What this run knows of the stored state. */
  #known = { epoch: 0, rebuilding: false }
  #prepared = false
  /** The event that comes next is noted in the state. */
  #noted = false

  constructor(context: RunContext<E>, signal: AbortSignal) {
    const { clock, mode } = context.settings
    this.#context = context
    this.#signal = signal
    this.#slices = new Slices(() => clock.monotonic())
    this.#waker = new WakeUp(context.ports, clock, signal)
    this.#reads = new ReadAhead(context, signal, this.#slices, this.#waker.reading)
    this.#how = { urgent: true, single: mode === 'continuous' }
  }

  end(): void {
    this.#waker.stop()
    this.reset()
  }

  async 'load-checkpoint'(): Promise<EffectResults['load-checkpoint']> {
    const { target, ports, owner, holdsLock, report } = this.#context
    this.#reads.forget()
    try {
      await ports.reopen?.(this.#how)
      const state = await target.begin(owner, this.#signal)
      this.#waker.failing = false
      const position = workingPosition(state)
      const rebuilding = state.rebuild !== undefined
      this.#known = { epoch: state.epoch, rebuilding }
      report({ type: 'loaded', position, paused: state.paused, rebuilding })
      // Without the lock, another run may be alive, and its slow handler looks like one that ends its run.
      const { trying, ...rest } = state
      const suspect = trying !== undefined && holdsLock?.() === true ? { trying } : {}
      return { value: { ...rest, ...suspect, position, rebuilding, blocked: target.blockedStreams, now: this.#now() } }
    } catch (error) {
      this.#signal.throwIfAborted()
      return this.#failed(error)
    }
  }

  async 'read-state'(): Promise<EffectResults['read-state']> {
    const { target, run } = this.#context
    const now = this.#now()
    const state = await target.state().catch(() => undefined)
    if (state === undefined) return undefined
    const moved =
      state.epoch !== this.#known.epoch ||
      workingPosition(state) !== run.position ||
      (state.rebuild !== undefined) !== this.#known.rebuilding
    return { paused: state.paused, moved, now }
  }

  async 'read-events'({
    after,
    limit,
    most,
  }: Extract<Effect, { kind: 'read-events' }>): Promise<EffectResults['read-events']> {
    const { target, ports, report } = this.#context
    const start = this.#now()
    // A reader may ignore the signal (N39).
    if (this.#signal.aborted) return 'aborted'
    try {
      await this.#slices.turn()
      if (this.#waker.failing) await ports.reopen?.(this.#how)
      const page = await this.#reads.next(after, limit, most)
      const { scannedTo, head, events } = page
      if (scannedTo <= after && head > after) {
        throw new LogInconsistentError(
          after,
          say`The reader found nothing after position ${after} of ${head} and did not say that it looked further: 'scannedTo' must grow.`,
        )
      }
      this.#waker.sawHead(head, scannedTo >= head)
      // Where events are applied alone, a `key` function may be what ends the run, and it is not that event's turn yet
      // (N19).
      this.#prepared = most > 0
      if (this.#prepared) await target.prepare?.(events)
      this.#waker.failing = false
      const now = this.#now()
      report({ type: 'read', events: events.length, scannedTo, head, duration: now - start })
      return { value: { ...page, now } }
    } catch (error) {
      return this.#signal.aborted ? 'aborted' : this.#failed(error)
    }
  }

  async apply({ from, to }: Extract<Effect, { kind: 'apply' }>): Promise<EffectResults['apply']> {
    const { target } = this.#context
    const { events } = this.#reads.page
    const slices = this.#slices
    const signal = this.#signal
    let next = from
    let nextCheck = from + 1
    const seen = slices.left()
    try {
      if (this.#prepared && target.wantsPreparing === true) await target.prepare?.(events.slice(from))
      while (next < to) {
        // An event that is noted is applied, so that its note is true.
        if (signal.aborted && !this.#noted) return { next, now: this.#now(), aborted: true }
        this.#noted = false
        const many = target.applyAll && (await target.applyAll(events, next, to))
        if (many) {
          next += many
          continue
        }
        // As `applied` does, but without a promise of its own: each turn of the microtask queue costs.
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
        // Slow handlers are checked one by one.
        nextCheck = next + Math.max(1, Math.min(stride, Math.floor(((next - from) * left) / (2 * (seen - left)))))
      }
    } catch (error) {
      const storage = target.isStorageFailure?.(error) === true
      // Another run moved the checkpoint: the handler did not fail.
      if (storage && hasCode(error, 'leadership-lost')) throw error
      return { next, failure: { error, storage }, now: this.#now(), aborted: false }
    }
    return { next, now: this.#now(), aborted: false, rows: target.pendingRows }
  }

  async decide({ event, error, retryCount }: Extract<Effect, { kind: 'decide' }>): Promise<EffectResults['decide']> {
    const { target } = this.#context
    try {
      const failure = { error, event: event as never, position: event.position, retryCount }
      const strategy = await target.onFailure(failure)
      if (strategies.includes(strategy)) return { strategy }
      throw new InvalidArgumentError(
        'onFailure',
        say`returned ${describe(strategy)}. It must return one of ${strategies.join(', ')}.`,
      )
    } catch (thrown) {
      return { strategy: 'fatal', error: thrown }
    }
  }

  async park({ event, error, attempts, blocksStream }: Extract<Effect, { kind: 'park' }>): Promise<undefined> {
    const { target, settings } = this.#context
    // A blocked stream may bring thousands.
    await this.#slices.turn()
    target.park({
      position: event.position,
      eventId: event.id,
      eventType: event.type,
      stream: event.stream,
      attempts,
      time: timeTold(settings.clock),
      errorName: error instanceof Error ? error.name : 'Error',
      message: messageOf(error),
      ...(blocksStream && { holdsStream: blocksStream }),
    })
  }

  async try({ position }: Extract<Effect, { kind: 'try' }>): Promise<EffectResults['try']> {
    const { target, holdsLock } = this.#context
    try {
      // A run that is stopped before the event comes was not ended by it.
      if (holdsLock?.() === true && !this.#signal.aborted) {
        await target.tries?.(position)
        this.#noted = true
      }
      return { value: undefined }
    } catch (error) {
      return { error }
    }
  }

  async survived(): Promise<undefined> {
    // Best effort: the next run that begins in this context removes the note, too.
    await this.#context.target.tries?.().catch(() => {})
  }

  async commit({
    position,
    caughtUp,
    events,
    ends,
  }: Extract<Effect, { kind: 'commit' }>): Promise<EffectResults['commit']> {
    const { target, settings, report } = this.#context
    const start = this.#now()
    try {
      const { paused, deadLetterCount } = await target.commit(position, { caughtUp, ends })
      this.#slices.began()
      if (caughtUp) this.#known = { ...this.#known, rebuilding: false }
      const now = this.#now()
      const took = now - start
      report({
        type: 'committed',
        position,
        events,
        duration: took,
        ...(deadLetterCount !== undefined && { deadLetterCount }),
      })
      const inBurst = this.#waker.inBurst(position)
      return { value: { paused, now, took, burst: settings.mode === 'continuous' && inBurst } }
    } catch (error) {
      return this.#failed(error)
    }
  }

  async sleep({ ms, why }: Extract<Effect, { kind: 'sleep' }>): Promise<EffectResults['sleep']> {
    const slept = await this.#waker.sleep(ms, why)
    this.#slices.began()
    if (why === 'idle' && slept === 'on') this.#context.target.rest?.()
    return slept
  }

  report({ occurrence }: Extract<Effect, { kind: 'report' }>): undefined {
    this.#context.report(occurrence)
  }

  reset(): undefined {
    this.#reads.forget()
    this.#context.target.reset()
  }

  #now(): number {
    return this.#context.settings.clock.monotonic()
  }

  #failed(error: unknown): { readonly error: unknown } {
    this.#waker.failing = true
    return { error }
  }
}
