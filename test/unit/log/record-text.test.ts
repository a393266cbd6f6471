// How the events of a record stand in its text: whatever stands there is what was put there, in rows or in columns.
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { eventsOf, eventsText, rowText, type EventText } from '../../../src/log/record/record-text.js'

const word = fc.oneof(
  fc.constantFrom('A', 'B', '__proto__', '0', 'größe 😀', '"\\', '\ud800'),
  fc.string({ maxLength: 8 }),
)
const json = fc.oneof(fc.jsonValue(), fc.constant(JSON.parse('{"__proto__":1,"2":0,"1":0}')))
const event = fc.record({
  type: word,
  stream: word,
  id: word,
  idGiven: fc.constant(true),
  time: fc.oneof(fc.constant(1), fc.nat(), fc.double({ noNaN: true, noDefaultInfinity: true })),
  schema: fc.constantFrom(1, 1, 2, 7),
  data: json.map((value) => JSON.stringify(value)),
  meta: fc.option(
    json.map((value) => JSON.stringify(value)),
    { nil: undefined },
  ),
})
const versionsOf = (events: readonly EventText[]) => events.map((_, index) => index + 3)

test('H53: in rows or in columns, the events are the same', () => {
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 12 }), fc.nat(1e6), (events, at) => {
      const versions = versionsOf(events)
      const { events: text, format } = eventsText(events, versions)
      expect(format).toBe(events.length < 4 ? undefined : 2)
      const rows = `[${events.map((each, index) => rowText(each, versions[index] as number)).join(',')}]`
      expect(eventsOf(text, at, format)).toEqual(eventsOf(rows, at))
      expect(eventsOf(text, at, format)?.map(({ position }) => position)).toEqual(events.map((_, index) => at + index))
    }),
    { numRuns: 1000 },
  )
})

describe('H2: a `toJSON` that a library gave to what is built in', () => {
  const builtIn = Array.prototype as { toJSON?: unknown }
  afterEach(() => {
    delete builtIn.toJSON
  })

  test('does not reach the text', () => {
    const events = Array.from({ length: 5 }, (): EventText => ({
      type: 'A',
      stream: 's',
      id: 'x',
      idGiven: true,
      time: 1,
      schema: 1,
      data: '[1]',
      meta: undefined,
    }))
    const { events: text } = eventsText(events, [1, 2, 3, 4, 5])
    builtIn.toJSON = () => 'mine'
    expect(eventsText(events, [1, 2, 3, 4, 5]).events).toBe(text)
  })
})

describe('columns in which something is wrong', () => {
  const sound = JSON.parse(
    eventsText(
      Array.from({ length: 4 }, (_, n): EventText => ({
        type: 'A',
        stream: 's',
        id: `${n}`,
        idGiven: true,
        time: n,
        schema: n + 1,
        data: '1',
        meta: n === 2 ? 'null' : undefined,
      })),
      [1, 2, 3, 4],
    ).events,
  )
  const read = (value: unknown) => eventsOf(JSON.stringify(value), 1, 2)

  test('are no events, whichever it is', () => {
    expect(read(sound)).toHaveLength(4)
    expect(read(sound)?.map((each) => 'meta' in each)).toEqual([false, false, true, false])
    for (const column of ['types', 'type', 'streams', 'stream', 'version', 'id', 'time', 'schema', 'data']) {
      for (const wrong of [null, 'abcd', {}, [], [7]]) {
        // Of a column that belongs to all events, a shorter one; of the dictionaries, one without the word.
        if ((column === 'types' || column === 'streams') && Array.isArray(wrong) && wrong.length === 1) continue
        expect(read({ ...sound, [column]: wrong }), `${column}: ${JSON.stringify(wrong)}`).toBeUndefined()
      }
    }
    for (const value of [null, 1, 'x', [], sound.data]) expect(read(value)).toBeUndefined()
    expect(() => eventsOf('{', 1, 2)).toThrow(SyntaxError)
  })

  test('of another length are as many events as they have data', () => {
    expect(
      read({ ...sound, type: [0], stream: [0], version: [1], id: ['x'], time: 5, schema: 1, data: [1] }),
    ).toHaveLength(1)
  })
})
