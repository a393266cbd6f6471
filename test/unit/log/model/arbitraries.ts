/** How fast-check makes commands: every form of everything, what is interesting more often. */
import fc from 'fast-check'
import type { EventFilter, ExpectedVersion } from 'tidemark'
import { hints, lose, reopen, together, type LogCommand } from './commands.js'
import type { Fault } from '../inject-faults.js'
import type { AppendPlan, IdChoice, Plan } from './operations.js'

const on = fc.constantFrom(0 as const, 1 as const)
const stream = fc.constantFrom('s', 't', '__proto__')
const type = fc.constantFrom('A', 'B')
const place = fc.integer({ min: 1, max: 9 })

const filter: fc.Arbitrary<EventFilter> = fc.oneof(
  fc.constant({}),
  fc.subarray(['A', 'B', 'constructor']).map((types) => ({ types })),
  fc.constantFrom('s', '__', 'x', '').map((streamPrefix) => ({ streamPrefix })),
  fc.constantFrom('*t', '*_').map((streamPattern) => ({ streamPattern, types: ['A'] })),
)

const id: fc.Arbitrary<IdChoice> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<IdChoice>('made', 'past', 'future', 'opaque') },
  { weight: 1, arbitrary: fc.record({ known: fc.nat(40) }) },
)

/** Mostly few; now and then so many that a commit takes several records. */
const events = fc.oneof(
  { weight: 20, arbitrary: fc.array(fc.record({ type, id }), { maxLength: 3 }) },
  {
    weight: 1,
    arbitrary: fc
      .record({ type, id: fc.constantFrom<IdChoice>('made', 'past', 'future') })
      .map((event) => Array.from({ length: 300 }, () => event)),
  },
)

const append: fc.Arbitrary<AppendPlan> = fc.record({
  does: fc.constant('append' as const),
  on,
  writes: fc.array(
    fc.record({
      stream,
      expects: fc.constantFrom<ExpectedVersion>('any', 'any', 'any', 'no-stream', 'stream-exists', 0, 0, 0, -1, 1),
      events,
    }),
    { minLength: 1, maxLength: 3 },
  ),
  condition: fc.option(fc.record({ filter, after: fc.integer({ min: -4, max: 1 }) }), { nil: undefined, freq: 4 }),
})

/** What a busy app does most: appends that need no look at the log. */
const calmAppend: fc.Arbitrary<AppendPlan> = fc.record({
  does: fc.constant('append' as const),
  on,
  writes: fc.uniqueArray(
    fc.record({
      stream,
      expects: fc.constantFrom<ExpectedVersion>('any', 0),
      events: fc.array(fc.record({ type, id: fc.constantFrom<IdChoice>('made', 'made', 'future') }), {
        minLength: 1,
        maxLength: 2,
      }),
    }),
    { minLength: 1, maxLength: 2, selector: (write) => write.stream },
  ),
  condition: fc.constant(undefined),
})

const atomic: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 6, arbitrary: append },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant('repeat' as const),
      on,
      back: fc.nat(3),
      part: fc.constantFrom('whole' as const, 'whole' as const, 'first' as const, 'last' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant('page' as const),
      on,
      filter,
      after: fc.nat(40),
      limit: fc.constantFrom(0, 1, 2, 7, 256, 1000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('head' as const), on }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('version' as const), on, stream }) },
)

const walk: fc.Arbitrary<Plan> = fc.oneof(
  fc.record({
    does: fc.constant('stream' as const),
    on,
    stream,
    after: fc.nat(4),
    limit: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  }),
  fc.record({ does: fc.constant('all' as const), on, filter, after: fc.nat(20) }),
)

const error = fc.constantFrom('UnknownError', 'QuotaExceededError', 'AbortError', 'DataError')

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: fc.constant('request fails' as const), at: place, error }),
  fc.record({
    kind: fc.constant('call throws' as const),
    at: place,
    error: fc.constantFrom('TransactionInactiveError', 'UnknownError', 'InvalidStateError'),
  }),
  fc.record({
    kind: fc.constant('abort instead of commit' as const),
    at: fc.integer({ min: 1, max: 3 }),
    error: fc.option(fc.constantFrom('QuotaExceededError', 'UnknownError', 'TimeoutError'), { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('commit reported as abort' as const), at: fc.integer({ min: 1, max: 3 }) }),
  fc.constant<Fault>({ kind: 'commit unheard' }),
  fc.record({
    kind: fc.constant('no transaction' as const),
    times: fc.integer({ min: 1, max: 4 }),
    error: fc.constantFrom('InvalidStateError', 'UnknownError'),
  }),
  fc.record({
    kind: fc.constant('handles dead' as const),
    error: fc.constantFrom('InvalidStateError', 'UnknownError'),
  }),
  fc.record({ kind: fc.constant('connection closed' as const), at: place }),
  fc.record({
    kind: fc.constant('open fails' as const),
    times: fc.integer({ min: 1, max: 3 }),
    error: fc.constantFrom('UnknownError', 'QuotaExceededError'),
  }),
  fc.record({ kind: fc.constant('reads empty' as const), at: place }),
)
const gone: fc.Arbitrary<Fault> = fc.record({
  kind: fc.constant('database gone' as const),
  at: place,
  replaced: fc.boolean(),
})

const faults = fc.array(fc.oneof({ weight: 20, arbitrary: fault }, { weight: 1, arbitrary: gone }), {
  minLength: 1,
  maxLength: 3,
})

const several = fc.array(atomic, { minLength: 1, maxLength: 3 })

/** As often as not without any fault, so that there is something to disturb. */
export const anyCommand: fc.Arbitrary<LogCommand> = fc.oneof(
  { weight: 10, arbitrary: calmAppend.map((plan) => together([plan], [], 0)) },
  { weight: 4, arbitrary: append.map((plan) => together([plan], [], 0)) },
  { weight: 4, arbitrary: several.map((plans) => together(plans, [], 0)) },
  { weight: 3, arbitrary: walk.map((plan) => together([plan], [], 0)) },
  {
    weight: 8,
    arbitrary: fc
      .tuple(fc.oneof({ weight: 4, arbitrary: calmAppend }, atomic, walk), faults, on)
      .map(([plan, armed, retryOn]) => together([plan], armed, retryOn)),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(several, faults, on).map(([plans, armed, retryOn]) => together(plans, armed, retryOn)),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(on, fc.array(fault, { maxLength: 2 })).map(([which, armed]) => reopen(which, armed)),
  },
  { weight: 1, arbitrary: fc.boolean().map(hints) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(
        'deleted' as const,
        'cleared' as const,
        'replaced' as const,
        'cleared, and opened anew by one' as const,
      )
      .map(lose),
  },
)
