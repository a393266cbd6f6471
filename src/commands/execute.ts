/** Executes a command against a store: performs the effects of the pipeline. */
import { hasCode, InvalidArgumentError, type VersionConflictError } from '../errors.js'
import { say } from '../messages.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import type { Literal, Literals } from '../events/literals.js'
import { decidedOn } from '../log/decided-on.js'
import type { AppendOptions, AppendResult, ReadStreamOptions, StreamWrite } from '../log/event-store.js'
import { internalsOf } from '../log/open.js'
import { assertSignal, onlyKnown } from '../platform/arguments.js'
import { commandRetry, retryPolicy, type RetryOptions } from '../platform/backoff.js'
import { sleep, systemClock, type Clock } from '../platform/clock.js'
import type { Command, CommandResult, Decision, FitsCommand, ReasonOf } from './command.js'
import { commandPipeline, type CommandRetry } from './pipeline.js'

/** What a command needs from a store. */
export interface CommandStore<E extends EventShape = EventShape> {
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<RecordedEvent<E>>
  append(writes: readonly StreamWrite<E>[], options?: AppendOptions<E>): Promise<AppendResult>
}

/** Options of `execute`. */
export interface ExecuteOptions {
  /** Retries after a conflict. @default { maxRetries: 4, delay: 10, multiplier: 2, maxDelay: 5000, jitter: 0.2 } */
  readonly retry?: RetryOptions
  /** Called before each retry. If it throws, `execute` rejects with that and nothing was written. */
  readonly onRetry?: (retry: CommandRetry) => void
  /** Stops reading and waiting. An append that was handed to the storage settles by what really happened. */
  readonly signal?: AbortSignal | undefined
  /** @default the store's */
  readonly durability?: AppendOptions['durability']
  /** For tests. @default the clock of this context */
  readonly clock?: Clock
}

/**
 * Reads the command's streams, lets it decide, and appends its events if no other append changed one of these streams
 * meanwhile; otherwise starts again. Every attempt reads the streams from their start: there are no snapshots yet.
 *
 * @throws CommandConflictError if the last retry met a conflict too
 * @throws UndeclaredStreamError if an event is for a stream that was not read
 * @throws TooManyStreamsError if `discover` names more than 1,000 streams
 * @throws InvalidArgumentError if a function of the command returns a promise or a wrong value, and for an unknown
 * option
 * @throws InvalidEventError if a decided event cannot be stored
 * @throws EventUnreadableError for an event that cannot be read, and, with `newer`, for one of a type for which the
 * store's catalogue, which has definitions, has none: nothing is decided over what this build does not know
 * @throws everything else that the store or the command's own functions throw, without a retry
 */
export async function execute<
  E extends EventShape,
  S,
  const D extends Decision<E>,
  L extends Literal = Literal,
  Next extends S & Literals<L> = S & Literals<L>,
>(
  store: CommandStore<E>,
  command: Command<E, S, D, Next>,
  options?: ExecuteOptions,
): Promise<CommandResult<E, ReasonOf<D>>>
/** The same, for a command that is typed by its own events: see `FitsCommand`. */
export async function execute<E extends EventShape, S, const D extends Decision<Own>, Own extends EventShape = E>(
  store: CommandStore<E>,
  command: Command<Own, S, D> & FitsCommand<E, Own, D>,
  options?: ExecuteOptions,
): Promise<CommandResult<Own, ReasonOf<D>>>
export async function execute<E extends EventShape, S>(
  store: CommandStore<E>,
  command: Command<E, S, Decision<E>, S>,
  options: ExecuteOptions = {},
): Promise<CommandResult<E, never>> {
  const tap = internalsOf(store)?.tap
  const work = () => run(store, command, options)
  if (tap === undefined) return work()
  return tap.around(
    work,
    (result) => {
      const { type: outcome, attempts } = result
      return { type: 'executed', outcome, attempts, events: result.type === 'accepted' ? result.events.length : 0 }
    },
    (error) => ({ type: 'executed', outcome: 'failed', error }),
  )
}

async function run<E extends EventShape, S>(
  store: CommandStore<E>,
  command: Command<E, S, Decision<E>, S>,
  options: ExecuteOptions,
): Promise<CommandResult<E, never>> {
  onlyKnown(options, ['retry', 'onRetry', 'signal', 'durability', 'clock'])
  const { signal, onRetry, durability, clock = systemClock } = options
  assertSignal(signal)
  if (onRetry !== undefined && typeof onRetry !== 'function')
    throw new InvalidArgumentError('onRetry', say`must be a function.`)
  const reading = signal === undefined ? {} : { signal }
  const appending = durability === undefined ? reading : { ...reading, durability }
  const pipeline = commandPipeline(command as Command<E, S>, {
    retry: retryPolicy(options.retry, commandRetry),
    random: () => clock.random(),
    types: internalsOf(store)?.types,
  })
  let step = pipeline.next()
  while (!step.done) {
    signal?.throwIfAborted()
    const effect = step.value
    switch (effect.kind) {
      case 'read-stream':
        for await (const event of store.readStream(effect.stream, reading)) {
          signal?.throwIfAborted()
          step = pipeline.next({ kind: 'event', event })
        }
        step = pipeline.next({ kind: 'end' })
        break
      case 'append': {
        const given = { ...appending }
        decidedOn.set(given, { command, last: effect.last })
        step = pipeline.next(
          await store.append(effect.writes, given).then(
            (result) => ({ kind: 'appended', result }) as const,
            (error: unknown) => {
              if (hasCode(error, 'version-conflict'))
                return { kind: 'conflict', error: error as VersionConflictError } as const
              throw error
            },
          ),
        )
        break
      }
      case 'report':
        onRetry?.(effect.retry)
        step = pipeline.next({ kind: 'done' })
        break
      case 'sleep':
        await sleep(clock, effect.ms, signal)
        signal?.throwIfAborted()
        step = pipeline.next({ kind: 'done' })
        break
      case 'next-event':
        // The loop over the stream handles this effect; one that reaches this line is a bug in the pipeline.
        throw new Error(say`An event was asked for outside of a stream.`)
      default:
        throw effect satisfies never
    }
  }
  return step.value as CommandResult<E, never>
}
