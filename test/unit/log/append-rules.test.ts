// What an append must meet, without a backend.
import { expect, test } from 'vitest'
import type { ExpectedVersion } from '../../../src/errors.js'
import { decideAppend, findConflict, versionsOf, type LogState } from '../../../src/log/append-rules.js'
import { compileFilter } from '../../../src/log/filter.js'
import type { PreparedAppend } from '../../../src/log/prepared-append.js'
import type { EventText, StoredEvent } from '../../../src/log/record/record-text.js'

const text = (given: Partial<EventText> = {}): EventText => ({
  type: 'A',
  stream: 's',
  id: 'one',
  idGiven: true,
  time: 0,
  schema: 1,
  data: '{"x":1,"y":[2]}',
  meta: undefined,
  ...given,
})
const storedAs = (given: Partial<StoredEvent> = {}): StoredEvent => ({
  type: 'A',
  stream: 's',
  id: 'one',
  time: 0,
  data: { y: [2], x: 1 },
  position: 7,
  version: 3,
  ...given,
})
const append = (events: readonly EventText[], given: Partial<PreparedAppend> = {}): PreparedAppend => ({
  events,
  expected: new Map<string, ExpectedVersion>([['s', 'any']]),
  condition: undefined,
  pathOf: (index) => `events[${index}]`,
  ...given,
})
const log = (known: readonly StoredEvent[] = [], given: Partial<LogState> = {}): LogState => ({
  head: 9,
  known: new Map(known.map((event) => [event.id, event])),
  versionOf: (stream) => (stream === 's' ? 5 : 0),
  isPlain: true,
  firstMatch: () => undefined,
  ...given,
})

test('an append that meets everything is stored as it is', () => {
  const given = append([text()], { condition: { filter: compileFilter({}), after: 0 } })
  expect(decideAppend(given, log())).toEqual({ store: given })
})

test('an append without events has the head and the versions as its result, and stores nothing', () => {
  expect(decideAppend(append([]), log())).toEqual({
    result: { position: 9, firstPosition: 9, versions: { s: 5 }, duplicate: false },
  })
})

test.for<[ExpectedVersion, number, boolean]>([
  ['any', 0, true],
  ['any', 5, true],
  ['no-stream', 0, true],
  ['no-stream', 1, false],
  ['stream-exists', 0, false],
  ['stream-exists', 1, true],
  [5, 5, true],
  [5, 4, false],
  [5, 6, false],
  [0, 0, true],
])('expecting %s of a stream at version %s: %s', ([wanted, actual, isMet]) => {
  const conflict = findConflict(new Map([['s', wanted]]), () => actual)
  expect(conflict === undefined).toBe(isMet)
  if (!isMet) expect(conflict).toMatchObject({ code: 'version-conflict', stream: 's', expected: wanted, actual })
})

test('a conflict is reported before a condition that fails too', () => {
  const given = append([text()], {
    expected: new Map([['s', 4]]),
    condition: { filter: compileFilter({}), after: 0 },
  })
  expect(() => decideAppend(given, log([], { firstMatch: () => 8 }))).toThrow(
    /is at version 5, but the append expected version 4/,
  )
})

test('the condition is asked only if there is one, and names the first match', () => {
  const matching = log([], { firstMatch: () => 8 })
  expect(decideAppend(append([text()]), matching)).toHaveProperty('store')
  const given = append([text()], { condition: { filter: compileFilter({}), after: 0 } })
  expect(() => decideAppend(given, matching)).toThrow(
    expect.objectContaining({ code: 'condition-failed', position: 8 }),
  )
})

test('ids that are all in the log: the first result, whatever is expected now', () => {
  const given = append([text(), text({ id: 'two' })], { expected: new Map([['s', 2]]) })
  expect(decideAppend(given, log([storedAs(), storedAs({ id: 'two', position: 8, version: 4 })]))).toEqual({
    result: { position: 8, firstPosition: 7, versions: { s: 4 }, duplicate: true },
  })
})

test('ids of which only some are in the log are refused, and the first one is named', () => {
  const given = append([text({ id: 'new' }), text()], { pathOf: (index) => `events[${index}]` })
  expect(() => decideAppend(given, log([storedAs()]))).toThrow(
    expect.objectContaining({ code: 'invalid-event', path: 'events[1].id' }),
  )
})

test.for<[string, Partial<StoredEvent>, string]>([
  ['of another stream', { stream: 'other' }, "in stream 'other', not 's'"],
  ['of another type', { type: 'B' }, "of type 'B', not 'A'"],
  ['with other data', { data: { x: 1, y: [3] } }, 'holds other data'],
])('an id of an event %s is refused', ([, stored, message]) => {
  expect(() => decideAppend(append([text()]), log([storedAs(stored)]))).toThrow(message)
})

test('data is not compared under a codec, nor in another version of its type', () => {
  const other = storedAs({ data: 'secret' })
  expect(decideAppend(append([text()]), log([other], { isPlain: false }))).toHaveProperty('result.duplicate', true)
  expect(decideAppend(append([text({ schema: 2 })]), log([other]))).toHaveProperty('result.duplicate', true)
})

test('an import stores what is left of it, and is a duplicate if nothing is', () => {
  const rest = append([text({ id: 'two' })])
  const imported = { starts: new Set([0]), without: () => rest }
  expect(decideAppend(append([text(), text({ id: 'two' })], { imported }), log([storedAs()]))).toEqual({ store: rest })
  const all: PreparedAppend = append([text()], { imported: { starts: new Set([0]), without: () => all } })
  expect(decideAppend(all, log([storedAs()]))).toHaveProperty('result.duplicate', true)
})

test('H48: versions have no prototype', () => {
  const versions = versionsOf(new Map([['__proto__', 'any']]), () => 3)
  expect(Object.getPrototypeOf(versions)).toBeNull()
  expect(versions['__proto__']).toBe(3)
})
