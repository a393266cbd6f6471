/**
 * An append that was checked and encoded, as it is handed to a backend. Nothing in it belongs to the caller any more.
 */
import type { ExpectedVersion } from '../errors.js'
import type { CompiledFilter } from './filter.js'
import type { CommitOrigin } from './record/commit-origin.js'
import type { EventText, StoredEvent } from './record/record-text.js'

/** Events of the log by their ids, as they are stored. */
export type KnownEvents = ReadonlyMap<string, StoredEvent>

/** What records are made of. */
export interface EncodableAppend extends Pick<PreparedAppend, 'events' | 'expected'> {
  readonly imported?: { readonly starts: ReadonlySet<number> } | undefined
}

export interface PreparedAppend {
  readonly events: readonly EventText[]
  /** What the append expects of each stream that it names. */
  readonly expected: ReadonlyMap<string, ExpectedVersion>
  readonly condition: { readonly filter: CompiledFilter; readonly after: number } | undefined
  /** What messages call an event, by its index in `events`. */
  readonly pathOf: (index: number) => string
  /** Set for an import: several commits of another log, stored in one transaction. */
  readonly imported?: {
    /** Indexes in `events` at which a commit begins. */
    readonly starts: ReadonlySet<number>
    /** By these: who made the commit in the log that it comes from, where that log is of a server. Only such a log keeps it. */
    readonly origins?: ReadonlyMap<number, CommitOrigin>
    /**
     * The append without the events that the log already holds; the append itself if the log holds all of them, which
     * makes it a duplicate.
     *
     * @throws InvalidImportError if the rest does not follow what is in the log
     */
    without(known: KnownEvents, versionOf: (stream: string) => number): PreparedAppend
  }
}
