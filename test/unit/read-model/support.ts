/** What tests of read models share: a small app, a page around it, and conditions to wait for instead of times. */
import { onTestFinished, vi } from 'vitest'
import {
  defineEvents,
  defineProjection,
  openEventStore,
  table,
  type DeadLetter,
  type FailureStrategy,
  type ProjectionHandle,
  type ProjectionReport,
  type Projector,
  type RecordedEvent,
  type TidemarkStore,
} from 'tidemark'
import { openEventStore as openMemoryEventStore } from 'tidemark/memory'

export type Event = { type: 'Added'; data: { to: string; amount: number } } | { type: 'Other'; data: null }
export type Added = Extract<Event, { type: 'Added' }>
export interface Row {
  name: string
  total: number
  /** The positions that made it, so that an effect that is there twice or not at all shows. */
  seen: readonly number[]
}
export const events = defineEvents<Event>()
export const added = (to = 'a', amount = 1): Added => ({ type: 'Added', data: { to, amount } })

export const newName = () => `read-model-${Math.random()}`

async function filled(opening: Promise<TidemarkStore<Event>>, count: number): Promise<TidemarkStore<Event>> {
  const store = await opening
  if (count > 0) await store.append({ stream: 's', events: Array.from({ length: count }, () => added()) })
  return store
}
/** A new store with so many events. */
export const memoryStore = (count = 0) => filled(openMemoryEventStore({ name: newName(), events }), count)
/** The same on IndexedDB; wants `fakeIndexedDB()`. */
export const indexedDbStore = (count = 0, name = newName()) => filled(openEventStore({ name, events }), count)

/** Two instances of one store, as two tabs have them, that never hear each other: every hint is lost (H66). */
export async function storesWithoutHints(): Promise<[TidemarkStore<Event>, TidemarkStore<Event>]> {
  const name = newName()
  vi.stubGlobal('BroadcastChannel', undefined)
  try {
    return [await openEventStore({ name, events }), await openEventStore({ name, events })]
  } finally {
    vi.unstubAllGlobals()
  }
}

interface Behaviour {
  /** Runs before the row is changed. */
  readonly handler?: (event: RecordedEvent<Added>) => unknown
  /** @default 'fatal' */
  readonly onFailure?: (retryCount: number) => FailureStrategy
}

/** A projection that adds up. */
export const model = ({ handler, onFailure }: Behaviour = {}) =>
  defineProjection(events, {
    name: 'model',
    tables: { rows: table<Row>({ key: 'name' }) },
    on: {
      Added: async (event, { rows }) => {
        await handler?.(event)
        const { to, amount } = event.data
        await rows.update(to, (row) => ({
          name: to,
          total: (row?.total ?? 0) + amount,
          seen: [...(row?.seen ?? []), event.position],
        }))
      },
    },
    onFailure: ({ retryCount }) => onFailure?.(retryCount) ?? 'fatal',
  })

/** A plain projector: its checkpoint is all that is stored of it. */
export const plain = (apply: Projector<Event>['apply'], onFailure?: () => FailureStrategy): Projector<Event> => ({
  name: 'plain',
  apply,
  ...(onFailure === undefined ? {} : { onFailure }),
})

/** Throws at an event. */
export function poison(): never {
  throw new Error('poison')
}

export async function lettersOf(projection: ProjectionHandle): Promise<DeadLetter[]> {
  const letters = []
  for await (const letter of projection.deadLetters()) letters.push(letter)
  return letters
}

/** The code of the error that a promise rejects with, or what else became of it. */
export const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'fulfilled',
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  )

/** A promise that the test settles. */
export function gate() {
  let open = () => {}
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { passed, open }
}

/** Resolves once a status or a live query shows what is waited for. */
export function shown<S>(
  source: { subscribe(listener: () => void): () => void; getSnapshot(): S },
  wanted: (snapshot: S) => boolean,
): Promise<S> {
  return new Promise((resolve) => {
    const look = () => {
      const snapshot = source.getSnapshot()
      if (!wanted(snapshot)) return
      unsubscribe()
      resolve(snapshot)
    }
    const unsubscribe = source.subscribe(look)
    look()
  })
}

/** Hears what a run tells: its `onReport` is for the configuration. */
export function listener() {
  const reports: ProjectionReport[] = []
  const waiting = new Set<(report: ProjectionReport) => void>()
  return {
    reports,
    onReport(report: ProjectionReport) {
      reports.push(report)
      for (const look of [...waiting]) look(report)
    },
    /** The next report that is wanted, from here on. */
    next(wanted: (report: ProjectionReport) => boolean): Promise<ProjectionReport> {
      return new Promise((resolve) => {
        const look = (report: ProjectionReport) => {
          if (!wanted(report)) return
          waiting.delete(look)
          resolve(report)
        }
        waiting.add(look)
      })
    },
  }
}

/** Makes this realm a page, until the test ends. */
export function fakePage() {
  const target = new EventTarget()
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  const page = {
    document,
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
  }
  const show = () => {
    for (const [name, value] of Object.entries(page)) vi.stubGlobal(name, value)
  }
  show()
  onTestFinished(() => void vi.unstubAllGlobals())
  const tell = (target: EventTarget, type: string) => () => void target.dispatchEvent(new globalThis.Event(type))
  return {
    freeze: tell(document, 'freeze'),
    resume: tell(document, 'resume'),
    hide: tell(target, 'pagehide'),
    show: tell(target, 'pageshow'),
    /** Does what another context does meanwhile, one that is no page. */
    async elsewhere<T>(work: () => Promise<T>): Promise<T> {
      vi.unstubAllGlobals()
      try {
        return await work()
      } finally {
        show()
      }
    },
  }
}
