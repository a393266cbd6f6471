/** Running projections: once, or as a handle for apps. */
import { CaughtUpTimeoutError, ClosedError, InvalidArgumentError, ProjectionError } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { storeInternals, type TidemarkStore } from '../log/open.js'
import { wholeNumber } from '../log/prepare.js'
import { systemClock } from '../platform/clock.js'
import { driveTarget, type Observer } from '../projection/drive.js'
import { plainTarget } from '../projection/plain.js'
import type { ProjectionBackend } from '../projection/ports.js'
import type { ProjectionConfig, ProjectionResult, Projector } from '../projection/projector.js'
import type { DeadLetterRecord } from '../projection/target.js'
import { ProjectionDatabase } from './database.js'
import type { ProjectionDefinition, Tables } from './define.js'
import { readModelTarget, replayLetter } from './work.js'

let contextId: string | undefined
/** Names this tab or worker in the stored state, so that others can tell who leads. */
const owner = () => (contextId ??= crypto.randomUUID())

const isDefinition = (value: object): boolean => (value as { kind?: unknown }).kind === 'projection'

async function attach<E extends EventShape>(definition: ProjectionDefinition<E, Tables>, store: TidemarkStore<E>) {
  const { signals, incarnation } = storeInternals(store)
  if (incarnation === undefined) throw new InvalidArgumentError('backend', 'keeps its log in memory, which cannot hold read models yet. Use a plain projector there.')
  const database = new ProjectionDatabase(store.name, definition as unknown as ProjectionDefinition, await incarnation())
  const key = `${definition.name}@${definition.version}`
  const target = readModelTarget(definition, database, {
    head: () => store.head(),
    committed: (position, tables) => signals.post({ kind: 'committed', projection: key, position, tables }),
  })
  const backend = {
    reader: store,
    coordinator: store,
    onControl: (listener: () => void) => signals.listen((hint) => {
      if (hint.kind === 'control' && hint.projection === key) listener()
    }),
  }
  return { database, target, backend, signals, key }
}

/**
 * Runs a projection: in batch mode up to the head seen at the start, in continuous mode until `signal` aborts.
 *
 * @throws LeadershipError if another context runs it and `leadership` is 'try'
 * @throws ProjectionError if an event failed for good or the storage failed too often; `cause` is the reason
 * @throws LeadershipLostError if another runner moved the checkpoint; nothing of the last commit is stored then
 */
export async function runProjection<E extends EventShape, T extends Tables = Tables, C = unknown>(
  projector: Projector<E, C> | ProjectionDefinition<E, T>, backend: ProjectionBackend<E>, config: ProjectionConfig<C> = {},
): Promise<ProjectionResult> {
  const settings = config as ProjectionConfig<never>
  if (!isDefinition(projector)) {
    const target = plainTarget(projector as Projector<E, C>, backend, config)
    return driveTarget(target, { reader: backend, coordinator: backend }, settings, { mode: 'batch', owner: owner() })
  }
  const { database, target, backend: ports } = await attach(projector as unknown as ProjectionDefinition<E, Tables>, backend as TidemarkStore<E>)
  try {
    return await driveTarget(target, ports, settings, { mode: 'batch', owner: owner() })
  } finally {
    database.close()
  }
}

export interface ProjectionStatus {
  readonly phase: 'starting' | 'waiting-for-leader' | 'catching-up' | 'live' | 'retrying' | 'paused' | 'faulted' | 'stopped'
  readonly position: number
  readonly head: number
  readonly behind: number
  /** Events per second over the last seconds. */
  readonly rate: number
  /** This context runs it. */
  readonly leader: boolean
  /** The context that took over last. */
  readonly owner: string
  readonly deadLetters: number
  readonly lastError?: unknown
}

/** An event that was parked. */
export interface DeadLetter extends DeadLetterRecord {
  /** Applies the event again and removes the letter, in one transaction; the checkpoint stays (N20). */
  retry(): Promise<void>
  discard(): Promise<void>
}

/** A running projection. */
export interface ProjectionHandle {
  readonly status: { getSnapshot(): ProjectionStatus; subscribe(listener: () => void): () => void }
  /**
   * Waits until a commit covers the position (N24–N29).
   *
   * @throws ProjectionError or the error itself at once if the projection stands still; CaughtUpTimeoutError
   */
  caughtUp(position: number, options?: { readonly signal?: AbortSignal; readonly timeout?: number; readonly onTimeout?: 'throw' | 'stale' }): Promise<{ position: number; head: number; stale: boolean }>
  /** Stored: it stays paused when every tab was closed (N40). */
  pause(): Promise<void>
  resume(): Promise<void>
  deadLetters(): AsyncIterable<DeadLetter>
  /** Drops the rows and folds them again from the first event. For rows that stay readable, raise `version` instead. */
  rebuild(): Promise<void>
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** How often a handle looks at the stored state when no hint came, ms. */
const slowPoll = 2_000

/** Starts a projection and answers a handle at once. @default mode 'continuous' */
export function startProjection<E extends EventShape, T extends Tables>(
  definition: ProjectionDefinition<E, T>, store: TidemarkStore<E>, config: ProjectionConfig = {},
): ProjectionHandle {
  if (!isDefinition(definition)) throw new InvalidArgumentError('projection', 'must come from defineProjection; run a plain projector by runProjection.')
  const clock = config.clock ?? systemClock
  const stopping = new AbortController()
  const stop = () => stopping.abort(config.signal?.reason)
  config.signal?.addEventListener('abort', stop, { once: true })
  let status: ProjectionStatus = { phase: 'starting', position: 0, head: 0, behind: 0, rate: 0, leader: false, owner: '', deadLetters: 0 }
  const listeners = new Set<() => void>()
  const set = (change: Partial<ProjectionStatus>) => {
    const merged = { ...status, ...change }
    const next: ProjectionStatus = { ...merged, head: Math.max(merged.head, merged.position), behind: Math.max(0, Math.max(merged.head, merged.position) - merged.position) }
    if ((Object.keys(next) as (keyof ProjectionStatus)[]).every((key) => Object.is(next[key], status[key]))) return
    status = next
    for (const listener of [...listeners]) listener()
  }
  let measured = { at: clock.monotonic(), position: -1 }
  const observe: Observer = (change) => {
    const { phase, position, head, leader, error } = change
    if (position !== undefined) {
      const now = clock.monotonic()
      if (measured.position < 0 || now - measured.at > 3_000) measured = { at: now, position: position < 0 ? 0 : measured.position < 0 ? position : status.position }
    }
    const span = (clock.monotonic() - measured.at) / 1000
    set({
      ...(phase === undefined ? {} : { phase }), ...(position === undefined ? {} : { position }), ...(head === undefined ? {} : { head }),
      ...(leader === undefined ? {} : { leader }), ...(error === undefined ? (phase === 'live' ? { lastError: undefined } : {}) : { lastError: error }),
      ...(position === undefined || span < 0.05 ? (phase === 'live' ? { rate: 0 } : {}) : { rate: Math.max(0, Math.round((position - measured.position) / span)) }),
    })
  }
  let attached: Awaited<ReturnType<typeof attach<E>>> | undefined
  const ready = attach(definition as unknown as ProjectionDefinition<E, Tables>, store)
  ready.catch(() => {})
  const refresh = async () => {
    if (attached === undefined || stopping.signal.aborted) return
    try {
      const [state, head] = await Promise.all([attached.database.state(), store.head()])
      set({ position: state.position, head, owner: state.owner, deadLetters: state.letters, ...(state.paused ? { phase: 'paused' as const } : status.phase === 'paused' ? { phase: 'live' as const } : {}) })
    } catch {
      // Closing, or a storage failure that the run itself reports.
    }
  }
  const cleanUp: (() => void)[] = [() => config.signal?.removeEventListener('abort', stop)]
  const run = (async () => {
    try {
      attached = await ready
      const { key } = attached
      cleanUp.push(attached.signals.listen((hint) => {
        if (hint.kind === 'head') set({ head: Math.max(hint.head, status.head) })
        else if (hint.projection === key) void refresh()
      }))
      const poll = setInterval(() => void refresh(), slowPoll)
      cleanUp.push(() => clearInterval(poll))
      await refresh()
      await driveTarget(attached.target, attached.backend, { ...config, signal: stopping.signal } as ProjectionConfig<never>, { mode: 'continuous', owner: owner(), observe })
      set({ phase: stopping.signal.aborted ? 'stopped' : 'live', leader: false })
    } catch (error) {
      set(stopping.signal.aborted ? { phase: 'stopped', leader: false } : { phase: 'faulted', lastError: error, leader: false })
    }
  })()
  const change = async (paused: boolean) => {
    const { database, signals, key } = await ready
    await database.change({ paused })
    set({ phase: paused ? 'paused' : 'live' })
    signals.post({ kind: 'control', projection: key })
  }

  // `Symbol.asyncDispose` is added below, where the engine has it.
  const methods: Omit<ProjectionHandle, typeof Symbol.asyncDispose> = {
    status: {
      getSnapshot: () => status,
      subscribe(listener) {
        const own = () => listener()
        listeners.add(own)
        return () => void listeners.delete(own)
      },
    },
    async caughtUp(position, options = {}) {
      wholeNumber(position, 'position')
      options.signal?.throwIfAborted()
      const { database } = await ready
      const stored = await database.state()
      set({ position: stored.position })
      if (stored.position >= position) return { position: stored.position, head: Math.max(status.head, stored.position), stale: false }
      return new Promise((resolve, reject) => {
        const finish = (settle: () => void) => {
          unsubscribe()
          cancel?.()
          options.signal?.removeEventListener('abort', aborted)
          settle()
        }
        const look = () => {
          if (status.position >= position) return finish(() => resolve({ position: status.position, head: status.head, stale: false }))
          if (status.phase === 'faulted') return finish(() => reject(status.lastError))
          if (status.phase === 'paused') return finish(() => reject(new ProjectionError(`Projection '${definition.name}' is paused at ${status.position}. Call resume().`, { projector: definition.name, attempts: 0, position: status.position }, undefined)))
          if (status.phase === 'stopped') finish(() => reject(new ClosedError(`Projection '${definition.name}'`)))
        }
        const aborted = () => finish(() => reject(options.signal?.reason))
        const unsubscribe = methods.status.subscribe(look)
        const cancel = options.timeout === undefined ? undefined : clock.schedule(options.timeout, () =>
          finish(() => options.onTimeout === 'stale'
            ? resolve({ position: status.position, head: status.head, stale: true })
            : reject(new CaughtUpTimeoutError(position, status.position, status.head, options.timeout as number))))
        options.signal?.addEventListener('abort', aborted, { once: true })
        look()
      })
    },
    pause: () => change(true),
    resume: () => change(false),
    async *deadLetters() {
      const { database, signals, key } = await ready
      const done = async (tables: readonly string[]) => {
        const { position } = await database.state()
        signals.post({ kind: 'committed', projection: key, position, tables })
      }
      for (const letter of await database.letters()) {
        yield {
          ...letter,
          async retry() {
            const page = await store.readEvents({}, { after: letter.position - 1, limit: 1 })
            const event = page.events[0] as RecordedEvent<E> | undefined
            if (event === undefined || event.position !== letter.position) throw new InvalidArgumentError('letter', 'names an event that is not in the log.')
            await done(await replayLetter(definition as unknown as ProjectionDefinition<E>, database, event))
          },
          async discard() {
            await database.discardLetter(letter.position)
            await done([])
          },
        }
      }
    },
    async rebuild() {
      const { database, signals, key } = await ready
      await database.restart()
      signals.post({ kind: 'committed', projection: key, position: 0, tables: Object.keys(definition.tables) })
      // The leader's next step finds another epoch, drops what it remembers and begins anew.
      signals.post({ kind: 'control', projection: key })
    },
    async stop() {
      stopping.abort(new DOMException('The projection was stopped', 'AbortError'))
      await run
      for (const undo of cleanUp.splice(0)) undo()
      set({ phase: 'stopped', leader: false })
      attached?.database.close()
    },
  }
  const handle = methods as ProjectionHandle
  if (typeof Symbol.asyncDispose === 'symbol') Object.defineProperty(handle, Symbol.asyncDispose, { value: () => handle.stop() })
  return handle
}

