/** A device of a run: its storage, the rows of its read model, and the contexts in which its app is open. */
import { anyEvents } from '../../../src/events/catalogue-core.js'
import { MemoryLog } from '../../../src/log/memory/memory-log.js'
import type { EventText, StoredEvent } from '../../../src/log/record/record-text.js'
import { compileFilter } from '../../../src/log/filter.js'
import type { ExpectedVersion } from '../../../src/errors.js'
import type { PreparedAppend } from '../../../src/log/prepared-append.js'
import { decideOwn } from '../../../src/sync/decide-own.js'
import { MemorySyncStorage } from '../../../src/sync/memory/memory-sync-storage.js'
import type { OutboxCopy } from '../../../src/sync/outbox-copy.js'
import { OutboxIndex, underPending } from '../../../src/sync/outbox-index.js'
import { isShown, ownEvents, sameUpTo, type RowsAt } from '../../../src/sync/overlay/in-rows.js'
import { refetched } from '../../../src/sync/rules/control.js'
import { needsOf } from '../../../src/sync/rules/outbox-draft.js'
import { discarded, retried } from '../../../src/sync/rules/retried.js'
import type { DecisionReply } from '../../../src/sync/sync-effects.js'
import type { OutboxRow, OwnRow, SyncRule, SyncSnapshot } from '../../../src/sync/sync-state.js'
import type { SyncReport } from '../../../src/sync/sync-status.js'
import type { Changed } from '../../../src/sync/sync-storage.js'
import type { MachineOptions } from '../../../src/sync/machine/sync-machine.js'
import type { Book, Sight } from './book.js'
import { openEventStore } from '../../../src/memory/index.js'
import type { TidemarkStore } from '../../../src/log/open.js'
import { Adopter } from './adopter.js'
import { Runner } from './runner.js'
import type { Chance } from './seeded.js'
import { unwanted } from './service.js'

/** What is shown, or stored: an event and what is in it. */
export interface Seen {
  readonly id: string
  readonly data: unknown
  readonly stream: string
}

interface Rows extends RowsAt {
  readonly events: readonly Seen[]
}

/** All that is on the device. */
export interface Saved {
  readonly author: string
  readonly snapshot: SyncSnapshot
  readonly own: readonly OwnRow[]
  readonly events: readonly StoredEvent[]
  readonly starts: ReadonlySet<number>
  readonly rows: Rows
}

export interface DeviceOptions {
  readonly chance: Chance
  readonly book: Book
  readonly fail: (what: string) => never
  readonly machine: Pick<MachineOptions, 'pageSize' | 'pushBytes'>
  readonly streams: number
}

export class Device {
  readonly name: string
  author: string
  storage!: MemorySyncStorage
  rows!: Rows
  runners: Runner[] = []
  /** Contexts that adopt its local store, if it has one. */
  adopters: Adopter[] = []
  #local: TidemarkStore | undefined
  /** What tabs knew when they last looked. */
  #known: OutboxCopy[] = []
  readonly #options: DeviceOptions
  #serial = 0
  #log!: MemoryLog
  #confirmed: { identity: string; events: StoredEvent[] } = { identity: '', events: [] }

  constructor(name: string, options: DeviceOptions) {
    this.name = name
    this.author = name
    this.#options = options
    this.clear()
  }

  /** The storage was cleared, or this is a new device. */
  clear(): void {
    this.#open(`${this.name}!${(this.#serial += 1)}`)
    this.rows = { identity: this.storage.identity, position: 0, events: [] }
    this.#local = undefined
  }

  #open(identity: string): void {
    this.#log = new MemoryLog({ catalogue: anyEvents, codec: undefined })
    this.storage = new MemorySyncStorage(this.#log, identity)
    this.runners = []
    this.adopters = []
    this.#known = []
  }

  /** The app began without an account. */
  async openLocal(): Promise<void> {
    this.#local = await openEventStore({ name: `${this.name} before` })
    for (let commits = this.#options.chance.pick(5); commits >= 0; commits -= 1) await this.appendLocal()
  }

  get hasLocal(): boolean {
    return this.#local !== undefined
  }

  /** A tab that does not know yet that the local store is adopted. */
  async appendLocal(): Promise<void> {
    const { chance, book } = this.#options
    const id = `${this.name}L${(this.#serial += 1)}`
    const streams = Array.from({ length: 1 + chance.pick(3) }, () => `s${chance.pick(this.#options.streams)}`)
    const events = streams.map((stream, index) => text(`${id}.${index}`, stream, 'T0'))
    try {
      const written = await this.#local?.append(
        events.map(({ stream, type, id: given, data }) => ({
          stream,
          events: [{ type, id: given, data: JSON.parse(data) as string }],
        })),
      )
      if (written !== undefined) book.local(this, written.position, events)
    } catch (error) {
      if ((error as { code?: string }).code !== 'unsupported-format') throw error
      book.count('appends to an adopted store')
    }
  }

  /** A context begins to adopt the local store. */
  async adopt(): Promise<Adopter | undefined> {
    if (this.#local === undefined) return undefined
    const { fail, book } = this.#options
    const stored = (changed: Changed, before: SyncSnapshot) => {
      book.adopts(this, changed)
      book.stored(changed, before)
    }
    const adopter = new Adopter({ storage: this.storage, stored, fail }, this.#local)
    this.adopters.push(adopter)
    await adopter.rest()
    return adopter
  }

  /** A context begins to sync. */
  start(options: Partial<MachineOptions> = {}): Runner {
    const { chance, machine } = this.#options
    const { storage } = this
    const host = {
      storage,
      decide: (row: OutboxRow, from: SyncSnapshot) => this.decide(row, from),
      stored: (changed: Changed, before: SyncSnapshot) => this.#options.book.stored(changed, before),
      fail: this.#options.fail,
      reported: ({ status, reason, message }: SyncReport) => {
        if (status === 'stopped' || status === 'paused')
          this.#options.fail(`${this.name} ${status}: ${reason} ${message}`)
      },
    }
    const newIdentity = () => `${this.name}!${(this.#serial += 1)}`
    const runner = new Runner(host, { random: () => chance.next(), newIdentity, ...machine, ...options })
    this.runners.push(runner)
    return runner
  }

  /** The log, in order. */
  async confirmed(): Promise<readonly StoredEvent[]> {
    const { identity } = this.storage
    const known = this.#confirmed
    if (known.identity !== identity || known.events.length > this.#log.length)
      this.#confirmed = { identity, events: [...(await this.storage.confirmed(0, Infinity)).events] }
    else if (known.events.length < this.#log.length)
      for (const event of (await this.storage.confirmed(known.events.length, Infinity)).events) known.events.push(event)
    return this.#confirmed.events
  }

  async copy(): Promise<OutboxCopy> {
    return { ...(await this.storage.loadOwn(0)), ownFrom: 0 }
  }

  async #change(rule: SyncRule): Promise<boolean> {
    const before = await this.storage.load()
    const changed = await this.storage.change(before, rule)
    this.#options.book.stored(changed, before)
    return changed.kind === 'stored'
  }

  /** The app appends, in a tab that may not know yet what another one did. */
  async append(): Promise<void> {
    const { chance, book } = this.#options
    const name = `${this.name}${(this.#serial += 1)}`
    let from: SyncSnapshot = chance.hits(0.3) ? (chance.one(this.#known) ?? (await this.copy())) : await this.copy()
    const streams = Array.from({ length: 1 + chance.pick(3) }, () => `s${chance.pick(this.#options.streams)}`)
    const readOnly = chance.hits(0.5) ? [`s${chance.pick(this.#options.streams)}`] : []
    const isStrict = chance.hits(0.5)
    const type = chance.hits(0.05) ? unwanted : `T${chance.pick(6)}`
    const [hasCommand, hasCondition] = [chance.hits(0.5), chance.hits(0.2)]
    const events = streams.map((stream, index) => text(`${name}.${index}`, stream, type))
    const leaves = chance.hits(0.5)
    for (;;) {
      const log = await this.#logOf(from)
      const index = new OutboxIndex(from.outbox)
      const ends = new Map(log.map((event) => [event.stream, event]))
      const versionOf = (stream: string) => (ends.get(stream)?.version ?? 0) + (index.streams.get(stream)?.count ?? 0)
      // What is only read may have to exist, or be as it was.
      const expected = new Map<string, ExpectedVersion>(
        readOnly.map((stream) => [stream, !isStrict && versionOf(stream) > 0 ? 'stream-exists' : 'any']),
      )
      for (const stream of [...streams, ...(isStrict ? readOnly : [])])
        expected.set(stream, isStrict ? versionOf(stream) : 'any')
      const filter = { types: [type] }
      const seenTo = log.length + index.events
      const prepared: PreparedAppend = {
        events,
        expected,
        condition: hasCondition ? { filter: compileFilter(filter), after: seenTo } : undefined,
        pathOf: String,
      }
      const facts = { head: log.length, lastId: log.at(-1)?.id ?? null, ends, known: new Map(), match: undefined }
      const verdict = decideOwn(prepared, {
        snapshot: from,
        index,
        facts,
        isPlain: true,
        command: hasCommand ? { name: 'again', args: '[]' } : undefined,
        filter: hasCondition ? filter : undefined,
        time: 1,
      })
      if (verdict.kind !== 'row') throw new Error(verdict.kind)
      const row = { ...verdict.row, ...(leaves && { leaves }) }
      if ((await this.storage.append(row, from.state)) === 'stored')
        return book.appended(this, row, this.#seenBy(row, from.outbox, log))
      book.count('appends decided again')
      from = await this.storage.load()
    }
  }

  /** The log as a snapshot knows it. */
  async #logOf({ state }: SyncSnapshot): Promise<readonly StoredEvent[]> {
    return (await this.confirmed()).slice(0, state.cursor.at)
  }

  /** What was in the events that a commit was decided on. */
  #seenBy(row: OutboxRow, before: readonly OutboxRow[], log: readonly StoredEvent[]): Sight {
    const needs = new Set(needsOf(row))
    const pending = before.filter(isShown).flatMap(({ events }) => events)
    const all = [...log, ...pending]
    return {
      seen: new Map([
        ...log.filter(({ id }) => needs.has(id)).map(({ id, data }) => [id, data] as const),
        ...pending.filter(({ id }) => needs.has(id)).map(({ id, data }) => [id, JSON.parse(data)] as const),
      ]),
      streams: new Map(row.expect.map(([stream]) => [stream, idsIn(all, stream)])),
    }
  }

  /** What the app's command makes of a commit. */
  async decide(row: OutboxRow, from: SyncSnapshot): Promise<DecisionReply> {
    const { chance, book } = this.#options
    if (chance.hits(0.03)) return { kind: 'nothing' }
    if (chance.hits(0.03)) return { kind: 'refused', code: 'no', message: '' }
    const id = `${row.name.slice(0, -2)}/${this.name}${(this.#serial += 1)}`
    const log = await this.#logOf(from)
    const before = from.outbox.filter((each) => each.n < row.n && isShown(each))
    const { streams } = new OutboxIndex(before)
    const pending = before.flatMap(({ events }) => events)
    const expect = row.expect.map(([stream]) => {
      const confirmed = log.findLast((event) => event.stream === stream)
      const { lastId, count = 0 } = streams.get(stream) ?? {}
      return [stream, lastId ?? confirmed?.id ?? null, (confirmed?.version ?? 0) + count] as const
    })
    const { requires: _, condition, ...rest } = row
    const requires = expect.flatMap(([stream]) =>
      underPending(streams.get(stream), log.findLast((event) => event.stream === stream)?.id),
    )
    const matches = compileFilter(condition?.failIfEventsMatch ?? {})
    const next = {
      ...rest,
      events: row.events.map(({ stream, type }, index) => text(`${id}.${index}`, stream, type)),
      expect,
      ...(requires.length > 0 && { requires }),
      ...(condition !== undefined && {
        condition: {
          ...condition,
          after: log.at(-1)?.id ?? null,
          at: log.length,
          except: pending.filter((event) => matches.matches(event as never)).map((event) => event.id),
        },
      }),
    }
    book.sees(next, this.#seenBy(next, before, log))
    return { kind: 'decided', row: next }
  }

  /** The app lets the log be fetched again from its beginning. */
  async resync(): Promise<void> {
    const { book } = this.#options
    const identity = `${this.name}!${(this.#serial += 1)}`
    if (!(await this.#change((snapshot) => refetched(snapshot, identity)))) return
    book.free(this)
    book.count('resyncs')
  }

  async discard(): Promise<void> {
    const { chance } = this.#options
    const { outbox } = await this.storage.load()
    const row = chance.one(
      outbox.filter(({ refused, accepted }) => (refused ?? accepted) === undefined || chance.hits(0.2)),
    )
    if (row !== undefined) await this.discardNow(row)
  }

  async discardNow(row: OutboxRow): Promise<void> {
    const { book } = this.#options
    if (await this.#change((snapshot) => discarded(snapshot, row.n))) book.count('discards')
    const made = book.made.get(row.name)
    if (made !== undefined && row.refused !== undefined) made.isEnded = true
  }

  async retry(): Promise<void> {
    const { chance, book } = this.#options
    const rows = (await this.storage.load()).outbox.filter(
      (row) => row.refused !== undefined || row.behind !== undefined,
    )
    const row = chance.one(rows)
    if (row === undefined) return
    const id = `${row.name.slice(0, -2)}/r${this.name}${(this.#serial += 1)}`
    const ids = row.events.map((_, index) => `${id}.${index}`)
    if (await this.#change((snapshot) => retried(snapshot, row.n, ids))) book.count('retries')
  }

  /** The projection runs, or lags: a page may end inside a commit. */
  async project(most: number): Promise<void> {
    const log = await this.confirmed()
    const { state } = await this.storage.load()
    const { identity, position, events } = this.rows
    if (identity === state.identity) {
      const next = log.slice(position, position + most)
      this.rows = { identity, position: position + next.length, events: [...events, ...next] }
      return
    }
    // Made again behind the rows that are there; those of the part in common are kept.
    if (most < 3) return
    this.rows =
      position <= sameUpTo(state, identity)
        ? { identity: state.identity, position, events }
        : { identity: state.identity, position: log.length, events: [...log] }
  }

  /** A tab looks at the outbox. */
  async look(): Promise<void> {
    this.#known.push(await this.copy())
    if (this.#known.length > 3) this.#known.shift()
  }

  /** What a tab shows that looked at the outbox earlier. `undefined`: it has to look again. */
  async shownBy(copy: OutboxCopy): Promise<Seen[] | undefined> {
    // The log was taken back since: neither its positions nor the rows are those that this tab knows.
    return copy.state.identity === this.storage.identity ? this.shown(copy) : undefined
  }

  /** What a tab shows that knows this of the outbox. `undefined`: it has to look again. */
  async shown(copy: OutboxCopy): Promise<Seen[] | undefined> {
    const log = await this.confirmed()
    try {
      const own = ownEvents(copy, this.rows).flatMap((event) =>
        event.kind === 'pending'
          ? seen(event.commit.events[event.index] as EventText)
          : (log[event.position - 1] ?? []),
      )
      return [...this.rows.events, ...own]
    } catch (error) {
      if (error instanceof RangeError) return undefined
      throw error
    }
  }

  get known(): readonly OutboxCopy[] {
    return this.#known
  }

  async save(): Promise<Saved> {
    const { state, outbox, own } = await this.storage.loadOwn(0)
    const { events, starts } = await this.storage.confirmed(0, Infinity)
    return { author: this.author, snapshot: { state, outbox }, own, events, starts, rows: this.rows }
  }

  /** From a backup of this device, or of another one, whose profile is copied. */
  async restore({ author, snapshot: { state, outbox }, own, events, starts, rows }: Saved): Promise<void> {
    this.#open(state.identity)
    this.author = author
    const pulled = {
      at: 1,
      events: events.map((event) => ({
        ...text(event.id, event.stream, event.type),
        data: JSON.stringify(event.data),
      })),
      versions: events.map(({ version }) => version),
      starts: new Set([...starts].map((position) => position - 1)),
    }
    const changed = await this.storage.change(await this.storage.load(), () => ({
      state,
      put: outbox,
      own,
      ...(events.length > 0 && { pulled }),
    }))
    if (changed.kind !== 'stored') throw new Error(changed.kind)
    this.rows = rows
    this.#confirmed = { identity: '', events: [] }
  }
}

const text = (id: string, stream: string, type: string): EventText => ({
  type,
  stream,
  id,
  idGiven: true,
  time: 1,
  schema: 1,
  data: JSON.stringify(`${id}!`),
  meta: undefined,
})

/** The ids of the events of a stream, in order. */
export const idsIn = (events: readonly { readonly id: string; readonly stream: string }[], stream: string): string =>
  events.flatMap((event) => (event.stream === stream ? [event.id] : [])).join()

const seen = ({ id, data, stream }: EventText): Seen => ({ id, data: JSON.parse(data), stream })
