/** What a command will append: the streams that it read, with their versions, and its events. */
import { InvalidArgumentError, UndeclaredStreamError, VersionConflictError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape, NewEvent } from '../events/event.js'
import { streamName } from '../events/names.js'
import type { StreamWrite } from '../log/event-store.js'
import type { CommandEvent } from './command.js'

/** The streams that a command declares, in order: at least one, none twice. */
export function declareStreams(streams: readonly string[]): readonly string[] {
  if (!Array.isArray(streams) || streams.length === 0) {
    throw new InvalidArgumentError(
      'streams',
      say`must name at least one stream: the append of a command is checked against the streams that it reads.`,
    )
  }
  const declared = new Set<string>()
  for (const stream of streams) {
    const name = streamName(stream)
    if (declared.has(name)) throw new InvalidArgumentError('streams', say`names stream '${name}' twice.`)
    declared.add(name)
  }
  return [...declared]
}

/** Collects the writes of one append. */
export interface WriteBatch<E extends EventShape> {
  /** Adds a stream to the version check. Adding it again at the same version changes nothing. */
  participate(stream: string, version: number): void
  /** Adds an event for a stream of the check. */
  add(event: CommandEvent<E>): void
  /** The version expected of each stream, in the order of their registration. */
  expectations(): ReadonlyMap<string, number>
  /** For `append`: the events in the order in which they were added, then the streams without events. */
  writes(): StreamWrite<E>[]
}

/** An empty batch. */
export function createWriteBatch<E extends EventShape>(): WriteBatch<E> {
  const expected = new Map<string, number>()
  const runs: { stream: string; events: NewEvent<E>[]; expectedVersion: number }[] = []
  return {
    participate(stream, version) {
      const name = streamName(stream)
      const known = expected.get(name)
      if (known !== undefined && known !== version)
        throw new VersionConflictError({ stream: name, expected: known, actual: version })
      expected.set(name, version)
    },
    add({ stream, ...event }) {
      const name = streamName(stream)
      const expectedVersion = expected.get(name)
      if (expectedVersion === undefined) throw new UndeclaredStreamError(name)
      // A write per run of events, not per stream: positions in the log then follow the order of the decision.
      const last = runs.at(-1)
      const write = event as unknown as NewEvent<E>
      if (last?.stream === name) last.events.push(write)
      else runs.push({ stream: name, events: [write], expectedVersion })
    },
    expectations: () => expected,
    writes() {
      const written = new Set(runs.map(({ stream }) => stream))
      const idle = [...expected].filter(([stream]) => !written.has(stream))
      return [...runs, ...idle.map(([stream, expectedVersion]) => ({ stream, events: [], expectedVersion }))]
    },
  }
}
