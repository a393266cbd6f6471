import { VersionConflictError } from '../../../src/errors.js'
import type { EventShape, RecordedEvent } from '../../../src/events/event.js'
import type { CommandStore } from '../../../src/commands/execute.js'
import type { StreamWrite } from '../../../src/log/event-store.js'
import type { Clock } from '../../../src/platform/clock.js'

export type BankEvent =
  | { type: 'Deposited'; data: { amount: number } }
  | { type: 'Withdrawn'; data: { amount: number } }
  | { type: 'PaymentLinked'; data: { stream: string } }

/** An array with the rules that commands need, a count of calls, and hooks to disturb them. */
export function fakeStore() {
  const log: RecordedEvent<BankEvent>[] = []
  const reads: string[] = []
  const appends: (readonly StreamWrite<BankEvent>[])[] = []
  const versionOf = (stream: string) => log.filter((event) => event.stream === stream).length
  const store: CommandStore<BankEvent> = {
    async *readStream(stream) {
      reads.push(stream)
      await fake.beforeRead(stream)
      yield* log.filter((event) => event.stream === stream)
    },
    async append(writes) {
      const list = (Array.isArray(writes) ? writes : [writes]) as readonly StreamWrite<BankEvent>[]
      appends.push(list)
      await fake.beforeAppend(appends.length)
      for (const { stream, expectedVersion } of list) {
        const actual = versionOf(stream)
        if (expectedVersion !== actual)
          throw new VersionConflictError({ stream, expected: expectedVersion ?? 'any', actual })
      }
      for (const { stream, events } of list) fake.put(stream, ...events)
      const versions = Object.fromEntries(list.map(({ stream }) => [stream, versionOf(stream)]))
      return { position: log.length, firstPosition: log.length, versions, duplicate: false }
    },
  }
  const fake = {
    store,
    log,
    reads,
    appends,
    versionOf,
    beforeRead: async (_stream: string) => {},
    beforeAppend: async (_call: number) => {},
    put(stream: string, ...events: readonly EventShape[]) {
      for (const event of events) {
        const position = log.length + 1
        log.push({
          ...event,
          stream,
          version: versionOf(stream) + 1,
          position,
          id: `id-${position}`,
          time: 0,
        } as RecordedEvent<BankEvent>)
      }
    },
    of: (stream: string) => log.filter((event) => event.stream === stream).map(({ type, data }) => ({ type, data })),
    /** The first so many appends meet a conflict. */
    conflicts(times: number) {
      fake.beforeAppend = async (call) => {
        if (call <= times) throw new VersionConflictError({ stream: 'a', expected: 0, actual: 1 })
      }
    },
  }
  return fake
}

export const deposited = (amount: number) => ({ type: 'Deposited', data: { amount } }) as const
export const withdrawn = (amount: number) => ({ type: 'Withdrawn', data: { amount } }) as const

/** Fires at once, and notes what it was asked to wait. */
export function instantClock(random = 0.5) {
  const waits: number[] = []
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    random: () => random,
    schedule(ms, callback) {
      waits.push(ms)
      queueMicrotask(callback)
      return () => {}
    },
  }
  return { clock, waits }
}
