/**
 * The sleeps of a run, and what ends them early: an abort, a control, an append, a caller that waits for rows, a call
 * of the app.
 */
import { hintPause } from '../log/head-watch.js'
import type { Clock } from '../platform/clock.js'
import type { EffectResults, Rest } from './effects.js'
import type { EventShape } from '../events/event.js'
import type { EventReader } from '../log/event-store.js'
import type { RunnerPorts } from './run-context.js'

/** What may end a sleep. */
type Sources = Omit<RunnerPorts<EventShape>, 'reader' | 'reopen'> & { readonly reader: Pick<EventReader, 'subscribe'> }

/** Between two tries that the app asks for, ms: a loop of calls makes no storm of tries. */
const retryNowPause = 100

/**
 * What hints say about the head. After a hint that was not true, hints are ignored for a while, so that a flood of them
 * cannot make a run read all the time. The run itself reads the head.
 */
class HeadHints {
  readonly #clock: Clock
  readonly #ignoresLies: boolean
  readonly #appended: () => void
  #head = 0
  /** The largest head of the hints since the last read began … */
  #claimed = 0
  /** … and of those before it. */
  #tested = 0
  #endPause: (() => void) | undefined
  /** Something was appended since the last read began. */
  appended = false

  constructor(clock: Clock, ignoresLies: boolean, appended: () => void) {
    this.#clock = clock
    this.#ignoresLies = ignoresLies
    this.#appended = appended
  }

  readonly hinted = (head: number): void => {
    if (head <= this.#head) return
    this.#claimed = Math.max(this.#claimed, head)
    if (this.#endPause !== undefined) return
    this.appended = true
    this.#appended()
  }

  /** A read begins: it may miss what is appended from here on. */
  reading(): void {
    this.appended = false
    this.#tested = this.#claimed
    this.#claimed = 0
  }

  /** A read found this head. `isThere`: the run has come that far; while it is behind, the head may be an older one. */
  saw(head: number, isThere: boolean): void {
    this.#head = head
    if (this.#ignoresLies && isThere && this.#tested > head) this.#pause()
    this.#tested = 0
  }

  #pause(): void {
    this.stop()
    this.#endPause = this.#clock.schedule(hintPause, () => {
      this.#endPause = undefined
      // A hint that came meanwhile may be true.
      if (this.#claimed > 0) this.hinted(this.#claimed)
    })
  }

  stop(): void {
    this.#endPause?.()
  }
}

export class WakeUp {
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #ports: Sources
  readonly #hints: HeadHints
  readonly #undo: ((() => unknown) | undefined)[]
  #controlled = false
  /** The largest position whose rows a caller waits for, and how far rows are stored. */
  #wanted = 0
  #stored = 0
  /** The last request to the storage failed. */
  #failing = false
  /** The app asked for a try since then … */
  #retryAsked = false
  /** … and when one was made for that. */
  #lastRetry = -Infinity
  /** Ends the sleep if there is a reason to. */
  #check: (() => void) | undefined

  constructor(ports: Sources, clock: Clock, signal: AbortSignal) {
    this.#clock = clock
    this.#signal = signal
    this.#ports = ports
    const check = () => this.#check?.()
    this.#hints = new HeadHints(clock, ports.onHint !== undefined, check)
    this.#undo = [
      // A reader may be an instance of a class.
      ports.onHint === undefined ? ports.reader.subscribe?.(this.#hints.hinted) : ports.onHint(this.#hints.hinted),
      ports.onControl?.(() => {
        this.#controlled = true
        check()
      }),
      ports.onWanted?.((position) => {
        this.#wanted = Math.max(this.#wanted, position)
        check()
      }),
      ports.onRetryNow?.(() => {
        this.#retryAsked = this.#failing
        check()
      }),
      () => this.#hints.stop(),
      () => signal.removeEventListener('abort', check),
    ]
    signal.addEventListener('abort', check, { once: true })
  }

  get failing(): boolean {
    return this.#failing
  }

  set failing(now: boolean) {
    this.#failing = now
    this.#retryAsked &&= now
  }

  readonly reading = (): void => this.#hints.reading()

  sawHead(head: number, isThere: boolean): void {
    this.#hints.saw(head, isThere)
  }

  /**
   * Rows up to `position` are stored. Returns whether more was appended meanwhile, and may wait for the next commit:
   * not in a hidden page, whose timers come late.
   */
  inBurst(position: number): boolean {
    this.#stored = position
    return this.#hints.appended && this.#wanted <= position && this.#ports.lifecycle?.presence() !== 'hidden'
  }

  sleep(ms: number, why: Rest): Promise<EffectResults['sleep']> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#check = undefined
        cancel()
        const reason = this.#reason(why) ?? (this.#asked(why) ? 'retry-now' : 'on')
        if (reason === 'retry-now') this.#lastRetry = this.#clock.monotonic()
        this.#controlled = this.#retryAsked = false
        resolve(reason)
      }
      let cancel = this.#clock.schedule(ms, wake)
      this.#check = () => {
        const early = this.#asked(why) ? this.#lastRetry + retryNowPause - this.#clock.monotonic() : 0
        if (this.#reason(why) !== undefined || (this.#asked(why) && early <= 0)) wake()
        else if (early > 0 && early < ms) {
          cancel()
          cancel = this.#clock.schedule(early, wake)
        }
      }
      this.#check()
    })
  }

  #asked(why: Rest): boolean {
    return why === 'failed' && this.#retryAsked
  }

  /** Why a sleep ends immediately. An append does not shorten the pause after a failure. */
  #reason(why: Rest): EffectResults['sleep'] | undefined {
    if (this.#signal.aborted) return 'aborted'
    if (this.#controlled) return 'control'
    if (why === 'burst' && this.#wanted > this.#stored) return 'on'
    return this.#hints.appended && (why === 'idle' || why === 'burst') ? 'append' : undefined
  }

  stop(): void {
    for (const undo of this.#undo) undo?.()
  }
}
