/**
 * What executing a command does, as data: a generator that yields effects and is answered with what came of them. It
 * waits for nothing and touches nothing, so every order of events can be tested step by step (X14–X18).
 */
import {
  hasCode,
  LogInconsistentError,
  InvalidArgumentError,
  InvalidEventError,
  TooManyStreamsError,
  type CommandRefusedError,
  type VersionConflictError,
} from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { freshCopy } from '../events/fresh-copy.js'
import { isPlainPrototype } from '../events/json.js'
import { streamName } from '../events/names.js'
import type { AppendResult, StreamWrite } from '../log/event-store.js'
import { onlyKnown } from '../platform/arguments.js'
import { pauseBefore, type RetryPolicy } from '../platform/backoff.js'
import { isRefusedPromise } from '../platform/promises.js'
import type { Command, CommandEvent, CommandResult, Decision, ReasonOf, Refusal } from './command.js'
import { CommandConflictError } from './conflict.js'
import { createWriteBatch, declareStreams } from './write-batch.js'

/** A command is about to start again. */
export interface CommandRetry {
  /** The retry's number, from 1. */
  readonly attempt: number
  /** The pause before it, in ms. */
  readonly delay: number
  /** What the attempt that failed had read. */
  readonly streams: readonly string[]
  /** Why it failed. */
  readonly conflict: VersionConflictError
}

/** What the pipeline wants done. */
export type CommandEffect<E extends EventShape> =
  /** Open the stream. Answer with its first event, or `end`. */
  | { readonly kind: 'read-stream'; readonly stream: string }
  /** Answer with the next event of the same stream, or `end`. */
  | { readonly kind: 'next-event'; readonly stream: string }
  /** Answer with `appended` or `conflict`. */
  | { readonly kind: 'append'; readonly writes: readonly StreamWrite<E>[] }
  /** Tell whoever wants to know. Answer with `done`. */
  | { readonly kind: 'report'; readonly retry: CommandRetry }
  /** Answer with `done` after so many ms. */
  | { readonly kind: 'sleep'; readonly ms: number }

/** What came of an effect. A failure other than a conflict is thrown into the pipeline, or ends it. */
export type CommandReply<E extends EventShape> =
  | { readonly kind: 'event'; readonly event: RecordedEvent<E> }
  | { readonly kind: 'end' }
  | { readonly kind: 'appended'; readonly result: AppendResult }
  | { readonly kind: 'conflict'; readonly error: VersionConflictError }
  | { readonly kind: 'done' }

/** A command under way. */
export type CommandPipeline<E extends EventShape, T> = Generator<CommandEffect<E>, T, CommandReply<E>>

/** Everything that the pipeline decides by, besides what it is answered. */
export interface PipelineOptions {
  readonly retry: RetryPolicy
  /** A number in [0, 1), for the spread of the pauses. */
  readonly random: () => number
}

/** How many streams `discover` may add to those that a command declares. */
export const maxDiscovered = 1_000

/** The whole life of a command: attempts until one is accepted or refused, or until the retries are used up. */
export function* commandPipeline<E extends EventShape, S, D extends Decision<E>>(
  command: Command<E, S, D>,
  { retry, random }: PipelineOptions,
): CommandPipeline<E, CommandResult<E, ReasonOf<D>>> {
  for (let attempts = 1; ; attempts += 1) {
    const { state, versions } = yield* readStreams(command)
    const decision: readonly CommandEvent<E>[] | Refusal = decide(command, state)
    if (!isEvents(decision)) return { type: 'refused', reason: decision.reason as ReasonOf<D>, attempts }
    const batch = createWriteBatch<E>()
    for (const [stream, version] of versions) batch.participate(stream, version)
    for (const event of decision) batch.add(event)
    const reply = yield { kind: 'append', writes: batch.writes() }
    if (reply.kind === 'appended') {
      const { position, versions } = reply.result
      return { type: 'accepted', position, versions, attempts, events: decision }
    }
    if (reply.kind !== 'conflict') throw unexpected(reply)
    const streams = [...versions.keys()]
    if (attempts > retry.maxRetries) throw new CommandConflictError(reply.error, attempts, streams, command.name)
    const delay = pauseBefore(attempts - 1, retry, random())
    yield { kind: 'report', retry: { attempt: attempts, delay, streams, conflict: reply.error } }
    yield { kind: 'sleep', ms: delay }
  }
}

/** Reads what was declared and what is discovered on the way, each stream once, from its start (C2). */
function* readStreams<E extends EventShape, S>(
  command: Command<E, S>,
): CommandPipeline<E, { state: S; versions: ReadonlyMap<string, number> }> {
  if (typeof command !== 'object' || command === null)
    throw new InvalidArgumentError('command', 'must be { streams, initial, evolve, decide }.')
  // An instance of a class may hold what it likes.
  if (isPlainPrototype(Object.getPrototypeOf(command)))
    onlyKnown(command, ['name', 'streams', 'initial', 'evolve', 'discover', 'decide'], 'command')
  const { initial, evolve, decide } = command
  if (command.discover !== undefined && typeof command.discover !== 'function')
    throw new InvalidArgumentError('discover', 'must be a function.')
  if (typeof evolve !== 'function' || typeof decide !== 'function')
    throw new InvalidArgumentError('command', 'must be { streams, initial, evolve, decide }.')
  const versions = new Map<string, number>()
  // A set is a queue too: it is walked in the order of insertion, also over what is added during the walk.
  const queue = new Set(declareStreams(command.streams))
  const most = queue.size + maxDiscovered
  let state = awaited('initial', typeof initial === 'function' ? (initial as () => S)() : freshCopy(initial))
  for (const stream of queue) {
    let version = 0
    let reply = yield { kind: 'read-stream', stream }
    for (; reply.kind === 'event'; reply = yield { kind: 'next-event', stream }) {
      const { event } = reply
      version += 1
      // A missing event would be a wrong decision, and a number of events that is no version (N37).
      if (event.version !== version) {
        throw new LogInconsistentError(
          event.position,
          `Stream '${stream}' has version ${event.version} where ${version} should be, at position ${event.position}.`,
        )
      }
      state = awaited('evolve', command.evolve(state, event))
    }
    if (reply.kind !== 'end') throw unexpected(reply)
    versions.set(stream, version)
    if (command.discover === undefined) continue
    const found: unknown = awaited('discover', command.discover(state))
    if (!Array.isArray(found)) throw new InvalidArgumentError('discover', 'must return a list of stream names.')
    found.forEach(isRefusedPromise)
    for (const name of found) {
      queue.add(streamName(name))
      if (queue.size > most) throw new TooManyStreamsError(maxDiscovered, command.name)
    }
  }
  return { state, versions }
}

/** What a function of the command returned. Commands are pure and never wait: a promise would be taken for a state. */
function awaited<T>(what: string, value: T): T {
  if (!isRefusedPromise(value)) return value
  throw new InvalidArgumentError(what, 'must not return a promise. Await what the command needs before it is executed.')
}

function decide<E extends EventShape, S>(command: Command<E, S>, state: S): readonly CommandEvent<E>[] | Refusal {
  let decision: readonly CommandEvent<E>[] | Refusal
  try {
    decision = awaited('decide', command.decide(state)) as readonly CommandEvent<E>[] | Refusal
  } catch (error) {
    // From `ensure`. Everything else that `decide` throws is a bug of the app, not a refusal.
    if (hasCode(error, 'command-refused') && error.name === 'CommandRefusedError')
      return { type: 'refused', reason: (error as CommandRefusedError).reason }
    throw error
  }
  if (!isEvents(decision)) {
    if ((decision as Refusal | null | undefined)?.type === 'refused') return decision
    throw new InvalidArgumentError('decide', 'must return a list of events or refuse(reason).')
  }
  // All of them, since several may be promises. Holes count.
  const wrong = Array.from<unknown, boolean>(
    decision,
    (event) => typeof event !== 'object' || event === null || isRefusedPromise(event),
  ).indexOf(true)
  if (wrong >= 0)
    throw new InvalidEventError(
      `decide[${wrong}]`,
      'must be { stream, type, data }: `decide` returns a list of events.',
    )
  return decision
}

function isEvents<E extends EventShape>(
  decision: readonly CommandEvent<E>[] | Refusal,
): decision is readonly CommandEvent<E>[] {
  return Array.isArray(decision)
}

function unexpected(reply: { readonly kind: string }): Error {
  return new InvalidArgumentError('reply', `of kind '${reply.kind}' does not answer this effect.`)
}
