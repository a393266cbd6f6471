/** Runs the command of a commit once more, on what is confirmed and on what is pending before it. */
import type { Command } from '../commands/command.js'
import { commandPipeline, type CommandEffect, type CommandReply } from '../commands/pipeline.js'
import { hasCode, messageOf } from '../errors.js'
import type { EventShape, RecordedEvent } from '../events/event.js'
import { createId } from '../events/identifier.js'
import type { StreamWrite } from '../log/event-store.js'
import { prepareAppend, type PrepareContext } from '../log/prepare.js'
import type { PreparedAppend } from '../log/prepared-append.js'
import { readWrites } from '../log/read-writes.js'
import { wallTime } from '../platform/clock.js'
import { commandRetry } from '../platform/backoff.js'
import { maxEntries } from '../wire/protocol.js'
import { newest } from './decide-own.js'
import { underPending, type PendingStream } from './outbox-index.js'
import { CodecFailure, commandAgain, type CommandFunctions } from './define-commands.js'
import { assertFits, assertRowFits } from './limits.js'
import type { DecisionReply } from './sync-effects.js'
import type { OutboxRow } from './sync-state.js'

export interface Deciding {
  readonly commands: CommandFunctions
  readonly context: PrepareContext
  /** A stream as it was when the row was decided. */
  stream(name: string): AsyncIterable<readonly RecordedEvent[]>
  /** The pending events of a stream before it. */
  pending(stream: string): PendingStream | undefined
}

/** @throws what reading a stream fails with; all that the command does wrong is a refusal */
export async function decideAgain(row: OutboxRow, deciding: Deciding): Promise<DecisionReply> {
  if (row.command === undefined) return { kind: 'unknown' }
  const { context } = deciding
  const reading: { error?: unknown } = {}
  try {
    const command = await commandAgain(row.command, deciding.commands, context.codec)
    if (command === undefined) return { kind: 'unknown' }
    const ends = new Map<string, string>()
    const decision = await decided(command as unknown as Command<EventShape, unknown>, deciding, ends, reading)
    if ('reason' in decision) return { kind: 'refused', code: 'command-refused', message: textOf(decision.reason) }
    const { expected, events } = await eventsOf(decision.writes, guarded(context, reading))
    if (events.length === 0) return { kind: 'nothing' }
    // What a command has read, it expects at that version.
    const expect = [...decision.last].map(
      ([stream, id = null]) => [stream, id, expected.get(stream) as number] as const,
    )
    const loose = newest(
      expect.flatMap(([stream]) => underPending(deciding.pending(stream), ends.get(stream))),
      maxEntries,
    )
    const { requires: _before, ...rest } = row
    const next = { ...rest, events, expect, ...(loose.length > 0 && { requires: loose }) }
    return { kind: 'decided', row: assertRowFits(next) }
  } catch (error) {
    if ('error' in reading) throw reading.error
    if (error instanceof CodecFailure) throw error.cause
    return { kind: 'refused', code: 'command-failed', message: messageOf(error) }
  }
}

type Decided = { readonly reason: unknown } | Pick<CommandEffect<EventShape> & { kind: 'append' }, 'writes' | 'last'>

async function decided(
  command: Command<EventShape, unknown>,
  { stream, context: { catalogue } }: Deciding,
  ends: Map<string, string>,
  reading: { error?: unknown },
): Promise<Decided> {
  const pipeline = commandPipeline(command, { retry: commandRetry, random: () => 0, types: catalogue.types })
  const resumed = (reply: CommandReply<EventShape>) => {
    try {
      return pipeline.next(reply)
    } catch (error) {
      // What the pipeline says of an event: the command did nothing wrong (N37, N110).
      if (hasCode(error, 'log-inconsistent', 'event-unreadable')) reading.error = error
      throw error
    }
  }
  let step = pipeline.next()
  while (!step.done) {
    const effect = step.value
    if (effect.kind === 'append') return effect
    if (effect.kind === 'read-stream') {
      const pages = stream(effect.stream)[Symbol.asyncIterator]()
      for (;;) {
        const page = await pages.next().catch((error: unknown) => {
          reading.error = error
          throw error
        })
        if (page.done === true) break
        for (const event of page.value) {
          if (event.pending !== true) ends.set(effect.stream, event.id)
          step = resumed({ kind: 'event', event })
        }
      }
    }
    step = resumed({ kind: 'end' })
  }
  return { reason: (step.value as { reason?: unknown }).reason }
}

/** Its events, under new ids: those of the version that was refused stay refused. */
async function eventsOf(
  writes: readonly StreamWrite[],
  context: PrepareContext,
): Promise<Pick<PreparedAppend, 'events' | 'expected'>> {
  const time = wallTime(context.clock)
  const { given, expected } = readWrites(writes)
  // Before they are encoded: a codec may bind what it encrypts to the id.
  const renamed = given.map((event) => ({ ...event, id: createId(time) }))
  const preparing = await prepareAppend({ given: renamed, expected }, {}, context)
  const prepared = 'late' in preparing ? await preparing.late(() => false) : preparing
  const events = prepared.events.map((event) => ({ ...event, idGiven: false }))
  if (events.length > 0) assertFits({ ...prepared, events })
  return { events, expected }
}

/** The same, with a codec whose failures are kept: they are not the fault of the command. */
const guarded = ({ codec, ...context }: PrepareContext, failed: { error?: unknown }): PrepareContext => ({
  ...context,
  codec: codec && {
    decode: codec.decode,
    async encode(data, event) {
      try {
        return await codec.encode(data, event)
      } catch (error) {
        failed.error = error
        throw error
      }
    },
  },
})

const textOf = (reason: unknown): string => {
  if (typeof reason === 'string') return reason
  try {
    return JSON.stringify(reason) ?? String(reason)
  } catch {
    return String(reason)
  }
}
