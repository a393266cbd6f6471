/** What is no push, what is too large, and what is odd but right. */
import { leastLimits } from '../../../wire/protocol.js'
import { equal, ok } from '../assert.js'
import { commit, ContractClient, event, verdictOf, type AddServerCase } from './contract-client.js'

export function badInputCases(add: AddServerCase): void {
  for (const part of [wrongBodies, wrongTypes, tooLarge, longPushes, withinLimits, sizes, fidelity]) part(add)
}

const right = JSON.stringify(event('right'))

/** Bodies that are no push, apart from a first commit that would be right. */
const noPushes: readonly string[] = [
  'null',
  '[]',
  '"x"',
  '{}',
  '{"commits":{}}',
  '{"commits":null}',
  '{"commits":[],"more":1}',
  '{"commits":[],"at":-1}',
  '{"commits":[],"at":1.5}',
  '{"commits":[],"at":"0"}',
  '{"commits":[],"at":null}',
  '{"commits":[],"at":9007199254740992}',
  '{"commits":[],"cancel":null}',
  '{"commits":[],"cancel":{}}',
  '{"commits":[],"cancel":["x"]}',
  '{"commits":[],"cancel":[[]]}',
  '{"commits":[],"cancel":[[""]]}',
  '{"commits":[],"cancel":[[1]]}',
  `{"commits":[],"cancel":[${JSON.stringify(Array.from({ length: 1001 }, (_, n) => `c${n}`))}]}`,
]

/** What is no filter. */
const noFilters: readonly string[] = [
  '{"streamPattern":""}',
  '{"streamPattern":"[a"}',
  '{"streamPattern":"[]"}',
  '{"streamPattern":"[!]"}',
  '{"streamPattern":"[b-a]"}',
  '{"streamPattern":1}',
  `{"streamPattern":"${'x'.repeat(1001)}"}`,
  '{"streamPrefix":"a*"}',
  '{"streamPrefix":null}',
  `{"streamPrefix":"${'x'.repeat(256)}"}`,
  '{"types":[1]}',
  '{"types":null}',
  '{"streamPattern":null}',
]

/** What cannot be a commit. */
const noCommits: readonly string[] = [
  'null',
  '[]',
  '{}',
  '{"events":[]}',
  '{"events":{}}',
  '{"events":[null]}',
  `{"events":[${right}],"more":1}`,
  `{"events":[${right}],"healed":false}`,
  `{"events":[${right}],"healed":1}`,
  `{"events":[${right}],"healed":null}`,
  `{"events":[${right}],"expect":null}`,
  `{"events":[${right}],"requires":null}`,
  `{"events":[${right}],"condition":null}`,
  `{"events":[${right}],"condition":{"failIfEventsMatch":{},"after":null,"except":null}}`,
  `{"events":[${right}],"expect":[]}`,
  `{"events":[${right}],"expect":{"s":1}}`,
  `{"events":[${right}],"expect":{"s":""}}`,
  `{"events":[${right}],"expect":{"s":[]}}`,
  `{"events":[${right}],"expect":{"s":["a"]}}`,
  `{"events":[${right}],"expect":{"s":["",1]}}`,
  `{"events":[${right}],"expect":{"s":["a",0]}}`,
  `{"events":[${right}],"expect":{"s":["a",1.5]}}`,
  `{"events":[${right}],"expect":{"s":["a","1"]}}`,
  `{"events":[${right}],"expect":{"s":["a",null]}}`,
  `{"events":[${right}],"expect":{"s":[null,1]}}`,
  `{"events":[${right}],"expect":{"s":["a",1,1]}}`,
  `{"events":[${right}],"requires":"x"}`,
  `{"events":[${right}],"requires":[null]}`,
  `{"events":[${right}],"condition":{}}`,
  `{"events":[${right}],"condition":{"failIfEventsMatch":{}}}`,
  `{"events":[${right}],"condition":{"failIfEventsMatch":null,"after":null}}`,
  `{"events":[${right}],"condition":{"failIfEventsMatch":{"types":"A"},"after":null}}`,
  `{"events":[${right}],"condition":{"failIfEventsMatch":{"type":"A"},"after":null}}`,
  `{"events":[${right}],"condition":{"failIfEventsMatch":{"streamPrefix":"a","streamPattern":"a"},"after":null}}`,
  ...noFilters.map((filter) => `{"events":[${right}],"condition":{"failIfEventsMatch":${filter},"after":null}}`),
  `{"events":[${right}],"condition":{"failIfEventsMatch":{},"after":1}}`,
  `{"events":[${right}],"condition":{"failIfEventsMatch":{},"after":null,"except":{}}}`,
  `{"events":[${right}],"condition":{"failIfEventsMatch":{},"after":null,"more":1}}`,
]

/** Members of an event that it cannot have. */
const noEvents: readonly string[] = [
  '"stream":""',
  '"stream":1',
  '"stream":" a"',
  '"stream":"a\\n"',
  '"stream":"\\u2028a"',
  '"stream":"a\\ufeff"',
  '"stream":"a*"',
  '"stream":"a?"',
  '"stream":"a[b]"',
  '"stream":"\\ud800"',
  `"stream":"${'x'.repeat(256)}"`,
  '"type":""',
  '"type":null',
  '"type":"\\udc00"',
  `"type":"${'x'.repeat(256)}"`,
  '"id":""',
  '"id":1',
  `"id":"${'x'.repeat(256)}"`,
  '"time":"1"',
  '"time":1.5',
  '"time":null',
  '"time":1e300',
  '"time":9007199254740992',
  '"time":-9007199254740992',
  '"schema":9007199254740992',
  '"schema":0',
  '"schema":null',
  '"schema":1.5',
  '"schema":"1"',
  '"data":1e999',
  '"data":{"a":[-1e999]}',
  '"meta":1e999',
  '"position":1',
  '"version":1',
  '"commit":1',
  '"more":1',
]

function wrongBodies(add: AddServerCase): void {
  add('422: what is no push is refused as a whole, and nothing of it is stored', async (subject) => {
    const anna = new ContractClient(subject)
    const members = JSON.stringify(event('bad')).slice(1, -1)
    const missing = ['stream', 'type', 'id', 'time', 'data'].map((name) => {
      const { [name as 'id']: _, ...rest } = event('bad')
      return `{"events":[${right},${JSON.stringify(rest)}]}`
    })
    const commits = [
      ...noCommits,
      ...missing,
      ...noEvents.map((member) => `{"events":[${right},{${members},${member}}]}`),
    ]
    const good = JSON.stringify(commit('good'))
    for (const body of [...noPushes, ...commits.map((text) => `{"commits":[${good},${text}],"cancel":[["c"]]}`)]) {
      const shown = body.length > 2000 ? `${body.slice(0, 2000)}… (${body.length} characters)` : body
      equal(await anna.refusedPush(body), { status: 422, code: 'invalid-push' }, shown)
    }
    equal(await anna.ids(), [], 'the log')
    equal(
      (await anna.push(commit('c'), commit('good'))).map(verdictOf),
      ['accepted', 'accepted'],
      'what was not refused',
    )
  })

  add('400: what is not JSON in UTF-8', async (subject) => {
    const anna = new ContractClient(subject)
    const whole = JSON.stringify({ commits: [commit('x')] })
    const bodies: (string | Uint8Array)[] = [
      '',
      '{',
      whole.slice(0, -1),
      `${whole}x`,
      `${whole}\n${whole}`,
      whole.replaceAll('"', "'"),
      `\ufeff${whole}`,
      Uint8Array.of(...new TextEncoder().encode(whole), 0xff),
      Uint8Array.from(new TextEncoder().encode(whole), (byte) => (byte === 120 ? 0xc0 : byte)),
      // Half of a character at the end.
      Uint8Array.of(...new TextEncoder().encode(`${whole.slice(0, -2)}"`), 0xe2, 0x82),
    ]
    for (const body of bodies)
      equal(await anna.refusedPush(body), { status: 400, code: 'bad-request' }, `${String(body).slice(0, 50)}`)
    equal(await anna.ids(), [], 'the log')
  })
}

function wrongTypes(add: AddServerCase): void {
  add('415: a body of another type, another charset, or that is compressed', async (subject) => {
    const anna = new ContractClient(subject)
    const body = { commits: [commit('x')] }
    for (const set of [
      { 'Content-Type': 'text/plain' },
      { 'Content-Type': 'application/x-www-form-urlencoded' },
      { 'Content-Type': 'multipart/form-data; boundary=x' },
      { 'Content-Type': 'application/jsonp' },
      { 'Content-Type': 'application/json; charset=utf-16' },
      { 'Content-Encoding': 'gzip' },
    ])
      equal(await anna.refusedPush(body, set), { status: 415, code: 'wrong-type' }, JSON.stringify(set))
    equal(await anna.ids(), [], 'the log')
    for (const type of ['application/json; charset=utf-8', 'APPLICATION/JSON;charset="UTF-8"', 'application/json ;']) {
      const { response } = await anna.pushing(body, { 'Content-Type': type })
      equal(response.status, 200, `the status for ${type}`)
    }
  })
}

/** A value that is so deep: 0 is a number. */
const nested = (depth: number): unknown => {
  let value: unknown = 1
  for (let n = 0; n < depth; n += 1) value = n % 2 === 0 ? [value] : { a: value }
  return value
}

const names = (count: number) => Array.from({ length: count }, (_, n) => `n${n}`)

function tooLarge(add: AddServerCase): void {
  add('413: a body with too many bytes, or too many cancels', async (subject) => {
    const anna = new ContractClient(subject)
    const { limits } = await anna.info()
    const body = JSON.stringify({ commits: [commit('x')] })
    equal(
      await anna.refusedPush(body.padEnd(limits.pushBytes + 1)),
      { status: 413, code: 'too-large' },
      'one byte too many',
    )
    equal(
      await anna.refusedPush({ commits: [commit('y')], cancel: names(1001).map((name) => [name]) }),
      { status: 413, code: 'too-large' },
      'one cancel too many',
    )
    const lists = Array.from({ length: 10 }, (_, list) => names(1000).map((name) => `${list}-${name}`))
    equal(
      await anna.refusedPush({ commits: [commit('y')], cancel: [...lists, ['more']] }),
      { status: 413, code: 'too-large' },
      'one id to cancel too many',
    )
    equal(await anna.ids(), [], 'the log')
    equal((await anna.pushAll(body.padEnd(limits.pushBytes))).map(verdictOf), ['accepted'], 'the most bytes')
    const answers = await anna.pushAll({ commits: [], cancel: names(1000).map((name) => [name]) })
    equal(answers.length, 1000, 'the verdicts on the most cancels')
    equal(
      (await anna.pushAll({ commits: [], cancel: lists })).map(verdictOf),
      lists.map(() => 'cancelled'),
      'the most ids',
    )
    equal(verdictOf(await anna.pushOne(commit('9-n999'))), 'cancelled', 'the last of these ids')
    const refused = [commit('y'), commit('n1000'), commit('more')]
    equal((await anna.push(...refused)).map(verdictOf), ['accepted', 'accepted', 'accepted'], 'what only was in a 413')
  })

  add('a commit that is too large is refused, and the others of its push are decided', async (subject) => {
    const anna = new ContractClient(subject)
    const { limits } = await anna.info()
    const many = names(1001)
    const large = [
      { events: [event('1', { data: 'x'.repeat(limits.eventBytes - 1) })] },
      { events: [event('2', { data: 'x'.repeat(limits.eventBytes - 5), meta: 'xx' })] },
      { events: Array.from({ length: limits.commitEvents + 1 }, (_, n) => event(`3-${n}`, { data: 0 })) },
      { events: [event('4', { data: nested(101) })] },
      { events: [event('5', { meta: nested(101) })] },
      commit('6', { requires: many }),
      commit('7', { expect: Object.fromEntries(many.map((name) => [name, null])) }),
      commit('8', { condition: { failIfEventsMatch: {}, after: null, except: many } }),
      commit('9', { condition: { failIfEventsMatch: { types: many }, after: null } }),
      // Entries count, also if they are equal.
      commit('11', { requires: many.map(() => 'n0') }),
      commit('12', { condition: { failIfEventsMatch: {}, after: null, except: many.map(() => 'n0') } }),
      commit('13', { condition: { failIfEventsMatch: { types: many.map(() => 'n0') }, after: null } }),
      // Too large comes before the same id twice.
      { events: many.map(() => event('14', { data: 0 })) },
      { events: [event('15'), event('15', { data: nested(101) })] },
      {
        events: Array.from({ length: 8 }, (_, n) => event(`10-${n}`, { data: '€'.repeat(limits.commitBytes / 24) })),
      },
    ]
    for (const [index, one] of large.entries()) {
      const answers = await anna.push(commit(`before ${index}`), one, commit(`behind ${index}`))
      equal(answers.map(verdictOf), ['accepted', 'too-large', 'accepted'], `commit ${index + 1}`)
      const again = await anna.pushOne({ events: one.events.map(({ id }) => event(id)) })
      equal(verdictOf(again), 'too-large', `commit ${index + 1} made smaller under its ids`)
    }
    equal((await anna.info()).head, 2 * large.length, 'the head')
  })
}

function longPushes(add: AddServerCase): void {
  add(
    'of a push that names very much the first commits are decided, and the rest when it is sent again',
    async (subject) => {
      const anna = new ContractClient(subject)
      const ids = names(1000)
      await anna.push({ events: ids.map((id) => event(id, { data: 0 })) })
      const requires = (n: number) => ids.map((id) => (id === 'n7' ? `missing-${n}` : id))
      let rest = Array.from({ length: 50 }, (_, n) =>
        commit(`c${n}`, { requires: n % 2 === 0 ? ids : requires(n) }, `t${n}`),
      )
      const verdicts = []
      for (let pushes = 0; rest.length > 0; pushes += 1) {
        ok(pushes < 50, 'each push to decide something')
        const answers = await anna.pushAll({ commits: rest })
        equal(
          answers.map(({ id }) => id),
          rest.slice(0, answers.length).map(({ events }) => events[0]?.id),
          'the commits that are decided',
        )
        verdicts.push(...answers.map(verdictOf))
        rest = rest.slice(answers.length)
      }
      equal(
        verdicts,
        Array.from({ length: 50 }, (_, n) => (n % 2 === 0 ? 'accepted' : 'behind')),
        'the verdicts',
      )
    },
  )

  add('of a long push at least 1,000 commits are decided, in their order, and its cancels', async (subject) => {
    const anna = new ContractClient(subject)
    const ids = Array.from({ length: 1003 }, (_, n) => `x${n}`)
    const commits = ids.map((id) => commit(id, {}, id))
    const answers = await anna.pushAll({ commits, cancel: [['c'], ['x0']] })
    const decided = answers.slice(0, -2)
    ok(decided.length >= 1000, `at least 1,000 verdicts, not ${decided.length}`)
    equal(
      decided,
      ids.slice(0, decided.length).map((id, n) => ({ id, accepted: n + 1 })),
      'the verdicts on the commits',
    )
    equal(answers.slice(-2).map(verdictOf), ['cancelled', 'accepted'], 'the verdicts on what is cancelled')
    equal(await anna.ids(), ids.slice(0, decided.length), 'the log')
    const rest = await anna.pushAll({ commits: commits.slice(decided.length) })
    equal(
      rest.map(verdictOf),
      ids.slice(decided.length).map(() => 'accepted'),
      'the verdicts on the rest',
    )
  })

  add('a very deep body is refused, and does no harm', async (subject) => {
    const anna = new ContractClient(subject)
    const deep = '['.repeat(200_000) + ']'.repeat(200_000)
    const { response } = await anna.pushing(deep)
    ok([400, 413, 422].includes(response.status), `a status that refuses it, not ${response.status}`)
    const { response: other, json } = await anna.pushing(
      `{"commits":[{"events":[{"stream":"s","type":"A","id":"x","time":1,"data":${deep}}]}]}`,
    )
    const isRefused = verdictOf((json.answers as never[] | undefined)?.[0]) === 'too-large'
    ok(isRefused || other.status === 400, 'such data to be refused')
    equal(verdictOf(await anna.pushOne(commit('y'))), 'accepted', 'the next push')
  })
}

function withinLimits(add: AddServerCase): void {
  add('what is within the limits is stored', async (subject) => {
    const anna = new ContractClient(subject)
    const { commitBytes, commitEvents, eventBytes } = leastLimits
    const ids = names(1000)
    await anna.push({ events: ids.map((id) => event(id, { data: 0 })) })
    const part = event('10-0', { data: '' })
    const space = Math.floor((commitBytes - 100) / 8) - JSON.stringify(part).length
    const commits = [
      { events: [event('1', { data: 'x'.repeat(eventBytes - 2) })] },
      { events: [event('2', { data: 'x'.repeat(eventBytes - 6), meta: 'xx' })] },
      { events: Array.from({ length: commitEvents }, (_, n) => event(`3-${n}`, { data: 0 })) },
      { events: [event('4', { data: nested(100) })] },
      { events: [event('5', { meta: nested(100) })] },
      commit('6', { requires: ids }),
      commit('7', { expect: Object.fromEntries(ids.map((name) => [name, null])) }, 't'),
      commit('8', { condition: { failIfEventsMatch: {}, after: 'n999', except: ids } }, 't'),
      { events: Array.from({ length: 8 }, (_, n) => event(`10-${n}`, { data: '€'.repeat(Math.floor(space / 3)) })) },
    ]
    for (const [index, one] of commits.entries()) {
      const verdict = verdictOf(await anna.pushOne(one))
      // Of the condition: there are events behind `after`.
      equal(verdict, index === 7 ? 'conflict' : 'accepted', `commit ${index + 1}`)
    }
    const long = 'x'.repeat(255)
    const answer = await anna.pushOne({ events: [event(long, { stream: long, type: long, data: 'long' })] })
    equal(verdictOf(answer), 'accepted', 'long names')
    equal((await anna.all()).at(-1)?.['stream'], long, 'the long name')
  })
}

function sizes(add: AddServerCase): void {
  add('sizes are those of the values, not of how they are written', async (subject) => {
    const anna = new ContractClient(subject)
    const { eventBytes, commitBytes } = leastLimits
    const characters = eventBytes - 4
    const space = ' '.repeat(commitBytes)
    const data = `["${'\\u0061'.repeat(characters)}"]`
    const body = `{"commits":[{${space}"events":[{"stream":"s","type":"A","id":"x","time":1,"data":${data}}]}]}`
    equal(await anna.pushAll(body), [{ id: 'x', accepted: 1 }], 'white space, and escapes that are not needed')
    const { limits } = await anna.info()
    // Each takes two characters where it is needed.
    const quotes = '\\"'.repeat(limits.eventBytes / 2)
    const large = `{"commits":[{"events":[{"stream":"s","type":"A","id":"y","time":1,"data":"${quotes}"}]}]}`
    equal((await anna.pushAll(large)).map(verdictOf), ['too-large'], 'escapes that are needed')
  })
}

function fidelity(add: AddServerCase): void {
  add('what is stored is what was pushed, one line an event', async (subject) => {
    const anna = new ContractClient(subject)
    const texts = [
      '{ "a" :\n{\n"b":\r\n[ 1 ,\t2 ] } }',
      '"line\\nfeed \\u000a \\u2028 \u2028 \u0085"',
      '"\\u0000 \\ud800 \\udc00\\ud800 \\ud83d\\ude00 \u{1f600}"',
      '{"__proto__":{"a":1},"constructor":1,"toString":null,"":2}',
      '{"b":1,"a":{"d":[],"c":{}}}',
      '[0,-1.5,1e21,1e-7,5e-324,1.7976931348623157e308,9007199254740993,0.1]',
      'null',
      'false',
      '""',
      '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
    ]
    const body = texts.map(
      (data, n) => `{"stream":"s","type":"A","id":"${n}","time":${n},\n"data":${data},"meta":${data}}`,
    )
    equal(
      verdictOf((await anna.pushAll(`{"commits":[\n{"events":[${body.join(',\n')}]}]}`))[0]),
      'accepted',
      'the answer',
    )
    const events = await anna.all()
    for (const [n, text] of texts.entries()) {
      const { data, meta } = events[n] ?? {}
      equal([data, meta], [JSON.parse(text), JSON.parse(text)], text)
    }
  })

  add('ids, streams and types are kept to the code unit', async (subject) => {
    const anna = new ContractClient(subject)
    const odd = ['a\u0000b', 'é', 'e\u0301', '\u{1f600}', '__proto__', 'a b', '"', '\\', '%00', 'a\u2028x', "a'b", '0']
    const halves = ['\ud83d', '\ude00', '\ude00\ud83d']
    const events = [...odd.map((name) => event(name, { stream: name, type: name })), ...halves.map((id) => event(id))]
    equal(verdictOf(await anna.pushOne({ events })), 'accepted', 'the answer')
    const stored = (await anna.all()).map(({ id, stream, type }) => [id, stream, type])
    equal(
      stored,
      events.map(({ id, stream, type }) => [id, stream, type]),
      'the names',
    )
    equal(await anna.pushOne({ events }), { id: events[0]?.id, accepted: 1 }, 'the same again')
    for (const name of odd)
      equal(
        await anna.pushOne(commit(`on ${name}`, { expect: { [`${name}`]: name }, requires: halves }, 'other')),
        { id: `on ${name}`, accepted: (await anna.info()).head },
        `what expects ${JSON.stringify(name)}`,
      )
  })

  add('a number may be written in any way', async (subject) => {
    const anna = new ContractClient(subject)
    const written = '"time":1.0e3,"schema":2.0,"data":[1.0,10e-1,-0.0,0.1e1]'
    const body = `{"commits":[{"events":[{"stream":"s","type":"A","id":"x",${written}}]}]}`
    equal(await anna.pushAll(body), [{ id: 'x', accepted: 1 }], 'the answer')
    const [stored] = await anna.all()
    equal([stored?.['time'], stored?.['schema']], [1000, 2], 'time and schema')
    const data = stored?.['data'] as readonly number[]
    ok(Math.abs(data[2] as number) === 0 && data.filter((each) => each === 1).length === 3, 'the same numbers')
    equal(await anna.pushAll(body), [{ id: 'x', accepted: 1 }], 'the same again')
  })

  add('a member that is there twice is refused with the push, or the last one counts', async (subject) => {
    const anna = new ContractClient(subject)
    const bodies = [
      '{"commits":[{"events":[{"stream":"s","type":"A","id":"x","time":1,"data":1,"data":2}]}]}',
      '{"commits":[{"events":[{"stream":"s","type":"A","id":"y","time":1,"data":{"a":1,"a":2}}]}]}',
      '{"commits":[],"commits":[{"events":[{"stream":"s","type":"A","id":"z","time":1,"data":2}]}]}',
    ]
    for (const body of bodies) {
      const { response, json } = await anna.pushing(body)
      if (response.status === 200) {
        equal(verdictOf((json.answers as never[])[0]), 'accepted', body)
        const { data } = (await anna.all()).at(-1) ?? {}
        ok(data === 2 || (data as { a?: unknown }).a === 2, `the last one to count in ${body}`)
      } else ok([400, 422].includes(response.status), `a status that refuses it, not ${response.status}`)
    }
  })

  add('times may be any', async (subject) => {
    const anna = new ContractClient(subject)
    const times = [0, -1, 1, 8.64e15, -8.64e15, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER]
    await anna.push({ events: times.map((time) => event(`t${time}`, { time })) })
    equal(
      (await anna.all()).map(({ time }) => time),
      times,
      'the times',
    )
  })

  add('a commit with one id twice is refused', async (subject) => {
    const anna = new ContractClient(subject)
    equal(verdictOf(await anna.pushOne({ events: [event('x'), event('x')] })), 'id-taken', 'the answer')
    equal(await anna.ids(), [], 'the log')
  })
}
