/** What a command knew when it decided, for a store that makes more of it than versions. */
import type { AppendOptions } from './event-store.js'

export interface DecidedOn {
  readonly command: object
  /** The id of the last event that was read of each stream; `undefined`: it had none. */
  readonly last: ReadonlyMap<string, string | undefined>
}

/** By the options of its append. */
export const decidedOn = new WeakMap<AppendOptions, DecidedOn>()
