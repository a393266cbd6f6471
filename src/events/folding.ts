/** A state that is folded from events, one after the other, by the functions of an app. */
import { InvalidArgumentError } from '../errors.js'
import type { RecordedEvent } from './event.js'
import { canBeCopied, freshCopy } from './fresh-copy.js'
import { say } from '../messages.js'
import { isRefusedPromise } from '../platform/promises.js'

/** Folds by event type. */
export type Folds<S> = { readonly [type: string]: ((state: S, event: RecordedEvent) => S) | undefined }

/** The next state; the same one for an event that no fold is for. */
export function nextState<S>(on: Folds<S>, state: S, event: RecordedEvent): S {
  const fold = Object.hasOwn(on, event.type) ? on[event.type] : undefined
  if (fold === undefined) return state
  const next = fold(state, event)
  if (!isRefusedPromise(next)) return next
  throw new InvalidArgumentError(`on.${event.type}`, say`must not return a promise: a fold returns the next state.`)
}

export class Folding<S> {
  readonly #on: Folds<S>
  state: S
  /** Up to where it is folded. */
  position = 0
  /** Where it continues after a fold that threw, which may have changed the state in place before. */
  #safe: S
  #safeAt = 0
  /** At which event a fold threw last. */
  #failedAt = 0

  constructor(on: Folds<S>, initial: S) {
    this.#on = on
    this.#safe = initial
    this.state = freshCopy(initial)
  }

  /** @throws what the fold throws; then it goes back as far as it has to, and `position` with it */
  fold(event: RecordedEvent): void {
    // It threw before, and may throw each time: what comes before it is not folded once more each time.
    if (event.position === this.#failedAt) this.keep(freshCopy(this.state))
    try {
      this.state = nextState(this.#on, this.state, event)
      this.position = event.position
    } catch (error) {
      this.#failedAt = event.position
      // What cannot be copied holds what was folded into it: with that, only the event is folded once more.
      if (canBeCopied(this.#safe)) [this.state, this.position] = [freshCopy(this.#safe), this.#safeAt]
      throw error
    }
  }

  /** A state as it is now, which no fold changes. */
  keep(safe: S): void {
    this.#safe = safe
    this.#safeAt = this.position
  }
}
