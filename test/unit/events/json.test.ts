import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvalidEventError } from '../../../src/errors.js'
import { isSameJson, toJsonText } from '../../../src/events/json.js'

class Money {
  amount = 1
}
const cycle: Record<string, unknown> = {}
cycle['self'] = cycle
const revoked = Proxy.revocable({}, {})
revoked.revoke()
const detached = new ArrayBuffer(8)
structuredClone(detached, { transfer: [detached] })
const throwing = {
  get inner() {
    throw new Error('mine')
  },
}
const named = Object.assign([1], { extra: 2 })

/** With a property that is not enumerable, as MobX and Solid keep their notes. */
function hide<T extends object>(object: T, key: PropertyKey, value: unknown): T {
  return Object.defineProperty(object, key, { value, enumerable: false, writable: true, configurable: true })
}

/** As MobX 6 makes observable objects: accessors, and its administration under a symbol; not a proxy or a proxy of that. */
function observable(values: Record<string, unknown>): object {
  const target = hide({}, Symbol('mobx administration'), { values })
  for (const key of Object.keys(values))
    Object.defineProperty(target, key, { configurable: true, enumerable: true, get: () => values[key], set() {} })
  return target
}

/** As Solid leaves the raw data of a store: each object has its proxy and its signals under symbols. This is what `unwrap` returns. */
function unwrapped<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) unwrapped(part as object)
  return hide(hide(value, Symbol('solid-proxy'), new Proxy(value, {})), Symbol('store-node'), Object.create(null))
}

function nested(levels: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < levels; level += 1) value = [value]
  return value
}

const refused: [what: string, value: unknown, path: string][] = [
  ['undefined', undefined, ''],
  ['NaN', Number.NaN, ''],
  ['Infinity', Infinity, ''],
  ['-Infinity', -Infinity, ''],
  ['a bigint', 1n, ''],
  ['a symbol', Symbol('s'), ''],
  ['a function', () => 1, ''],
  ['a class', Money, ''],
  ['a Date', new Date(), ''],
  ['a Map', new Map(), ''],
  ['a Set', new Set(), ''],
  ['a WeakMap', new WeakMap(), ''],
  ['a RegExp', /x/, ''],
  ['an Error', new Error('x'), ''],
  ['a Promise', Promise.resolve(), ''],
  ['a boxed number', new Number(1), ''],
  ['a typed array', new Uint8Array(1), ''],
  ['an ArrayBuffer', new ArrayBuffer(1), ''],
  ['a SharedArrayBuffer', new SharedArrayBuffer(1), ''],
  ['a detached buffer', detached, ''],
  ['a class instance', new Money(), ''],
  ['an object that inherits', Object.create({ a: 1 }), ''],
  ['an object of a class without a base', Object.create(Object.create(null)), ''],
  ['an array subclass', new (class List extends Array {})(), ''],
  ['a cycle', cycle, '.self'],
  ['a throwing getter', throwing, '.inner'],
  [
    'a getter that works',
    {
      get a() {
        return 1
      },
    },
    '.a',
  ],
  ['a setter', { set a(_: unknown) {} }, '.a'],
  ['an own toJSON', { toJSON: () => 1 }, '.toJSON'],
  ['a symbol key', { [Symbol('s')]: 1 }, ''],
  [
    'a symbol key after one that is not enumerable',
    Object.assign(hide({ a: 1 }, Symbol('first'), 1), { [Symbol('s')]: 1 }),
    '',
  ],
  [
    'a name of an array whose first index is not enumerable',
    Object.assign(hide([1, 2], '0', 1), { extra: 2 }),
    '.extra',
  ],
  ['a getter of an observable object', observable({ a: 1 }), '.a'],
  ['a hole', [1, , 3], '[1]'],
  ['undefined in an array', [undefined], '[0]'],
  ['a named property of an array', named, '.extra'],
  ['a hole and a name, as many keys as elements', Object.assign([1, , 3], { extra: 2 }), '[1]'],
  ['a symbol key of an array', Object.assign([1], { [Symbol('s')]: 1 }), ''],
  ['a date in the last of many objects', [...Array.from({ length: 2_000 }, (_, id) => ({ id })), new Date()], '[2000]'],
  ['a revoked proxy', revoked.proxy, ''],
  [
    'a proxy that throws',
    new Proxy(
      {},
      {
        ownKeys() {
          throw new Error('mine')
        },
      },
    ),
    '',
  ],
  ['a Date of another realm', runInNewContext('new Date()'), ''],
  ['Math', Math, ''],
  ['too deep', nested(1001), '[0]'.repeat(1000)],
]

describe('H47: what JSON would lose is refused, with its path', () => {
  test.for(refused)('%s', ([, value, path]) => {
    expect(failure(value)).toMatchObject({
      name: 'InvalidEventError',
      code: 'invalid-event',
      outcome: 'not-written',
      path: `events[2].data${path}`,
    })
    expect(failure({ tags: [value] }).path).toContain('events[2].data.tags[0]')
  })

  test('the path names every step', () => {
    expect(failure({ tags: [() => 1] }).path).toBe('events[2].data.tags[0]')
    expect(failure({ 'odd key': 1n }).path).toBe('events[2].data["odd key"]')
    expect(failure({ a: [{}, { 'x"y': [[Number.NaN]] }] }).path).toBe('events[2].data.a[1]["x\\"y"][0][0]')
    expect(failure({ $a_1: { ü: 1n } }).path).toBe('events[2].data.$a_1.ü')
  })

  test('what a proxy throws is the cause', () => {
    const cause = new Error('mine')
    const error = failure({
      a: new Proxy(
        {},
        {
          getOwnPropertyDescriptor() {
            throw cause
          },
          ownKeys: () => ['x'],
        },
      ),
    })
    expect(error.cause).toBe(cause)
    expect(error.path).toMatch(/^events\[2\]\.data\.a/)
  })

  test('messages say what to do', () => {
    expect(failure(new Date()).message).toMatch(/events\[2\]\.data is an instance of Date.*Store plain objects/)
    expect(failure(undefined).message).toContain('Use null')
  })
})

describe('H2: no code of the caller runs', () => {
  test('getters are not called', () => {
    let calls = 0
    failure({
      get a() {
        return (calls += 1)
      },
    })
    expect(calls).toBe(0)
  })

  test.for([Object, Array, String, Number, Boolean].map((type) => [type.name, type.prototype] as const))(
    'toJSON on the prototype of %s is not called',
    ([, type]) => {
      const prototype = type as { toJSON?: unknown }
      prototype.toJSON = () => 'hijacked'
      try {
        expect(toJsonText([1, 'a', true, { b: null }], 'data')).toBe('[1,"a",true,{"b":null}]')
      } finally {
        delete prototype.toJSON
      }
    },
  )

  test.for<[string, unknown]>([
    ['a function', () => {}],
    ['undefined', undefined],
    ['a bigint', 1n],
    ['another text', 'b'],
  ])(
    'a proxy that shows a text when it is checked, and %s when it is written, ends as JSON or not at all',
    ([, lie]) => {
      const liar = () => new Proxy({ a: 'a' }, { get: () => lie })
      for (const value of [liar(), [liar()], { inner: liar() }]) {
        try {
          expect(JSON.parse(toJsonText(value, ''))).toBeTruthy()
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidEventError)
        }
      }
    },
  )
})

describe('what survives', () => {
  test('any JSON value comes back as it was, in the text of JSON.stringify', () => {
    const withOddKeys = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue(),
        fc.string({ unit: 'binary' }),
        fc.array(tie('value')),
        fc.dictionary(
          fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', 'constructor', 'toString', 'length')),
          tie('value'),
        ),
      ),
    })).value
    fc.assert(
      fc.property(withOddKeys, (value) => {
        const text = toJsonText(value, 'data')
        expect(text).toBe(JSON.stringify(value))
        expect(toJsonText(JSON.parse(text), 'data')).toBe(text)
      }),
      { numRuns: 150 },
    )
  })

  test('every UTF-16 code unit is written as JSON.stringify writes it', () => {
    for (let unit = 0; unit <= 0xffff; unit += 1) {
      const text = `a${String.fromCharCode(unit)}`
      if (toJsonText(text, '') !== JSON.stringify(text)) expect.fail(unit.toString(16))
    }
  })

  test('undefined properties are left out, what is not enumerable too, and -0 becomes 0', () => {
    expect(toJsonText({ a: undefined, b: -0, c: [-0] }, '')).toBe('{"b":0,"c":[0]}')
    expect(toJsonText(Object.defineProperty({ a: 1 }, 'hidden', { value: 2 }), '')).toBe('{"a":1}')
  })

  test('keys that are not enumerable are not part of the data, strings and symbols alike', () => {
    expect(toJsonText(hide({ a: 1 }, Symbol('s'), 2), '')).toBe('{"a":1}')
    expect(
      toJsonText(
        hide({ a: 1 }, 'toJSON', () => 'hijacked'),
        '',
      ),
    ).toBe('{"a":1}')
    expect(toJsonText(hide({ a: 1 }, 'when', new Date()), '')).toBe('{"a":1}')
    expect(toJsonText(hide(hide([1, 2], Symbol('s'), 2), 'name', 3), '')).toBe('[1,2]')
    expect(toJsonText(hide([1, 2], '0', 7), '')).toBe('[7,2]')
    // What JSON would say.
    expect(JSON.stringify(hide(hide([1, 2], Symbol('s'), 2), '0', 7))).toBe('[7,2]')
  })

  test('data of Solid and lists of MobX', () => {
    expect(toJsonText(unwrapped({ a: 1, list: [{ b: 2 }, []] }), '')).toBe('{"a":1,"list":[{"b":2},[]]}')
    const list = hide([1, 2], Symbol('mobx administration'), { values: [1, 2] })
    expect(toJsonText(new Proxy(list, { get: (target, key) => Reflect.get(target, key) as unknown }), '')).toBe('[1,2]')
  })

  test('H48: an own __proto__ survives, and pollutes nothing', () => {
    const value: unknown = JSON.parse('{"__proto__":{"polluted":true},"constructor":1}')
    const back = JSON.parse(toJsonText(value, '')) as object
    expect(Object.keys(back)).toEqual(['__proto__', 'constructor'])
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  test('objects without a prototype, frozen ones, those of another realm, and proxies that behave', () => {
    expect(toJsonText(Object.assign(Object.create(null), { a: 1 }), '')).toBe('{"a":1}')
    expect(toJsonText(Object.freeze([Object.freeze({ a: 1 })]), '')).toBe('[{"a":1}]')
    expect(toJsonText(runInNewContext('({ a: [1, { b: null }] })'), '')).toBe('{"a":[1,{"b":null}]}')
    expect(toJsonText(new Proxy({ a: new Proxy([1], {}) }, {}), '')).toBe('{"a":[1]}')
  })

  test('the same object twice is no cycle', () => {
    const shared = { a: 1 }
    expect(toJsonText([shared, { shared }], '')).toBe('[{"a":1},{"shared":{"a":1}}]')
  })

  test('many objects', () => {
    const list = Array.from({ length: 3_000 }, (_, id) => ({ id, note: undefined, tags: [] }))
    expect(toJsonText(list, '')).toBe(JSON.stringify(list))
  })

  test('objects that refer to each other again and again are a cycle, found soon', () => {
    const one: unknown[] = []
    const other = [one, one, one, one, one, one]
    one.push(other, other, other, other, other, other)
    expect(failure(one).message).toContain('cycle')
  })

  test('1000 levels', () => {
    expect(toJsonText(nested(1000), '')).toHaveLength(2001)
  })
})

function failure(value: unknown): InvalidEventError {
  try {
    toJsonText(value, 'events[2].data')
  } catch (error) {
    if (error instanceof InvalidEventError) return error
    throw error
  }
  return expect.fail('accepted')
}

test.for<[string, unknown, unknown, boolean]>([
  ['primitives', 1, 1, true],
  ['other primitives', 1, '1', false],
  ['null and an object', null, {}, false],
  ['properties in another order', { a: 1, b: [2, { c: 3 }] }, { b: [2, { c: 3 }], a: 1 }, true],
  ['a property more', { a: 1 }, { a: 1, b: 2 }, false],
  ['a property less', { a: 1, b: 2 }, { a: 1 }, false],
  ['another property, and undefined', { a: undefined }, { b: undefined }, false],
  ['a list and an object with its keys', [1], { 0: 1 }, false],
  ['lists in another order', [1, 2], [2, 1], false],
  ['what differs deep inside', { a: [{ b: 1 }] }, { a: [{ b: 2 }] }, false],
])('isSameJson: %s', ([, one, other, isSame]) => {
  expect(isSameJson(one, other)).toBe(isSame)
  expect(isSameJson(other, one)).toBe(isSame)
})
