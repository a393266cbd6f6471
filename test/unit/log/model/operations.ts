/** What is asked of a store, as plain data that fast-check can make and shrink, and what the reference log says to it. */
import type { EventFilter, ExpectedVersion, RecordedEvent, TidemarkStore } from 'tidemark'
import {
  append,
  matching,
  readPage,
  versionOf,
  type Answer,
  type ReferenceAppend,
  type ReferenceEvent,
  type ReferenceLog,
} from './reference-log.js'

export type IdChoice =
  /** Made by the store. */
  | 'made'
  /** Given: a UUIDv7 of the past, one of the future (which a warm writer need not look for), or no UUID at all. */
  | 'past'
  | 'future'
  | 'opaque'
  /** Given, and in the log already. */
  | { readonly known: number }

export interface AppendPlan {
  readonly does: 'append'
  readonly on: 0 | 1
  readonly writes: readonly {
    readonly stream: string
    /** A number counts from the version that the stream really has. */
    readonly expects: ExpectedVersion
    readonly events: readonly { readonly type: string; readonly id: IdChoice }[]
  }[]
  /** `after` counts from the real head. */
  readonly condition: { readonly filter: EventFilter; readonly after: number } | undefined
}

export type Plan =
  | AppendPlan
  /** An append of before, once more: all of its events or some, to the letter. */
  | { readonly does: 'repeat'; readonly on: 0 | 1; readonly back: number; readonly part: 'whole' | 'first' | 'last' }
  | {
      readonly does: 'page'
      readonly on: 0 | 1
      readonly filter: EventFilter
      readonly after: number
      readonly limit: number
    }
  | { readonly does: 'head'; readonly on: 0 | 1 }
  | { readonly does: 'version'; readonly on: 0 | 1; readonly stream: string }
  /** These two take several transactions, so only alone is there one right answer. */
  | {
      readonly does: 'stream'
      readonly on: 0 | 1
      readonly stream: string
      readonly after: number
      readonly limit: number | undefined
    }
  | { readonly does: 'all'; readonly on: 0 | 1; readonly filter: EventFilter; readonly after: number }

/** A plan with every number settled. */
export interface Operation {
  readonly on: 0 | 1
  /** The append, if it is one. */
  readonly append?: ReferenceAppend
  start(store: TidemarkStore): Promise<unknown>
  judge(log: ReferenceLog): { readonly log: ReferenceLog; readonly answer: Answer }
}

/** What the plans need to know of what happened so far. */
export interface History {
  log: ReferenceLog
  /** The appends that were tried, the newest last. */
  tried: ReferenceAppend[]
  /** Counts the events that were ever made. */
  serial: number
}

const makeId = (choice: 'past' | 'future' | 'opaque', serial: number) =>
  choice === 'opaque'
    ? `~#${serial}`
    : `${choice === 'past' ? '01000000' : 'fe000000'}-${String(serial).padStart(4, '0')}-7000-8000-000000000000`

const read = (answer: Answer) => (log: ReferenceLog) => ({ log, answer })

/** Settles a plan by the history. */
export function settle(plan: Plan, history: History): Operation {
  const { log } = history
  const { on } = plan
  switch (plan.does) {
    case 'append': {
      const known = log.filter(({ id }) => id !== undefined)
      const pick = (choice: IdChoice, serial: number) =>
        choice === 'made'
          ? undefined
          : typeof choice === 'string'
            ? makeId(choice, serial)
            : known[choice.known % known.length]?.id
      const writes = plan.writes.map(({ stream, expects, events }) => ({
        stream,
        expectedVersion: typeof expects === 'number' ? Math.max(0, versionOf(log, stream) + expects) : expects,
        events: events.map(({ type, id }) => {
          const serial = (history.serial += 1)
          return { type, serial, id: pick(id, serial) }
        }),
      }))
      const { condition } = plan
      return appending(
        on,
        {
          writes,
          condition: condition && { filter: condition.filter, after: Math.max(0, log.length + condition.after) },
        },
        history,
      )
    }
    case 'repeat': {
      const before = history.tried[history.tried.length - 1 - (plan.back % Math.max(1, history.tried.length))] ?? {
        writes: [{ stream: 's', expectedVersion: 'any', events: [] }],
      }
      // Ids that the store made are known once the events were read.
      const whole = before.writes.map((write) => ({
        ...write,
        events: write.events.map((event) => ({
          ...event,
          id: event.id ?? log.find(({ serial }) => serial === event.serial)?.id,
        })),
      }))
      const writes =
        plan.part === 'whole'
          ? whole
          : whole.map((write) => ({
              ...write,
              events: plan.part === 'first' ? write.events.slice(0, 1) : write.events.slice(-1),
            }))
      return appending(on, { ...before, writes }, history)
    }
    case 'page':
      return {
        on,
        start: (store) =>
          store
            .readPage({ filter: plan.filter, after: plan.after, limit: plan.limit })
            .then((page) => ({ ...page, events: page.events.map(plain) })),
        judge: (now) => read(readPage(now, plan.filter, plan.after, plan.limit))(now),
      }
    case 'head':
      return { on, start: (store) => store.head(), judge: (now) => read({ value: now.length })(now) }
    case 'version':
      return {
        on,
        start: (store) => store.streamVersion(plan.stream),
        judge: (now) => read({ value: versionOf(now, plan.stream) })(now),
      }
    case 'stream': {
      const { stream, after, limit } = plan
      return {
        on,
        start: (store) => collect(store.readStream(stream, limit === undefined ? { after } : { after, limit })),
        judge: (now) =>
          read({
            value: now
              .filter((event) => event.stream === stream)
              .slice(after, limit === undefined ? undefined : after + limit),
          })(now),
      }
    }
    case 'all':
      return {
        on,
        start: (store) => collect(store.read({ filter: plan.filter, after: plan.after })),
        judge: (now) =>
          read({ value: matching(now, plan.filter).filter(({ position }) => position > plan.after) })(now),
      }
    default:
      throw plan satisfies never
  }
}

/** An append, as often as it is started; it is the same one each time. */
export function appending(on: 0 | 1, what: ReferenceAppend, history?: History): Operation {
  history?.tried.push(what)
  const writes = what.writes.map(({ stream, expectedVersion, events }) => ({
    stream,
    expectedVersion,
    events: events.map(({ type, serial, id }) => ({ type, data: { serial }, ...(id === undefined ? {} : { id }) })),
  }))
  return {
    on,
    append: what,
    start: (store) =>
      store
        .append(
          writes,
          what.condition === undefined
            ? {}
            : { condition: { failIfEventsMatch: what.condition.filter, after: what.condition.after } },
        )
        .then((result) => ({ ...result, versions: { ...result.versions } })),
    judge: (log) => append(log, what),
  }
}

export async function collect(events: AsyncIterable<RecordedEvent>): Promise<ReferenceEvent[]> {
  const all: ReferenceEvent[] = []
  for await (const event of events) all.push(plain(event))
  return all
}

function plain({ position, stream, version, type, data, id }: RecordedEvent): ReferenceEvent {
  return { position, stream, version, type, serial: (data as { serial: number }).serial, id }
}
