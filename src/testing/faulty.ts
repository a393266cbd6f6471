/** A backend that fails on purpose: at random or by a script, before or after it did what it was asked for. */
import { InvalidArgumentError, StorageFailedError, VersionConflictError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { EventReader, EventStore, ReadAllOptions, StreamAppendOptions, StreamWrite } from '../log/event-store.js'
import { EventIterator } from '../log/iterate.js'
import { readPages, type ReadPage } from '../log/pages.js'
import { onlyKnown } from '../platform/arguments.js'
import type { CheckpointStore, Coordinator, Guard } from '../ports.js'
import { seededRandom, seedFor } from './random.js'

/** What each call does, for messages. */
const purposes = {
  readPage: 'read events',
  readStream: 'read stream',
  append: 'append events',
  load: 'load checkpoint',
  save: 'save checkpoint',
  tryAcquire: 'acquire leadership',
  acquire: 'acquire leadership',
} as const

/** The calls that can fail. `read` fails with the `readPage` that it makes. */
export type FaultyCall = keyof typeof purposes

/** `'before'`: nothing was done. `'after'`: it was done, and the call fails all the same. */
export type FaultSide = 'before' | 'after'

/** Failures at exact calls. */
export interface ScriptedFault {
  readonly call: FaultyCall
  /** Which calls, counted from 1 for each kind of call. */
  readonly at: number | readonly number[]
  /** @default 'before' */
  readonly side?: FaultSide
  /** What is thrown. @default a `StorageFailedError`; for writes with the `outcome` that a caller could know */
  readonly error?: unknown
}

/** Which calls of a store `faulty` lets fail: at random, by a list, or both. */
export interface FaultOptions {
  /**
   * The same seed fails the same calls, whatever runs in between.
   * @default a new one each time; `faults.seed` and every message name it
   */
  readonly seed?: number
  /**
   * How likely a call fails, from 0 to 1. A number alone is for 'before'. `conflict` is for appends that expect a
   * version.
   * @default 0
   */
  readonly probabilities?: { readonly [C in FaultyCall]?: number | { readonly [S in FaultSide]?: number } } & {
    readonly conflict?: number
  }
  /** In addition to random ones. @default none */
  readonly failures?: readonly ScriptedFault[]
  /** How many of the first appends that expect a version meet a conflict. @default 0 */
  readonly conflicts?: number
}

/** What a faulty backend did. */
export interface Faults {
  readonly seed: number
  /** Every failure so far, in order. */
  readonly injected: readonly {
    readonly call: FaultyCall
    readonly at: number
    readonly kind: FaultSide | 'conflict'
  }[]
  /** From here on nothing fails. */
  stop(): void
}

/** The ports of a backend; it may have some of them. */
type Ports<E extends EventShape> = Partial<
  EventReader<E> & Pick<EventStore<E>, 'append' | 'readStream' | 'read' | 'follow'> & CheckpointStore & Coordinator
>

type Call = (...args: never[]) => unknown

/** The parts of a store, and of what `runProjection` takes, whose calls can fail. */
const partNames = ['reader', 'checkpoints', 'coordinator']

/**
 * The same backend with faults on its way. What it is not asked to disturb passes through; the backend itself is not
 * changed.
 *
 * Read models (`defineProjection`) commit past these ports: of such a projection, reading and leadership can be
 * disturbed.
 *
 * @example
 * const store = faulty(await openEventStore({ name: 'test' }), { failures: [{ call: 'append', at: 2, side: 'after' }] })
 *
 * @throws InvalidArgumentError for a probability outside 0 to 1, an unknown call, and a fault that can never happen
 */
export function faulty<S extends object>(backend: S, options: FaultOptions = {}): S & { readonly faults: Faults } {
  onlyKnown(options, ['seed', 'probabilities', 'failures', 'conflicts'])
  const { seed, conflicts } = checkedNumbers(options)
  const likely = checkedProbabilities(options.probabilities ?? {})
  const scripted = checkedScript(options.failures ?? [])
  const injected: { call: FaultyCall; at: number; kind: FaultSide | 'conflict' }[] = []
  const counts = new Map<FaultyCall, number>()
  let stopped = false
  let conflictsLeft = conflicts

  const happens = (probability: number, what: string) =>
    probability > 0 && seededRandom(seedFor(seed, what))() < probability
  const failAt = (call: FaultyCall, at: number, side: FaultSide, subject: string) => {
    if (stopped) return
    const script = scripted.get(`${call} ${at} ${side}`)
    if (script === undefined && !happens(likely(call, side), `${call} ${at} ${side}`)) return
    injected.push({ call, at, kind: side })
    if (script?.error !== undefined) throw script.error
    const writes = call === 'append' || call === 'save'
    throw new StorageFailedError(
      `Injected: failed to ${purposes[call]}${subject} (call ${at}, ${side} it was done; seed ${seed}).`,
      writes ? { outcome: side === 'before' ? 'not-written' : 'unknown' } : {},
    )
  }
  const conflictAt = (at: number, writes: readonly Omit<StreamWrite, 'events'>[]) => {
    const write = writes.find(({ expectedVersion = 'any' }) => expectedVersion !== 'any')
    if (stopped || write === undefined) return
    if (conflictsLeft > 0) conflictsLeft -= 1
    else if (!happens(likely('conflict', 'before'), `conflict ${at}`)) return
    injected.push({ call: 'append', at, kind: 'conflict' })
    const { stream, expectedVersion: expected = 'any' } = write
    throw new VersionConflictError({
      stream,
      expected,
      actual: typeof expected === 'number' ? expected + 1 : expected === 'no-stream' ? 1 : 0,
    })
  }
  const next = (call: FaultyCall) => {
    const at = (counts.get(call) ?? 0) + 1
    counts.set(call, at)
    return at
  }

  const around =
    (
      target: Ports<EventShape>,
      call: Exclude<FaultyCall, 'readStream'>,
      first?: (at: number, ...args: never[]) => void,
      undo?: (answer: never) => void,
    ) =>
    async (...args: never[]) => {
      const at = next(call)
      const subject = typeof args[0] === 'string' ? ` '${args[0] as string}'` : ''
      first?.(at, ...args)
      failAt(call, at, 'before', subject)
      const answer = await (target[call] as Call).apply(target, args)
      try {
        failAt(call, at, 'after', subject)
      } catch (error) {
        undo?.(answer as never)
        throw error
      }
      return answer
    }
  // The caller of a call that failed has no guard to release, so a name that was granted must not stay taken for ever.
  const giveBack = (guard: Guard | undefined | null) => guard?.release()
  const disturbed = (target: Ports<EventShape>, more: { readonly [name: string]: unknown } = {}): object => {
    const parts = partNames.flatMap((name) => {
      const part = (target as Record<string, unknown>)[name]
      return typeof part === 'object' && part !== null ? [[name, disturbed(part)]] : []
    })
    return exchanged(target, { ...wrappersOf(target), ...Object.fromEntries(parts), ...more })
  }
  const looped = (call: FaultyCall, subject: string, loop: () => AsyncIterable<unknown> | undefined) => {
    const at = next(call)
    return between((side) => failAt(call, at, side, subject), loop)
  }
  const wrappersOf = (target: Ports<EventShape>): { readonly [name: string]: Call } => ({
    readPage: around(target, 'readPage'),
    append: around(target, 'append', (at, ...given: readonly unknown[]) => conflictAt(at, expectationsOf(given))),
    load: around(target, 'load'),
    save: around(target, 'save'),
    tryAcquire: around(target, 'tryAcquire', undefined, giveBack),
    acquire: around(target, 'acquire', undefined, giveBack),
    readStream: (stream: string, ...rest: never[]) =>
      looped('readStream', ` '${stream}'`, () => target.readStream?.(stream, ...rest)),
    read: (...[given]: [ReadAllOptions?]) =>
      given?.direction === 'backwards'
        ? looped('readPage', '', () => target.read?.(given))
        : new EventIterator(readPages(around(target, 'readPage') as unknown as ReadPage, given), given?.signal),
    follow: (...given: never[]) => looped('readPage', '', () => target.follow?.(...given)),
  })
  const faults: Faults = { seed, injected, stop: () => void (stopped = true) }
  return disturbed(backend, { faults }) as S & { readonly faults: Faults }
}

/** A loop that may fail before its first step, and after its last one. */
async function* between<T>(fail: (side: FaultSide) => void, loop: () => AsyncIterable<T> | undefined) {
  fail('before')
  yield* loop() ?? []
  fail('after')
}

/** What an append expects of its streams, in either form of its arguments. */
function expectationsOf([first, , options]: readonly unknown[]): readonly Omit<StreamWrite, 'events'>[] {
  if (typeof first === 'string') return [{ stream: first, ...(options as StreamAppendOptions | undefined) }]
  return Array.isArray(first) ? first : [first as StreamWrite]
}

/**
 * The same object with some properties exchanged, also if it is an instance of a class with private fields, or frozen.
 */
function exchanged(original: object, others: { readonly [name: string]: unknown }): object {
  const bound = new Map<PropertyKey, unknown>()
  const get = (name: PropertyKey) => {
    const value: unknown = Reflect.get(original, name, original)
    if (typeof name === 'string' && Object.hasOwn(others, name) && (value !== undefined || name === 'faults'))
      return others[name]
    if (typeof value !== 'function') return value
    if (!bound.has(name)) bound.set(name, value.bind(original))
    return bound.get(name)
  }
  // Of a target without properties of its own a proxy may say anything.
  return new Proxy(Object.create(original) as object, {
    get: (_target, name) => get(name),
    ownKeys: () => Reflect.ownKeys(original),
    getOwnPropertyDescriptor(_target, name) {
      const own = Reflect.getOwnPropertyDescriptor(original, name)
      return own && { value: get(name), enumerable: own.enumerable ?? false, configurable: true, writable: true }
    },
  })
}

function checkedNumbers({ seed = Math.floor(Math.random() * 2 ** 32), conflicts = 0 }: FaultOptions) {
  if (!Number.isSafeInteger(seed)) throw new InvalidArgumentError('seed', 'must be a whole number.')
  if (!Number.isSafeInteger(conflicts) || conflicts < 0)
    throw new InvalidArgumentError('conflicts', 'must be a whole number of at least 0.')
  return { seed, conflicts }
}

function checkedProbabilities(
  given: NonNullable<FaultOptions['probabilities']>,
): (what: FaultyCall | 'conflict', side: FaultSide) => number {
  const table = new Map<string, number>()
  const add = (name: string, side: FaultSide, value: number, path: string) => {
    // Written so that NaN is refused too.
    if (typeof value !== 'number' || !(value >= 0 && value <= 1))
      throw new InvalidArgumentError(path, 'must be a number from 0 to 1.')
    table.set(`${name} ${side}`, value)
  }
  for (const [name, value] of Object.entries(given)) {
    const path = `probabilities.${name}`
    if (name !== 'conflict' && !Object.hasOwn(purposes, name))
      throw new InvalidArgumentError(
        path,
        `is no call. There are ${[...Object.keys(purposes), 'conflict'].join(', ')}.`,
      )
    if (typeof value === 'object' && value !== null && name !== 'conflict') {
      onlyKnown(value, ['before', 'after'], path)
      for (const side of ['before', 'after'] as const) add(name, side, value[side] ?? 0, `${path}.${side}`)
    } else if (value !== undefined) add(name, 'before', value as number, path)
  }
  return (what, side) => table.get(`${what} ${side}`) ?? 0
}

function checkedScript(failures: readonly ScriptedFault[]): ReadonlyMap<string, ScriptedFault> {
  const table = new Map<string, ScriptedFault>()
  for (const [index, fault] of failures.entries()) {
    onlyKnown(fault, ['call', 'at', 'side', 'error'], `failures[${index}]`)
    const { call, at, side = 'before' } = fault
    if (!Object.hasOwn(purposes, call))
      throw new InvalidArgumentError(`failures[${index}].call`, `must be one of ${Object.keys(purposes).join(', ')}.`)
    if (side !== 'before' && side !== 'after')
      throw new InvalidArgumentError(`failures[${index}].side`, "must be 'before' or 'after'.")
    const places = typeof at === 'number' ? [at] : at
    if (places.length === 0 || places.some((place) => !Number.isSafeInteger(place) || place < 1)) {
      throw new InvalidArgumentError(
        `failures[${index}].at`,
        'must be the number of a call, from 1, or a list of them.',
      )
    }
    for (const place of places) table.set(`${call} ${place} ${side}`, fault)
  }
  return table
}
