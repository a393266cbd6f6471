/** A local store whose events a synced store has taken over. */
import { UnsupportedFormatError } from '../errors.js'
import { say } from '../messages.js'

/** The error of an append to a store that was adopted. */
export const adoptedError = (by: string): UnsupportedFormatError =>
  new UnsupportedFormatError(
    say`This event store was adopted by the synced store '${by}', which has all of its events: append there. It can be read, and deleted. If this page is of an older version of the app, reload it.`,
    'adopted',
  )
