import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { EventUnreadableError, InvalidArgumentError, InvalidEventError, InvalidNameError } from '../../../src/errors.js'
import { anyEvents } from '../../../src/events/catalogue-core.js'
import { catalogueCore, defineEvents } from '../../../src/events/catalogue.js'
import type { EventCatalogue } from '../../../src/events/catalogue-types.js'
import type { EventDefinitions } from '../../../src/events/definition.js'
import type { StandardSchema } from '../../../src/events/schema.js'
import { isUuidV7 } from '../../../src/events/identifier.js'
import { typed } from '../../../src/events/typed.js'

const isId = expect.toSatisfy(isUuidV7) as string

const objectNames = Object.getOwnPropertyNames(Object.prototype)

const flights = () =>
  defineEvents({
    FlightScheduled: {
      schema: z.object({ origin: z.string(), stops: z.array(z.object({ at: z.string() })).default([]) }),
    },
    FlightLanded: {
      schema: z.object({ delay: z.number() }),
      version: 3,
      upcast: { 1: (data) => ({ late: data.minutesLate }), 2: (data) => ({ delay: data.late }) },
    },
  })

/** Returns later, and tidies: makes a number positive. */
const later: StandardSchema<number, number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: async (value) =>
      typeof value === 'number'
        ? { value: Math.abs(value) }
        : { issues: [{ message: 'no number', path: [{ key: 'n' }] }] },
  },
}

describe('creators', () => {
  test('make an event with a UUIDv7, ready to append', () => {
    const event = flights().FlightLanded({ delay: 12 })
    expect(event).toEqual({ type: 'FlightLanded', data: { delay: 12 }, id: expect.toSatisfy(isUuidV7) })
  })

  test('take an id and meta', () => {
    expect(flights().FlightLanded({ delay: 1 }, { id: 'a', meta: { user: 'x' } })).toEqual({
      type: 'FlightLanded',
      data: { delay: 1 },
      id: 'a',
      meta: { user: 'x' },
    })
    for (const id of ['', 'a'.repeat(256), 7 as never])
      expect(() => flights().FlightLanded({ delay: 1 }, { id })).toThrow(InvalidEventError)
  })

  test('validate at once, with the path and the issues', () => {
    const error = failure(() => flights().FlightScheduled({ origin: 'OSL', stops: [{ at: 7 as never }] }))
    expect(error).toMatchObject({
      path: 'data.stops[0].at',
      issues: [expect.objectContaining({ path: ['stops', 0, 'at'] })],
    })
    expect(error.message).toMatch(/^data\.stops\[0\]\.at does not fit its schema: /)
  })

  test('H47: refuse at once what JSON would lose, in data and meta', () => {
    const events = defineEvents<{ type: 'A'; data: unknown }>()
    expect(failure(() => events.A({ when: new Date() })).path).toBe('data.when')
    expect(failure(() => events.A({}, { meta: { when: new Date() } })).path).toBe('meta.when')
  })

  test('refuse an asynchronous schema, and say what to do instead', async () => {
    const events = defineEvents({ A: { schema: later } })
    expect(failure(() => events.A(1)).message).toMatch(/asynchronous.*Append \{ type: 'A', data \} instead/)
    // Its rejection must not come up as unhandled, which would fail this run.
    expect(() => events.A('x' as never)).toThrow(InvalidEventError)
    await new Promise((resolve) => setTimeout(resolve))
  })

  test('an error that the schema throws is the cause', () => {
    const cause = new Error('mine')
    const schema = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: () => {
          throw cause
        },
      },
    } as const
    expect(failure(() => defineEvents({ A: { schema } }).A({})).cause).toBe(cause)
  })

  test('types only: any name is a creator, the same one each time, and the catalogue is no promise', async () => {
    const events = defineEvents<{ type: 'A' | 'B'; data: number }>()
    expect(events.A(1)).toMatchObject({ type: 'A', data: 1 })
    expect(events.A).toBe(events.A)
    expect(await events).toBe(events)
    expect('then' in events).toBe(false)
    expect(() => {
      ;(events as unknown as Record<string, unknown>)['A'] = 1
    }).toThrow(TypeError)
    expect(() => (events as unknown as Record<string, unknown>)['']).toThrow(InvalidNameError)
  })

  test('a schema catalogue with a type called then is no promise either', async () => {
    const events = defineEvents({ then: {}, A: {} })
    expect(await events).toBe(events)
    expect(Object.keys(events)).toEqual(['A'])
    expect(catalogueCore(events).types).toEqual(new Set(['then', 'A']))
  })
})

describe('H48: names of Object.prototype are event types like others', () => {
  test.for(objectNames)('%s', (name) => {
    const upcast = vi.fn((data: unknown) => data)
    const definitions = { [name]: { version: 2, upcast: { 1: upcast } } } satisfies EventDefinitions
    const open = defineEvents() as unknown as Record<string, (data: unknown) => object>
    const closed = defineEvents(definitions)
    const core = catalogueCore(closed)
    expect(open[name]?.(1)).toMatchObject({ type: name, data: 1 })
    expect((closed as unknown as typeof open)[name]?.(1)).toMatchObject({ type: name, data: 1 })
    expect(core.schemaVersion(name)).toBe(2)
    expect(core.restore(name, 1, 5, 1)).toBe(5)
    expect(upcast).toHaveBeenCalledOnce()
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  test.for(objectNames)('%s is unknown to a catalogue that does not name it', (name) => {
    const events = flights()
    expect((events as unknown as Record<string, unknown>)[name]).toBeUndefined()
    expect(failure(() => catalogueCore(events).validate(name, {}, 'events[1]')).path).toBe('events[1].type')
    expect(catalogueCore(events).schemaVersion(name)).toBe(1)
  })

  test('__proto__ written as a literal key is refused instead of lost', () => {
    expect(() => defineEvents({ __proto__: { A: {} } } as never)).toThrow(InvalidArgumentError)
  })
})

describe('definitions', () => {
  test.for([0, -1, 1.5, Number.NaN, '2', null])('version %s is refused', (version) => {
    expect(() => defineEvents({ A: { version: version as number } })).toThrow(/events\.A\.version must be 1, 2, 3/)
  })

  test.for([
    ['no upcasters', { version: 2 }],
    ['the first missing', { version: 3, upcast: { 2: () => 1 } }],
    ['the last missing', { version: 3, upcast: { 1: () => 1 } }],
    ['no function', { version: 2, upcast: { 1: 'x' } }],
    ['an inherited one', { version: 2, upcast: Object.create({ 1: () => 1 }) }],
    ['one from the present version', { version: 1, upcast: { 1: () => 1 } }],
    ['one from 0', { version: 2, upcast: { 0: () => 1, 1: () => 1 } }],
    ['a version of 2^53 - 1', { version: Number.MAX_SAFE_INTEGER }],
    ['a schema that is none', { schema: { parse: () => 1 } }],
    ['no object', 7],
  ] as const)('refused: %s', ([, definition]) => {
    expect(() => defineEvents({ A: definition as never })).toThrow(InvalidArgumentError)
  })

  test('a type that is no name is refused', () => {
    expect(() => defineEvents({ '': {} })).toThrow(InvalidNameError)
  })

  test('schemas may be functions, as those of arktype', () => {
    const schema = Object.assign(() => 1, {
      '~standard': { version: 1 as const, vendor: 'test', validate: () => ({ value: 'from the schema' }) },
    })
    expect(defineEvents({ A: { schema } }).A('x')).toMatchObject({ data: 'from the schema' })
  })

  test('a schema that is only for the compiler checks nothing and marks nothing, and its type is known', () => {
    const events = defineEvents({ Noted: { schema: typed<{ text: string }>() }, Free: {} })
    const core = catalogueCore(events)
    for (const data of [{ text: 'a' }, 7, null, [{ else: true }]]) {
      expect(events.Noted(data as { text: string })).toStrictEqual({ ...events.Free(data), type: 'Noted', id: isId })
      expect(core.validate('Noted', data, '')).toBe(data)
    }
    expect(core.types).toEqual(new Set(['Noted', 'Free']))
    expect(typed()['~standard'].validate(7)).toEqual({ value: 7 })
  })

  test('changing the definition later changes nothing', () => {
    const definition = { version: 2, upcast: { 1: () => 'first' } }
    const core = catalogueCore(defineEvents({ A: definition }))
    definition.upcast[1] = () => 'second'
    definition.version = 9
    expect(core.restore('A', 1, {}, 1)).toBe('first')
    expect(core.schemaVersion('A')).toBe(2)
  })
})

describe('the core', () => {
  test('belongs to catalogues only', () => {
    for (const other of [{}, undefined, 'x', null])
      expect(() => catalogueCore(other as unknown as EventCatalogue)).toThrow(InvalidArgumentError)
    expect(catalogueCore(defineEvents())).toBe(anyEvents)
  })

  test('validates, and answers what the schema answers', () => {
    const core = catalogueCore(flights())
    expect(core.validate('FlightScheduled', { origin: 'OSL', extra: 1 }, 'events[0]')).toEqual({
      origin: 'OSL',
      stops: [],
    })
    expect(failure(() => core.validate('FlightLanded', { delay: 'x' }, 'events[4]')).path).toBe('events[4].data.delay')
    expect(failure(() => core.validate('Lost', {}, 'events[0]')).message).toMatch(
      /^events\[0\]\.type is 'Lost', which the catalogue does not have/,
    )
    expect(anyEvents.validate('Lost', 1, '')).toBe(1)
  })

  test('asynchronous schemas answer a promise', async () => {
    const core = catalogueCore(defineEvents({ A: { schema: later } }))
    const answer = core.validate('A', -2, 'events[0]')
    expect(answer).toBeInstanceOf(Promise)
    expect(await answer).toBe(2)
    await expect(core.validate('A', 'x', 'events[0]')).rejects.toMatchObject({
      name: 'InvalidEventError',
      path: 'events[0].data.n',
    })
    // The promise of another library.
    const foreign = { then: (resolve: (result: object) => void) => resolve({ value: 3 }) }
    const other = catalogueCore(
      defineEvents({
        A: { schema: { '~standard': { version: 1, vendor: 'test', validate: () => foreign as never } } },
      }),
    )
    expect(await other.validate('A', 3, '')).toBe(3)
  })

  test('an event of a creator whose schema changes its output is stored as it is, unless its data was changed since', () => {
    const events = defineEvents({ A: { schema: z.object({ n: z.string().transform(Number) }) } })
    const core = catalogueCore(events)
    const event = events.A({ n: '7' })
    expect(event).toEqual({
      type: 'A',
      data: { n: 7 },
      id: expect.any(String),
      checked: expect.stringMatching(/^1:\w+-\w+$/),
    })
    expect(core.validate('A', event.data, 'events[0]', event.checked)).toBe(event.data)
    event.data.n = 8
    expect(failure(() => core.validate('A', event.data, 'events[0]', event.checked))).toMatchObject({
      path: 'events[0].data',
      message: expect.stringContaining('Make the event again with events.A(…).'),
    })
    for (const other of ['', '1', true, null])
      expect(() => core.validate('A', { n: 7 }, '', other)).toThrow(InvalidEventError)
  })

  test('the mark of a creator is the same in every build, and differs by type, version and data', () => {
    const schema = z.number().transform((euro) => euro * 100)
    const { Paid, Lent } = defineEvents({ Paid: { schema }, Lent: { schema } })
    // Written out: events that an app kept must be accepted by the next build.
    expect(Paid(12).checked).toBe('1:11n9z90-j44mkb')
    const marks = [
      Paid(12),
      Paid(21),
      Paid(1.2),
      Lent(12),
      defineEvents({ Paid: { schema, version: 2, upcast: { 1: (data) => data } } }).Paid(12),
    ].map(({ checked }) => checked)
    expect(new Set(marks).size).toBe(5)
  })

  test('a schema that leaves its output as it is marks nothing, whatever it made of its input', () => {
    const { Tidy } = defineEvents({ Tidy: { schema: z.object({ b: z.string().trim(), a: z.number().default(1) }) } })
    for (const input of [{ a: 2, b: 'x' }, { b: ' x ' }, { b: 'x', a: 1, more: true } as { b: string }]) {
      expect(Object.keys(Tidy(input))).toEqual(['type', 'data', 'id'])
    }
  })

  test.for<[string, (value: never) => unknown]>([
    [
      'throws for it',
      (value) => {
        if (typeof value === 'number') throw new Error('not twice')
        return { value: 1 }
      },
    ],
    ['refuses it', (value) => (typeof value === 'number' ? { issues: [] } : { value: 1 })],
    ['returns what is no JSON for it', (value) => ({ value: typeof value === 'number' ? Number.NaN : 1 })],
    ['returns later for it', (value) => (typeof value === 'number' ? Promise.reject(new Error('late')) : { value: 1 })],
  ])('a schema does not keep its output if it %s', async ([, validate]) => {
    const events = defineEvents({
      A: { schema: { '~standard': { version: 1, vendor: 'test', validate } } as StandardSchema },
    })
    const event = events.A('x')
    expect(event).toMatchObject({ data: 1, checked: expect.any(String) })
    expect(catalogueCore(events).validate('A', 1, '', event.checked)).toBe(1)
    await expect((async () => catalogueCore(events).validate('A', 'x', ''))()).rejects.toThrow(/changes its own output/)
  })

  test('a plain event has data as it is stored: what the schema would change again is refused, with what to do', async () => {
    const types = {
      Paid: { schema: z.number().transform((euro) => euro * 100) },
      'Was paid': { schema: z.string().transform(Number) },
      Popped: { schema: z.array(z.number()).transform((list) => list.slice(0, -1)) },
      Later: { schema: z.number().transform(async (euro) => euro * 100) },
    }
    const core = catalogueCore(defineEvents(types))
    expect(failure(() => core.validate('Paid', 12, 'events[0]')).message).toMatch(
      /^events\[0\]\.data .*changes its own output\. Make the event with events\.Paid\(…\)\. See /,
    )
    expect(failure(() => core.validate('Was paid', '12', 'events[0]')).message).toContain(
      'Make the event with events["Was paid"](…).',
    )
    expect(failure(() => core.validate('Was paid', 12, 'events[0]'))).toMatchObject({
      path: 'events[0].data',
      issues: [expect.objectContaining({ code: 'invalid_type' })],
      message: expect.stringContaining('make the event with events["Was paid"](…)'),
    })
    // No creator can make this one.
    await expect(core.validate('Later', 12, 'events[0]')).rejects.toMatchObject({
      code: 'invalid-event',
      path: 'events[0].data',
      message: expect.stringContaining('An asynchronous schema must not'),
    })
    expect(core.validate('Paid', 0, '')).toBe(0)
    // What is left is the same as before, and it is less each time.
    expect(failure(() => core.validate('Popped', [1, 2, 3], '')).message).toContain('changes its own output')
    expect(core.validate('Popped', [], '')).toEqual([])
  })

  test('what a schema returns and JSON does not have is refused with its path, also where it is a copy of the input', () => {
    const cyclic = () => {
      const cycle: { self?: unknown } = {}
      return (cycle.self = cycle)
    }
    const core = (validate: StandardSchema['~standard']['validate']) =>
      catalogueCore(defineEvents({ A: { schema: { '~standard': { version: 1, vendor: 'test', validate } } } }))
    expect(failure(() => core(() => ({ value: cyclic() })).validate('A', cyclic(), '')).path).toBe('data.self')
    const throwing = {
      get a() {
        throw new Error('mine')
      },
    }
    expect(core(() => ({ value: { a: 1 } })).validate('A', throwing, '')).toEqual({ a: 1 })
    expect(failure(() => core(() => ({ value: new Date() })).validate('A', 1, 'events[0]')).path).toBe('events[0].data')
  })

  test('a schema that changes data in place is a schema that changes data', () => {
    const inPlace = (step: (data: { n: number }) => void): StandardSchema<{ n: number }> => ({
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => (step(value as { n: number }), { value: value as { n: number } }),
      },
    })
    const events = defineEvents({
      Double: { schema: inPlace((data) => (data.n *= 2)) },
      Tidy: { schema: inPlace((data) => (data.n = Math.abs(data.n))) },
    })
    const core = catalogueCore(events)
    expect(failure(() => core.validate('Double', { n: 1 }, '')).message).toContain('changes its own output')
    expect(core.validate('Tidy', { n: -1 }, '')).toEqual({ n: 1 })
    expect(events.Double({ n: 1 })).toMatchObject({ data: { n: 2 }, checked: expect.any(String) })
  })

  test('a schema that changes its input in place, and returns a copy of that, changes data', async () => {
    const copying = (validate: (data: { n: number; of: { n: number } }) => unknown) => ({
      schema: { '~standard': { version: 1, vendor: 'test', validate } } as unknown as StandardSchema,
    })
    const doubled = (data: { n: number; of: { n: number } }) => {
      data.of.n *= 2
      return { value: structuredClone(data) }
    }
    const events = defineEvents({ Double: copying(doubled), Late: copying(async (data) => doubled(data)) })
    const core = catalogueCore(events)
    const event = events.Double({ n: 1, of: { n: 1 } })
    expect(event).toMatchObject({ data: { n: 1, of: { n: 2 } }, checked: expect.any(String) })
    expect(core.validate('Double', event.data, '', event.checked)).toEqual({ n: 1, of: { n: 2 } })
    expect(failure(() => core.validate('Double', { n: 1, of: { n: 1 } }, '')).message).toContain(
      'changes its own output',
    )
    await expect(core.validate('Late', { n: 1, of: { n: 1 } }, '')).rejects.toThrow(/changes its own output/)
    expect(core.validate('Double', { n: 1, of: { n: 0 } }, '')).toEqual({ n: 1, of: { n: 0 } })
  })

  test.for([undefined, null, true])('a schema that returns no result, but %s, is named', (result) => {
    const core = catalogueCore(
      defineEvents({ A: { schema: { '~standard': { version: 1, vendor: 'test', validate: () => result as never } } } }),
    )
    expect(failure(() => core.validate('A', 1, 'events[0]'))).toMatchObject({
      path: 'events[0].data',
      message: expect.stringContaining(`its schema returned ${result}`),
    })
  })

  test('brings stored data up, step by step', () => {
    const core = catalogueCore(flights())
    expect(core.identity).toBe(false)
    expect(core.schemaVersion('FlightLanded')).toBe(3)
    expect(core.restore('FlightLanded', 1, { minutesLate: 5 }, 9)).toEqual({ delay: 5 })
    expect(core.restore('FlightLanded', 2, { late: 5 }, 9)).toEqual({ delay: 5 })
    const now = { delay: 5 }
    expect(core.restore('FlightLanded', 3, now, 9)).toBe(now)
    expect(core.restore('Forgotten', 4, now, 9)).toBe(now)
  })

  test('without upcasters there is nothing to restore', () => {
    expect(catalogueCore(defineEvents({ A: {} })).identity).toBe(true)
    expect(anyEvents.identity).toBe(true)
  })

  test('an event that cannot be brought up is unreadable, with its position', () => {
    const cause = new Error('mine')
    const bad = (upcast: (data: never) => unknown) =>
      catalogueCore(defineEvents({ A: { version: 2, upcast: { 1: upcast } } }))
    const throwing = bad(() => {
      throw cause
    })
    expect(() => throwing.restore('A', 1, {}, 7)).toThrow(
      expect.objectContaining({ name: 'EventUnreadableError', position: 7, cause }),
    )
    expect(() => bad(() => undefined).restore('A', 1, {}, 7)).toThrow(/returned undefined/)
    expect(() =>
      bad(async () => {
        throw cause
      }).restore('A', 1, {}, 7),
    ).toThrow(/is asynchronous/)
    expect(() => throwing.restore('A', 0, {}, 7)).toThrow(EventUnreadableError)
    expect(() => throwing.restore('A', 3, {}, 7)).toThrow(/version 3 of 'A'.*up to 2.*reload the page/)
    expect(() => anyEvents.restore('A', 2, {}, 7)).toThrow(EventUnreadableError)
  })
})

function failure(run: () => unknown): InvalidEventError {
  try {
    run()
  } catch (error) {
    if (error instanceof InvalidEventError) return error
    throw error
  }
  return expect.fail('accepted')
}
