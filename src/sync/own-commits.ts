/** Own commits as an app sees them, and where each of them is now. */
import { InvalidArgumentError } from '../errors.js'
import type { CatalogueCore } from '../events/catalogue-core.js'
import { createId } from '../events/identifier.js'
import { toJsonText } from '../events/json.js'
import { decodedBy, encodedBy, type Codec } from '../log/encode.js'
import type { ReadOptions } from '../log/event-store.js'
import type { PreparedAppend } from '../log/prepared-append.js'
import { finishPage } from '../log/pages.js'
import type { EventText, StoredEvent } from '../log/record/record-text.js'
import { say } from '../messages.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { wallTime, type Clock } from '../platform/clock.js'
import { listenerSet } from '../platform/listeners.js'
import { abortable } from '../platform/promises.js'
import type { OutboxCopy } from './outbox-copy.js'
import type { OutboxKeeper } from './outbox-keeper.js'
import { discarded, retried } from './rules/retried.js'
import type { OutboxRow, SyncRule, SyncSnapshot } from './sync-state.js'
import type { AppendedCommit, OwnCommit, OwnCommitStatus } from './synced-store.js'
import { storedOf } from './stored-of.js'

export interface OwnCommitsOptions {
  readonly keeper: OutboxKeeper
  readonly catalogue: CatalogueCore
  readonly codec: Codec | undefined
  readonly clock: Clock
  /** Why views of this context do not show a commit, by its name. */
  unshown(name: string): unknown
  /** Aborts when the store is closed. */
  readonly closed: AbortSignal
}

/** What is known of a commit, wherever it is. */
interface Known {
  readonly name: string
  readonly events: readonly StoredEvent[]
  readonly ids: readonly string[]
  readonly status: OwnCommitStatus
  readonly isSettled: boolean
  readonly row?: OutboxRow
  readonly position?: number
}

export class OwnCommits {
  readonly #options: OwnCommitsOptions
  /** Those who wait for a commit. With a listener each on the signal, Node would warn of a leak. */
  readonly #closing = listenerSet()

  constructor(options: OwnCommitsOptions) {
    this.#options = options
    options.closed.addEventListener('abort', () => this.#closing.tell(), { once: true })
  }

  /** A commit of the outbox. */
  of(row: OutboxRow): AppendedCommit {
    return Object.freeze(this.#handle(knownRow(row)))
  }

  async outbox(): Promise<readonly OwnCommit[]> {
    const { outbox } = await this.#options.keeper.fresh()
    return Promise.all(outbox.filter(({ cancel }) => cancel !== true).map((row) => this.#commit(knownRow(row))))
  }

  async find(id: string): Promise<OwnCommit | undefined> {
    if (typeof id !== 'string') throw new InvalidArgumentError('id', say`must be the id of an event.`)
    const known = await this.#known(id, [id], true)
    return known && this.#commit(known)
  }

  /** Where a commit is: in the outbox, or in the log; nothing if it is nowhere. */
  async #known(name: string, ids: readonly string[], mayGuess: boolean): Promise<Known | undefined> {
    const { keeper } = this.#options
    for (;;) {
      const copy = await keeper.fresh()
      const known = await this.#knownAt(copy, name, ids, mayGuess)
      // If the log was taken back meanwhile, what is not in the log any more is in the outbox.
      if (known?.row !== undefined || (await keeper.fresh()).state.identity === copy.state.identity) return known
    }
  }

  async #knownAt(
    copy: OutboxCopy,
    name: string,
    ids: readonly string[],
    mayGuess: boolean,
  ): Promise<Known | undefined> {
    const { keeper } = this.#options
    const index = keeper.indexOf(copy)
    const row = index.names.get(name) ?? (mayGuess ? ids.map((id) => index.ids.get(id)).find(Boolean) : undefined)
    if (row !== undefined) return knownRow(row)
    const ended = keeper.ended(name)
    if (ended?.status === 'discarded') return undefined
    if (ended?.position !== undefined) return this.#inLog(ended.position, name)
    if (ended !== undefined || copy.state.nothing?.includes(name) === true)
      return { name, events: [], ids, status: 'confirmed', isSettled: true }
    const own = await this.#placeOf(name, ids)
    return own && this.#inLog(own.position, own.name)
  }

  /** Where an own commit begins in the log, by an id of it or by its name. */
  async #placeOf(
    name: string,
    ids: readonly string[],
  ): Promise<{ readonly position: number; readonly name: string | undefined } | undefined> {
    const { keeper } = this.#options
    const events = ids.map((id) => ({ id, idGiven: true }) as EventText)
    const append: PreparedAppend = { events, expected: new Map(), condition: undefined, pathOf: String }
    const { known } = await keeper.facts(append)
    const found = [...known.values()].map(({ position }) => position)
    const first = Math.min(...found)
    const { own } = await keeper.loadOwn(found.length === 0 ? 0 : first - 1)
    const row = own.find((each) => each.name === name || (each.at <= first && first < each.at + each.n))
    return row && { position: row.name === name ? row.at : first, name: row.name }
  }

  /** The commit that holds a position of the log. `name`: where it is not the id of its first event. */
  async #inLog(position: number, name: string | undefined): Promise<Known | undefined> {
    const { events, starts } = await this.#options.keeper.confirmed(Math.max(0, position - 1000), 2000)
    const begins = [...starts].sort((one, other) => one - other)
    const at = begins.filter((start) => start <= position).at(-1)
    const next = begins.find((start) => start > position) ?? Infinity
    const own = events.filter((event) => event.position >= (at ?? position) && event.position < next)
    const [first] = own
    if (first === undefined) return undefined
    const ids = own.map(({ id }) => id)
    return {
      name: name ?? first.id,
      events: own,
      ids,
      status: 'confirmed',
      isSettled: true,
      position: first.position,
    }
  }

  /** Not part of what an append returns: a codec may take long, or never end. */
  async #commit(known: Known): Promise<OwnCommit> {
    const { events, problem } = await this.#decoded(known.events)
    return Object.freeze<OwnCommit>({
      ...this.#handle(known),
      events,
      ...(problem !== undefined && { unshown: problem }),
    })
  }

  #handle(known: Known): AppendedCommit {
    const { name, row, status, position } = known
    const unshown = this.#options.unshown(name)
    return {
      id: name,
      status,
      ...(row?.behind !== undefined && { behind: row.behind }),
      ...(unshown !== undefined && { unshown }),
      ...(position !== undefined && { position }),
      ...(row?.refused !== undefined && { refusal: row.refused }),
      settled: (options) => this.#settled(known, options),
      retry: () => this.#retry(known),
      discard: async () => {
        await this.#change(name, (snapshot, n) => discarded(snapshot, n))
      },
    }
  }

  /** As the app gave them; as they are stored, where they cannot be read. */
  async #decoded(stored: readonly StoredEvent[]): Promise<{ events: OwnCommit['events']; problem?: unknown }> {
    const { events, unreadable } = await finishPage(
      { found: stored, broken: new Map() },
      0,
      0,
      { catalogue: this.#options.catalogue, codec: this.#options.codec },
      { unreadable: 'collect' },
    )
    return {
      events: events.map(({ type, data, meta, id, stream }) => ({
        type,
        data,
        id,
        stream,
        ...(meta !== undefined && { meta }),
      })) as OwnCommit['events'],
      ...(unreadable !== undefined && { problem: unreadable[0] }),
    }
  }

  async #settled(known: Known, options: ReadOptions = {}): Promise<OwnCommit> {
    onlyKnown(options, ['signal'])
    const { signal } = options
    assertSignal(signal)
    const { keeper, closed } = this.#options
    let ids = known.ids
    for (;;) {
      signal?.throwIfAborted()
      closed.throwIfAborted()
      let notice = () => {}
      const changed = new Promise<void>((resolve) => (notice = resolve))
      const stops = [keeper.subscribe(notice), this.#closing.add(notice)]
      try {
        const now = await this.#known(known.name, ids, false)
        if (now === undefined) return await this.#commit({ ...known, status: 'discarded', isSettled: true })
        if (now.isSettled) return await this.#commit({ ...now, name: known.name })
        ids = now.ids
        await abortable(changed, signal)
      } finally {
        for (const stop of stops) stop()
      }
    }
  }

  async #retry(known: Known): Promise<OwnCommit> {
    const { keeper, clock, codec } = this.#options
    const time = wallTime(clock)
    for (let isSame = false; !isSame;) {
      const was = (await keeper.load()).outbox.find(({ name }) => name === known.name)
      if (was === undefined) break
      const ids = was.events.map(() => createId(time))
      // What is encoded may be bound to the id.
      const data = await encodedFor(ids, was.events, codec)
      await this.#change(known.name, (snapshot, n) => {
        const now = snapshot.outbox.find((each) => each.n === n)
        isSame = now === undefined || now.events.every(({ id }, index) => id === was.events[index]?.id)
        return isSame ? retried(snapshot, n, ids, data) : undefined
      })
    }
    const now = await this.#known(known.name, known.ids, false)
    return this.#commit(now ?? { ...known, status: 'discarded', isSettled: true })
  }

  async #change(name: string, rule: (snapshot: SyncSnapshot, n: number) => ReturnType<SyncRule>): Promise<void> {
    const { keeper, closed } = this.#options
    for (;;) {
      closed.throwIfAborted()
      const from = await keeper.load()
      const changed = await keeper.change(
        from,
        (snapshot) => {
          const row = snapshot.outbox.find((each) => each.name === name)
          return row && rule(snapshot, row.n)
        },
        true,
      )
      if (changed.kind !== 'moved') return
    }
  }
}

function knownRow(row: OutboxRow): Known {
  const { name, events, had = [], refused, cancel, accepted } = row
  const status: OwnCommitStatus =
    refused !== undefined ? 'refused' : cancel === true ? 'discarded' : accepted !== undefined ? 'accepted' : 'pending'
  return {
    name,
    events: events.map((event) => storedOf(event, 0, 0)),
    ids: [...events.map(({ id }) => id), ...had],
    status,
    isSettled: refused !== undefined,
    row,
  }
}

/**
 * The data of events, encoded once more for events with other ids.
 *
 * @throws EventUnreadableError for what a codec encoded, where there is none
 */
async function encodedFor(
  ids: readonly string[],
  events: readonly EventText[],
  codec: Codec | undefined,
): Promise<string[]> {
  const texts: string[] = []
  for (const [index, event] of events.entries()) {
    const plain = await decodedBy(codec, JSON.parse(event.data), event, 0)
    const next = { ...event, id: ids[index] as string }
    texts.push(codec === undefined ? event.data : toJsonText(await encodedBy(codec, plain, next, 'data'), 'data'))
  }
  return texts
}
