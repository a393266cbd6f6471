/** Notices an address at which something else than a tidemark server responds each time: for the development build. */
import { say } from '../messages.js'
import type { RequestFailure } from './sync-effects.js'

/** This often in a row, and never anything else: a login page of the network is rare where an app is developed. */
const often = 3

/** By address: how often it was something else. `Infinity`: a tidemark server responded, or it was warned of. */
const counts = new Map<string, number>()

/** Looks at what became of a request; nothing for a response of a tidemark server. */
export function lookAtAddress(address: string, failure: RequestFailure | undefined): void {
  if (failure === undefined) counts.set(address, Infinity)
  if (failure?.kind !== 'offline' || failure.isForeign !== true) return
  const count = (counts.get(address) ?? 0) + 1
  counts.set(address, count === often ? Infinity : count)
  if (__DEV__ && count === often)
    console.warn(
      say`tidemark: ${failure.message} Is the 'url' right, and does a proxy of the dev server lead there? Until a tidemark server responds, the app is 'offline'. Warned once for each address.`,
    )
}
