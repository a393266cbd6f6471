// Laws of the pipeline, stepped through by hand against streams in a map, with other writers in between.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { refuse, type Command, type CommandEvent, type CommandResult } from '../../../src/commands/command.js'
import { CommandConflictError } from '../../../src/errors.js'
import { commandPipeline, type CommandReply } from '../../../src/commands/pipeline.js'
import { commandRetry } from '../../../src/platform/backoff.js'
import { VersionConflictError } from '../../../src/errors.js'
import type { RecordedEvent } from '../../../src/events/event.js'
import type { StreamWrite } from '../../../src/log/event-store.js'

/** An event that may lead to another stream. */
interface Found {
  readonly type: 'Found'
  readonly data: { readonly stream: string | undefined }
}
type Log = Map<string, Found[]>

const names = ['s0', 's1', 's2', 's3', 's4']
const stream = fc.constantFrom(...names)
const found: fc.Arbitrary<Found> = fc
  .option(stream, { nil: undefined })
  .map((leadsTo) => ({ type: 'Found', data: { stream: leadsTo } }))

const story = fc.record({
  history: fc.array(fc.tuple(stream, found), { maxLength: 8 }),
  declared: fc.uniqueArray(stream, { minLength: 1, maxLength: 3 }),
  /** What others append to the streams that were read, before the first append, the second and so on. */
  interference: fc.array(fc.tuple(fc.nat(4), found), { maxLength: 7 }),
  maxRetries: fc.nat(4),
  /** Which of the streams that were read get an event; `undefined` refuses. */
  decision: fc.option(fc.array(fc.nat(4), { maxLength: 4 }), { nil: undefined, freq: 6 }),
  chance: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
})

const of = (log: Log, name: string) => log.get(name) ?? []
const add = (log: Log, name: string, event: Found) => log.set(name, [...of(log, name), event])

/** The streams that must be read, in order: the declared ones, and at the end of the line those that are found on the way. */
function readingOrder(log: Log, declared: readonly string[]): string[] {
  const queue = [...declared]
  for (const name of queue) {
    for (const { data } of of(log, name))
      if (data.stream !== undefined && !queue.includes(data.stream)) queue.push(data.stream)
  }
  return queue
}

interface Attempt {
  readonly reads: string[]
  readonly expectedReads: string[]
  writes?: readonly StreamWrite<Found>[]
  readonly versions: Map<string, number>
}

/** Performs the effects of a command on the log. */
function perform(
  log: Log,
  { declared, interference, maxRetries, decision, chance }: typeof story extends fc.Arbitrary<infer S> ? S : never,
) {
  const command: Command<Found, { seen: string[]; leads: string[] }> = {
    streams: declared,
    initial: () => ({ seen: [], leads: [] }),
    evolve: (state, event) => {
      if (!state.seen.includes(event.stream)) state.seen.push(event.stream)
      if (event.data.stream !== undefined) state.leads.push(event.data.stream)
      return state
    },
    discover: ({ leads }) => leads,
    decide: () => {
      if (decision === undefined) return refuse('no')
      const { reads } = attempts.at(-1) as Attempt
      return decision.map((index): CommandEvent<Found> => ({
        stream: reads[index % reads.length] as string,
        type: 'Found',
        data: { stream: undefined },
      }))
    },
  }
  const attempts: Attempt[] = []
  const sleeps: number[] = []
  const reports: number[] = []
  const pipeline = commandPipeline(command, { retry: { ...commandRetry, maxRetries }, random: () => chance })
  let pending: RecordedEvent<Found>[] = []
  let step = pipeline.next()
  let starting = true
  for (let steps = 0; !step.done; steps += 1) {
    if (steps > 10_000) throw new Error('The pipeline does not end')
    const effect = step.value
    let reply: CommandReply<Found>
    if (effect.kind === 'read-stream') {
      if (starting)
        attempts.push({
          reads: [],
          expectedReads: readingOrder(log, declared),
          versions: new Map(names.map((name) => [name, of(log, name).length])),
        })
      starting = false
      attempts.at(-1)?.reads.push(effect.stream)
      pending = of(log, effect.stream).map((event, index) => ({
        ...event,
        stream: effect.stream,
        version: index + 1,
        position: 1,
        id: '',
        time: 0,
      }))
    }
    if (effect.kind === 'read-stream' || effect.kind === 'next-event') {
      const event = pending.shift()
      reply = event === undefined ? { kind: 'end' } : { kind: 'event', event }
    } else if (effect.kind === 'append') {
      const attempt = attempts.at(-1) as Attempt
      attempt.writes = effect.writes
      const other = interference[attempts.length - 1]
      if (other !== undefined) add(log, attempt.reads[other[0] % attempt.reads.length] as string, other[1])
      const conflict = effect.writes.find(({ stream, expectedVersion }) => of(log, stream).length !== expectedVersion)
      if (conflict !== undefined) {
        starting = true
        reply = {
          kind: 'conflict',
          error: new VersionConflictError({
            stream: conflict.stream,
            expected: conflict.expectedVersion ?? 'any',
            actual: of(log, conflict.stream).length,
          }),
        }
      } else {
        for (const { stream, events } of effect.writes) for (const event of events) add(log, stream, event)
        reply = { kind: 'appended', result: { position: 1, firstPosition: 1, versions: {}, duplicate: false } }
      }
    } else {
      if (effect.kind === 'report') reports.push(effect.retry.attempt)
      else sleeps.push(effect.ms)
      reply = { kind: 'done' }
    }
    try {
      step = pipeline.next(reply)
    } catch (error) {
      return { attempts, sleeps, reports, error }
    }
  }
  return { attempts, sleeps, reports, result: step.value as CommandResult<Found, string> }
}

test('C2–C6: whatever others append in between, each attempt reads every stream once, checks every stream it read, and is carried out once or not at all', () => {
  fc.assert(
    fc.property(story, (told) => {
      const log: Log = new Map()
      for (const [name, event] of told.history) add(log, name, event)
      const before = [...log.values()].flat().length
      const { attempts, sleeps, reports, result, error } = perform(log, told)

      for (const { reads, expectedReads, writes, versions } of attempts) {
        expect(reads).toEqual(expectedReads)
        if (writes === undefined) continue
        const checked = new Map(writes.map(({ stream, expectedVersion }) => [stream, expectedVersion]))
        expect(checked).toEqual(new Map(reads.map((name) => [name, versions.get(name)])))
      }

      const refused = told.decision === undefined
      const conflicts = Math.min(told.interference.length, told.maxRetries + 1)
      const outlived = !refused && told.interference.length > told.maxRetries
      const added = [...log.values()].flat().length - before
      if (refused) {
        expect(result).toEqual({ type: 'refused', reason: 'no', attempts: 1 })
        expect(added).toBe(0)
      } else if (outlived) {
        expect(error).toBeInstanceOf(CommandConflictError)
        expect(error).toMatchObject({ attempts: told.maxRetries + 1, outcome: 'not-written' })
        expect(added).toBe(conflicts)
      } else {
        expect(result).toMatchObject({ type: 'accepted', attempts: conflicts + 1 })
        expect(added).toBe(conflicts + (told.decision?.length ?? 0))
      }

      const retries = refused ? 0 : Math.min(told.interference.length, told.maxRetries)
      expect(reports).toEqual(Array.from({ length: retries }, (_, index) => index + 1))
      const spread = 0.8 + 0.4 * told.chance
      expect(sleeps).toHaveLength(retries)
      sleeps.forEach((ms, index) => expect(Math.abs(ms - 10 * 2 ** index * spread)).toBeLessThanOrEqual(1))
    }),
    { numRuns: 500 },
  )
})
