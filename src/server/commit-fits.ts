/** Whether a commit follows what is in a log: what every store relies on that has an index of ids and versions. */
import { InvalidArgumentError } from '../errors.js'
import { say } from '../messages.js'
import type { LogDecision, LoggedEvent } from './log-store.js'

/**
 * Positions and versions follow those that are there, and ids are new. One that does not fit would fail all that is stored
 * together with it.
 *
 * @throws InvalidArgumentError
 */
export async function assertCommitFits(
  log: Pick<LogDecision, 'head' | 'last' | 'find'>,
  events: readonly LoggedEvent[],
): Promise<void> {
  if (events.length === 0) throw new InvalidArgumentError('commit.events', say`must not be empty.`)
  const [last, known] = await Promise.all([
    log.last([...new Set(events.map(({ stream }) => stream))]),
    log.find(events.map(({ id }) => id)),
  ])
  const versions = new Map([...last].map(([stream, { version }]) => [stream, version]))
  const ids = new Set<string>()
  events.forEach(({ position, stream, version, id }, index) => {
    const where = `commit.events[${index}]`
    if (position !== log.head + 1 + index)
      throw new InvalidArgumentError(`${where}.position`, say`must be ${log.head + 1 + index}.`)
    const next = (versions.get(stream) ?? 0) + 1
    if (version !== next) throw new InvalidArgumentError(`${where}.version`, say`must be ${next}.`)
    if (known.has(id) || ids.has(id)) throw new InvalidArgumentError(`${where}.id`, say`is in the log.`)
    versions.set(stream, version)
    ids.add(id)
  })
}
