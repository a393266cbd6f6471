/** Notices that a constant event is appended more than once: for the development build. */
import { say } from '../messages.js'
import type { AppendResult } from './event-store.js'
import { isObject } from '../platform/objects.js'

const appended = new WeakSet<object>()
/** The stores that were warned of. */
const warned = new Set<string>()

/** The events that an append was given, by its arguments. */
function eventsOf([first, second]: readonly unknown[]): readonly unknown[] {
  const given =
    typeof first === 'string' ? [second] : [first].flat().map((write) => (write as { events: unknown }).events)
  return given.flat()
}

/** Takes in an append that succeeded. Warns once for each store. */
export function appendedAgain(store: string, given: readonly unknown[], { duplicate }: AppendResult): void {
  for (const event of eventsOf(given)) {
    if (!isObject(event)) continue
    if (__DEV__ && duplicate && appended.has(event) && !warned.has(store)) {
      warned.add(store)
      console.warn(
        say`tidemark: the same '${(event as { type?: unknown }).type}' event object was appended to '${store}' again after it was stored. It has the same id, so it is stored once, and the second append changed nothing. Create an event for each append, in the click handler and not as a constant.`,
      )
    }
    appended.add(event)
  }
}
