/**
 * The steps of executing a command, as data: a generator that yields effects and is resumed with their results. It
 * performs no I/O and never waits, so every order of events can be tested step by step.
 */
import {
  EventUnreadableError,
  hasCode,
  LogInconsistentError,
  InvalidArgumentError,
  InvalidEventError,
  InvalidNameError,
  TooManyStreamsError,
  type CommandRefusedError,
  type VersionConflictError,
  CommandConflictError,
} from '../errors.js'
import { say } from '../messages.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { freshCopy } from '../events/fresh-copy.js'
import { isPlainPrototype } from '../events/json.js'
import { streamName } from '../events/names.js'
import type { AppendResult, StreamWrite } from '../log/event-store.js'
import { onlyKnown } from '../platform/arguments.js'
import { pauseBefore, type RetryPolicy } from '../platform/backoff.js'
import { isRefusedPromise } from '../platform/promises.js'
import type { Command, CommandEvent, CommandResult, Decision, ReasonOf, Refusal } from './command.js'
import { createWriteBatch, declareStreams } from './write-batch.js'
import { isObject } from '../platform/objects.js'

/** A command is about to start again. */
export interface CommandRetry {
  /** The number of the retry, from 1. */
  readonly attempt: number
  /** The pause before it, in ms. */
  readonly delay: number
  /** The streams that the failed attempt read. */
  readonly streams: readonly string[]
  /** Why the attempt failed. */
  readonly conflict: VersionConflictError
}

/** What the pipeline asks for. */
export type CommandEffect<E extends EventShape> =
  /** Open the stream. Resume with its first event, or `end`. */
  | { readonly kind: 'read-stream'; readonly stream: string }
  /** Resume with the next event of the same stream, or `end`. */
  | { readonly kind: 'next-event'; readonly stream: string }
  /** Append. Resume with `appended` or `conflict`. */
  | {
      readonly kind: 'append'
      readonly writes: readonly StreamWrite<E>[]
      /** The id of the last event of each stream that was read. */
      readonly last: ReadonlyMap<string, string | undefined>
    }
  /** Call `onRetry`. Resume with `done`. */
  | { readonly kind: 'report'; readonly retry: CommandRetry }
  /** Resume with `done` after `ms`. */
  | { readonly kind: 'sleep'; readonly ms: number }

/** The result of an effect. A failure other than a conflict is thrown into the pipeline, or ends it. */
export type CommandReply<E extends EventShape> =
  | { readonly kind: 'event'; readonly event: RecordedEvent<E> }
  | { readonly kind: 'end' }
  | { readonly kind: 'appended'; readonly result: AppendResult }
  | { readonly kind: 'conflict'; readonly error: VersionConflictError }
  | { readonly kind: 'done' }

/** A command that is being executed. */
export type CommandPipeline<E extends EventShape, T> = Generator<CommandEffect<E>, T, CommandReply<E>>

/** Everything that the pipeline's decisions depend on, in addition to the results of effects. */
export interface PipelineOptions {
  /** All types that this build knows; absent if any type may come. */
  readonly types?: ReadonlySet<string> | undefined
  readonly retry: RetryPolicy
  /** A random number in [0, 1), for the jitter of the pauses. */
  readonly random: () => number
}

/** How many streams `discover` may add to those that a command declares. */
const maxDiscovered = 1_000

/** A command from start to end: attempts until one is accepted or refused, or until the retries are used up. */
export function* commandPipeline<E extends EventShape, S, D extends Decision<E>>(
  command: Command<E, S, D>,
  { retry, random, types }: PipelineOptions,
): CommandPipeline<E, CommandResult<E, ReasonOf<D>>> {
  for (let attempts = 1; ; attempts += 1) {
    const { state, versions, last } = yield* readStreams(command, types)
    const decision: readonly CommandEvent<E>[] | Refusal = decide(command, state)
    if (!isEvents(decision)) return { type: 'refused', reason: decision.reason as ReasonOf<D>, attempts }
    const batch = createWriteBatch<E>()
    for (const [stream, version] of versions) batch.participate(stream, version)
    for (const event of decision) batch.add(event)
    const reply = yield { kind: 'append', writes: batch.writes(), last }
    if (reply.kind === 'appended') {
      // `commit`: of a store that syncs.
      const { position, versions, commit } = reply.result as AppendResult & { readonly commit?: object }
      return { type: 'accepted', position, versions, attempts, events: decision, ...(commit && { commit }) }
    }
    if (reply.kind !== 'conflict') throw unexpected(reply)
    const streams = [...versions.keys()]
    if (attempts > retry.maxRetries) throw new CommandConflictError(reply.error, attempts, streams, command.name)
    const delay = pauseBefore(attempts - 1, retry, random())
    yield { kind: 'report', retry: { attempt: attempts, delay, streams, conflict: reply.error } }
    yield { kind: 'sleep', ms: delay }
  }
}

/** Reads the declared and the discovered streams, each once, from its start. */
function* readStreams<E extends EventShape, S>(
  command: Command<E, S>,
  types: PipelineOptions['types'],
): CommandPipeline<
  E,
  { state: S; versions: ReadonlyMap<string, number>; last: ReadonlyMap<string, string | undefined> }
> {
  if (!isObject(command)) throw new InvalidArgumentError('command', say`must be { streams, initial, evolve, decide }.`)
  // An instance of a class may have further properties.
  if (isPlainPrototype(Object.getPrototypeOf(command)))
    onlyKnown(command, ['name', 'streams', 'initial', 'evolve', 'discover', 'decide'], 'command')
  const { initial, evolve, decide } = command
  if (command.discover !== undefined && typeof command.discover !== 'function')
    throw new InvalidArgumentError('discover', say`must be a function.`)
  if (typeof evolve !== 'function' || typeof decide !== 'function')
    throw new InvalidArgumentError('command', say`must be { streams, initial, evolve, decide }.`)
  const versions = new Map<string, number>()
  const last = new Map<string, string | undefined>()
  // A set serves as the queue: it is iterated in the order of insertion, including what is added during the iteration.
  const queue = new Set(declareStreams(command.streams))
  const most = queue.size + maxDiscovered
  let state = awaited('initial', typeof initial === 'function' ? (initial as () => S)() : freshCopy(initial))
  for (const stream of queue) {
    let version = 0
    let id: string | undefined
    let reply = yield { kind: 'read-stream', stream }
    for (; reply.kind === 'event'; reply = yield { kind: 'next-event', stream }) {
      const { event } = reply
      // (N110) What it says may be what the decision depends on.
      if (types !== undefined && !types.has(event.type))
        throw new EventUnreadableError(
          event.position,
          say`its type '${event.type}' is not in the catalogue, and a command must not decide over what it does not know. A newer build wrote it: reload the page. If this build dropped the type, keep its definition.`,
          undefined,
          true,
        )
      version += 1
      // A missing event would make the decision wrong, and the number of events would not be a version (N37).
      if (event.version !== version) {
        throw new LogInconsistentError(
          event.position,
          say`Stream '${stream}' has version ${event.version} where ${version} should be, at position ${event.position}.`,
        )
      }
      id = event.id
      state = awaited('evolve', command.evolve(state, event))
    }
    if (reply.kind !== 'end') throw unexpected(reply)
    versions.set(stream, version)
    last.set(stream, id)
    if (command.discover === undefined) continue
    const found: unknown = awaited('discover', command.discover(state))
    if (!Array.isArray(found)) throw new InvalidArgumentError('discover', say`must return a list of stream names.`)
    found.forEach(isRefusedPromise)
    for (const name of found) {
      queue.add(streamName(name))
      if (queue.size > most) throw new TooManyStreamsError(maxDiscovered, command.name)
    }
  }
  return { state, versions, last }
}

/** Checks what a function of the command returned. Commands are synchronous: a promise would be treated as a state. */
function awaited<T>(what: string, value: T): T {
  if (!isRefusedPromise(value)) return value
  throw new InvalidArgumentError(
    what,
    say`must not return a promise. Await what the command needs before it is executed.`,
  )
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
    throw new InvalidArgumentError('decide', say`must return a list of events or refuse(reason).`)
  }
  // Checks all of them, since several may be promises. Holes in the list count.
  const wrong = Array.from<unknown, boolean>(decision, (event) => !isObject(event) || isRefusedPromise(event)).indexOf(
    true,
  )
  if (wrong >= 0)
    throw new InvalidEventError(
      `decide[${wrong}]`,
      say`must be { stream, type, data }: \`decide\` returns a list of events.`,
    )
  const homeless = decision.findIndex(({ stream }) => typeof stream !== 'string')
  if (homeless >= 0)
    throw new InvalidNameError(
      say`The stream of decide[${homeless}],`,
      decision[homeless]?.stream,
      say`must be the name of a stream that the command reads: \`decide\` returns [{ stream, type, data }].`,
    )
  return decision
}

function isEvents<E extends EventShape>(
  decision: readonly CommandEvent<E>[] | Refusal,
): decision is readonly CommandEvent<E>[] {
  return Array.isArray(decision)
}

function unexpected(reply: { readonly kind: string }): Error {
  return new InvalidArgumentError('reply', say`of kind '${reply.kind}' is not a result of this effect.`)
}
