/** What becomes of a commit. */
import type { WireCommit } from '../../../wire/protocol.js'
import { equal, ok } from '../assert.js'
import { needs } from '../contract-case.js'
import { commit, ContractClient, event, verdictOf, type AddServerCase } from './contract-client.js'

export function ruleCases(add: AddServerCase): void {
  for (const part of [
    storing,
    knownIds,
    remembering,
    cancelling,
    owning,
    refusalTexts,
    needing,
    waitingStreams,
    expecting,
    expectingVersions,
    conditions,
    patterns,
    reaching,
    adopting,
  ])
    part(add)
}

function storing(add: AddServerCase): void {
  add('commits are stored in order, with the next positions and versions', async (subject) => {
    const anna = new ContractClient(subject)
    equal(await anna.pushAll({ commits: [] }), [], 'an empty push')
    const answers = await anna.push(
      { events: [event('a1'), event('a2', { stream: 't' }), event('a3')] },
      { events: [event('b1', { stream: 't', schema: 3, meta: { by: 'anna' } })] },
    )
    equal(
      answers,
      [
        { id: 'a1', accepted: 1 },
        { id: 'b1', accepted: 4 },
      ],
      'the verdicts',
    )
    equal(
      await anna.all(),
      [
        { position: 1, commit: 1, stream: 's', version: 1, type: 'A', id: 'a1', time: 1, data: { id: 'a1' } },
        { position: 2, commit: 1, stream: 't', version: 1, type: 'A', id: 'a2', time: 1, data: { id: 'a2' } },
        { position: 3, commit: 1, stream: 's', version: 2, type: 'A', id: 'a3', time: 1, data: { id: 'a3' } },
        {
          position: 4,
          commit: 4,
          stream: 't',
          version: 2,
          type: 'A',
          schema: 3,
          id: 'b1',
          time: 1,
          data: { id: 'b1' },
          meta: { by: 'anna' },
        },
      ].map(({ ...line }) => line),
      'the log',
    )
    equal((await anna.info()).head, 4, 'the head')
    const { json } = await anna.pushing({ commits: [commit('c1')] })
    equal(json['head'], 5, 'the head that a push says')
  })

  add('a commit that says it is healed is stored like any other', async (subject) => {
    const anna = new ContractClient(subject)
    equal(await anna.pushOne(commit('x', { healed: true })), { id: 'x', accepted: 1 }, 'the answer')
    equal(verdictOf(await anna.pushOne(commit('y', { healed: true, expect: { s: null } }))), 'conflict', 'a conflict')
  })
}

function knownIds(add: AddServerCase): void {
  add('rule 1: a commit that is in the log is accepted again, from any author and however often', async (subject) => {
    const anna = new ContractClient(subject)
    const one = commit(['x', 'y'], { expect: { s: null } })
    equal(
      await anna.push(commit('w'), commit(['x', 'y']), commit(['x', 'y'])),
      [
        { id: 'w', accepted: 1 },
        { id: 'x', accepted: 2 },
        { id: 'x', accepted: 2 },
      ],
      'twice in one push',
    )
    equal(await anna.pushOne(one), { id: 'x', accepted: 2 }, 'with an expectation that does not hold any more')
    equal(await new ContractClient(subject, 'bert').pushOne(one), { id: 'x', accepted: 2 }, 'by another author')
    equal(await anna.ids(), ['w', 'x', 'y'], 'the log')
  })

  add('rule 1: data is compared as JSON values, and nothing else but stream and type is', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push({ events: [event('x', { data: { a: 1, b: [1, 100] }, meta: 1 })] })
    const again =
      '{"commits":[{"events":[{ "id":"x",\n"stream":"s","type":"A","time":2,"data":{"b" : [1.0,1e2],"\\u0061":1}}]}]}'
    equal(await anna.pushAll(again), [{ id: 'x', accepted: 1 }], 'the answer')
    equal((await anna.all())[0]?.['time'], 1, 'the time in the log')
  })

  add('rule 1: an id that is in the log with another stream, type or data is taken', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit(['x', 'y']))
    const others = [
      event('x', { stream: 't' }),
      event('x', { type: 'B' }),
      event('x', { data: { id: 'z' } }),
      event('x', { data: [{ id: 'x' }] }),
      event('x', { data: null }),
      event('x', { data: { id: 'x', more: 1 } }),
      event('x', { data: {} }),
    ]
    for (const other of others) {
      const bert = new ContractClient(subject, `bert ${JSON.stringify(other)}`)
      equal(verdictOf(await bert.pushOne({ events: [other, event('y')] })), 'id-taken', JSON.stringify(other))
      equal(
        verdictOf(await bert.pushOne({ events: [event(`new ${bert.author}`), other] })),
        'id-taken',
        'behind a new one',
      )
    }
    equal(await anna.ids(), ['x', 'y'], 'the log')
  })

  add('rule 1: values of different types are different data, and numbers are doubles', async (subject) => {
    const anna = new ContractClient(subject)
    const values = [1, 0, true, false, null, '', '1', [], {}, [0], 'true', '\u00e9', 'e\u0301']
    await anna.push({ events: values.map((data, n) => event(`v${n}`, { data: [data] })) })
    for (const [n, stored] of values.entries())
      for (const data of values) {
        // A session of its own each time, or the first verdict would be there again.
        const bert = new ContractClient(subject, `bert ${n} ${JSON.stringify(data)}`)
        const verdict = verdictOf(await bert.pushOne({ events: [event(`v${n}`, { data: [data] })] }))
        equal(
          verdict,
          data === stored ? 'accepted' : 'id-taken',
          `${JSON.stringify(data)} for ${JSON.stringify(stored)}`,
        )
      }
    const push = (data: string) =>
      anna.pushAll(`{"commits":[{"events":[{"stream":"t","type":"A","id":"x","time":1,"data":${data}}]}]}`)
    const first = await push('[9007199254740992,0.1,1e21]')
    equal(
      await push('[9007199254740993,0.1000000000000000055,1000000000000000000000]'),
      first,
      'other digits of the same doubles',
    )
  })

  add('rule 1: a commit of which a part is in the log is incomplete', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit(['x', 'y']))
    equal(verdictOf(await anna.pushOne(commit(['x', 'z']))), 'incomplete', 'the beginning')
    equal(verdictOf(await anna.pushOne(commit(['w', 'y']))), 'incomplete', 'the end')
    equal(await anna.ids(), ['x', 'y'], 'the log')
  })
}

function remembering(add: AddServerCase): void {
  const conflict = { conflict: { stream: 's', last: 'w' } }

  add('rule 2: a verdict is final: the same commit gets it again, whatever has changed', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('w'))
    equal(await anna.pushOne(commit(['x', 'y'], { expect: { s: null } })), { id: 'x', ...conflict }, 'the answer')
    await anna.push(commit('v'))
    equal(await anna.pushOne(commit(['x', 'y'])), { id: 'x', ...conflict }, 'without the expectation')
    equal(await anna.pushOne(commit(['x', 'y'], { expect: { s: 'v' } })), { id: 'x', ...conflict }, 'with a right one')
    equal(await anna.ids(), ['w', 'v'], 'the log')
  })

  add('rule 2: a verdict is found by every id of the commit', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('w'))
    await anna.push(commit(['x', 'y', 'z'], { expect: { s: null } }))
    equal(await anna.pushOne(commit('y')), { id: 'y', ...conflict }, 'another commit with the second id')
    equal(await anna.pushOne(commit(['new', 'z'])), { id: 'new', ...conflict }, 'another commit with the third')
    equal(await anna.pushOne(commit('new')), { id: 'new', ...conflict }, 'an id that came with it')
    equal(await anna.ids(), ['w'], 'the log')
  })

  add('rule 2: of several verdicts, that of the first id counts', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('w'))
    await anna.push(commit('x', { expect: { s: null } }))
    await anna.cancel('y')
    equal(verdictOf(await anna.pushOne(commit(['new', 'y', 'x']))), 'cancelled', 'a commit with both ids')
    equal(await anna.pushOne(commit(['x', 'y'])), { id: 'x', ...conflict }, 'in the other order')
    equal(verdictOf(await anna.cancel('newer', 'x', 'y')), 'conflict', 'a cancel with both ids')
  })

  add('rule 2: a verdict is of its author alone', async (subject) => {
    const [anna, bert] = [new ContractClient(subject), new ContractClient(subject, 'bert')]
    await anna.push(commit('w'))
    equal(verdictOf(await bert.pushOne(commit('x', { expect: { s: null } }))), 'conflict', 'what bert gets')
    equal(await anna.pushOne(commit('x')), { id: 'x', accepted: 2 }, 'what anna gets')
  })

  add('a refused commit is not stored by a later push of its events among others', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('w'))
    const answers = await anna.push(commit('x', { expect: { s: null } }), commit('v'), commit('x'))
    equal(answers.map(verdictOf), ['conflict', 'accepted', 'conflict'], 'the verdicts')
  })
}

function cancelling(add: AddServerCase): void {
  add('a cancelled commit is never stored, by any of its ids', async (subject) => {
    const anna = new ContractClient(subject)
    equal(verdictOf(await anna.cancel('x', 'y')), 'cancelled', 'the answer')
    equal((await anna.cancel('x', 'y')).id, 'x', 'the id of the answer')
    equal(verdictOf(await anna.pushOne(commit(['x', 'y']))), 'cancelled', 'the commit')
    equal(verdictOf(await anna.pushOne(commit('y'))), 'cancelled', 'another commit with its second id')
    equal(await anna.ids(), [], 'the log')
  })

  add('a commit that is in the log is not cancelled', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('w'), commit(['x', 'y']))
    equal(await anna.cancel('x', 'y'), { id: 'x', accepted: 2 }, 'the answer')
    equal(await anna.pushOne(commit(['x', 'y'])), { id: 'x', accepted: 2 }, 'the commit')
    equal(await anna.ids(), ['w', 'x', 'y'], 'the log')
  })

  add('a cancel of which the log has any id says its position, also after an earlier verdict', async (subject) => {
    const [anna, bert] = [new ContractClient(subject), new ContractClient(subject, 'bert')]
    await anna.push(commit('w'), commit(['x', 'y']))
    equal(await anna.cancel('new', 'y', 'x'), { id: 'new', accepted: 3 }, 'the first one that is in the log')
    equal(await anna.pushOne(commit('new')), { id: 'new', accepted: 4 }, 'the id that was not')
    equal(verdictOf(await anna.cancel('z')), 'cancelled', 'a cancel')
    await bert.push(commit('z'))
    equal(await anna.cancel('z'), { id: 'z', accepted: 5 }, 'the same cancel, when another author has stored the id')
  })

  add('cancels are decided behind the commits of their push, and keep earlier verdicts', async (subject) => {
    const anna = new ContractClient(subject)
    const answers = await anna.pushAll({
      commits: [commit('x'), commit('y', { expect: { s: null } })],
      cancel: [['x'], ['y'], ['z']],
    })
    equal(answers.map(verdictOf), ['accepted', 'conflict', 'accepted', 'conflict', 'cancelled'], 'the verdicts')
    equal(
      answers.map(({ id }) => id),
      ['x', 'y', 'x', 'y', 'z'],
      'the ids',
    )
  })

  add("another author's commit is not cancelled", async (subject) => {
    const [anna, bert] = [new ContractClient(subject), new ContractClient(subject, 'bert')]
    equal(verdictOf(await bert.cancel('x')), 'cancelled', 'what bert gets')
    equal(await anna.pushOne(commit('x')), { id: 'x', accepted: 1 }, 'what anna gets')
    equal(verdictOf(await anna.pushOne(commit('y', { requires: ['x'] }))), 'accepted', 'what was decided on it')
  })
}

function owning(add: AddServerCase): void {
  add('rule 9: what the owner refuses is refused for good, and the rest of the push is decided', async (subject) => {
    needs(subject, 'refusedType')
    const { refusedType } = subject
    const anna = new ContractClient(subject)
    const refused: WireCommit = { events: [event('x'), event('y', { type: refusedType })] }
    const [first, second] = await anna.push(refused, commit('z'))
    ok(first !== undefined && 'refused' in first && first.refused.message !== undefined, 'a refusal')
    equal(second, { id: 'z', accepted: 1 }, 'the other commit')
    equal(await anna.pushOne(commit('x')), first, 'the same id without what was refused')
    equal(verdictOf(await anna.pushOne(commit('w', { requires: ['y'] }))), 'blocked', 'what was decided on it')
    equal(await anna.ids(), ['z'], 'the log')
  })

  add('rule 9: the owner decides nothing about a commit that is behind or in conflict', async (subject) => {
    needs(subject, 'refusedType')
    const [anna, bert] = [new ContractClient(subject), new ContractClient(subject, 'bert')]
    const of = (id: string, more: Partial<WireCommit>): WireCommit => ({
      events: [event(id, { type: subject.refusedType as string })],
      ...more,
    })
    const wanted = of('x', { requires: ['v'] })
    equal(await anna.pushOne(wanted), { id: 'x', behind: 'v' }, 'without what it requires')
    await bert.push(commit('v'))
    const conflict = await anna.pushOne(of('y', { expect: { s: null } }))
    equal(conflict, { id: 'y', conflict: { stream: 's', last: 'v' } }, 'where another one was faster')
    ok('refused' in (await anna.pushOne(wanted)), 'a refusal with what it requires')
    const [first, second] = await anna.push(commit('w'), of('z', { requires: ['w'] }))
    equal(first, { id: 'w', accepted: 2 }, 'what it requires in the same push')
    // A server may have asked too early, and then says nothing yet.
    const last = second ?? (await anna.pushOne(of('z', { requires: ['w'] })))
    ok('refused' in last, 'a refusal')
  })
}

function refusalTexts(add: AddServerCase): void {
  add('rule 9: the text of a refusal is bounded, and the same in each response', async (subject) => {
    const { refusedType } = subject
    if (refusedType === undefined) return
    const anna = new ContractClient(subject)
    // An owner who tells the device what it sent.
    const data = `${'x'.repeat(999)}\u{1f600}${'y'.repeat(100_000)}`
    const refused: WireCommit = { events: [event('x', { type: refusedType, data }), event('y')] }
    const answer = await anna.pushOne(refused)
    ok('refused' in answer, 'a refusal')
    const { code, message } = answer.refused
    ok(code.length > 0 && code.length <= 255, `a code of 1 to 255 characters, not ${code.length}`)
    ok(message.length <= 1000, `a message of at most 1000 characters, not ${message.length}`)
    ok(!/[\ud800-\udbff]$/.test(message), 'a message that ends with a whole character')
    equal(await anna.pushOne(refused), answer, 'the same again')
    equal(await anna.cancel('y'), { ...answer, id: 'y' }, 'by another id')
  })
}

function needing(add: AddServerCase): void {
  add(
    'rules 5 and 6: what a commit requires is in the log, or the commit is behind, which is not final',
    async (subject) => {
      const anna = new ContractClient(subject)
      await anna.push(commit('w'))
      equal(await anna.pushOne(commit('x', { requires: ['w', 'v'] })), { id: 'x', behind: 'v' }, 'without it')
      await new ContractClient(subject, 'bert').push(commit('v', {}, 't'))
      equal(await anna.pushOne(commit('x', { requires: ['w', 'v'] })), { id: 'x', accepted: 3 }, 'with it')
    },
  )

  add('rule 6: so are the ids of expectations and conditions', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('w'))
    const condition = { failIfEventsMatch: { types: ['B'] }, after: 'w' }
    for (const needing of [
      commit('x', { expect: { s: 'v' } }),
      commit('x', { expect: { t: 'v' } }),
      commit('x', { condition: { ...condition, after: 'v' } }),
      commit('x', { condition: { ...condition, except: ['w', 'v'] } }),
    ])
      equal(await anna.pushOne(needing), { id: 'x', behind: 'v' }, JSON.stringify(needing))
    equal(await anna.pushOne(commit('x', { condition })), { id: 'x', accepted: 2 }, 'with ids that are there')
  })

  add('rule 4: a commit waits for an earlier one of its push that is behind in the same stream', async (subject) => {
    const anna = new ContractClient(subject)
    const answers = await anna.push(
      { events: [event('x'), event('y', { stream: 't' })], requires: ['v'] },
      commit('a', {}, 'u'),
      commit('b', {}, 't'),
      { events: [event('c', { stream: 'u' }), event('d', { stream: 's' })] },
      commit('e', {}, 'u'),
    )
    equal(
      answers,
      [
        { id: 'x', behind: 'v' },
        { id: 'a', accepted: 1 },
        { id: 'b', behind: 'x' },
        { id: 'c', behind: 'x' },
        { id: 'e', behind: 'c' },
      ],
      'the verdicts',
    )
    equal(await anna.pushOne(commit('b', {}, 't')), { id: 'b', accepted: 2 }, 'the same in a push of its own')
  })

  add('rule 4: what is in the log, or refused, does not wait', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('a'))
    await anna.cancel('b')
    const answers = await anna.push(commit('x', { requires: ['v'] }), commit('a'), commit('b'), commit('c'))
    equal(answers.map(verdictOf), ['behind', 'accepted', 'cancelled', 'behind'], 'the verdicts')
  })

  add('rule 5: what was decided on a refused commit is blocked, for good', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('w'))
    await anna.push(commit(['x', 'y'], { expect: { s: null } }))
    const condition = { failIfEventsMatch: {}, after: 'w' }
    for (const [index, needing] of [
      { requires: ['y'] },
      { expect: { s: 'y' } },
      { expect: { t: 'x' } },
      { condition: { ...condition, after: 'y' } },
      { condition: { ...condition, except: ['y'] } },
    ].entries())
      equal(verdictOf(await anna.pushOne(commit(`z${index}`, needing))), 'blocked', JSON.stringify(needing))
    equal(await anna.pushOne(commit('z0')), { id: 'z0', blocked: 'y' }, 'the same commit without its needs')
    equal(verdictOf(await anna.pushOne(commit('a', { requires: ['z0'] }))), 'blocked', 'what was decided on that one')
    equal(await anna.ids(), ['w'], 'the log')
  })

  add('rules 5 and 6: blocked is asked before behind', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.cancel('x')
    equal(await anna.pushOne(commit('y', { requires: ['v', 'x'] })), { id: 'y', blocked: 'x' }, 'the answer')
  })

  add('rule 5: a refused id is blocked even if another author has stored something under it', async (subject) => {
    const [anna, bert] = [new ContractClient(subject), new ContractClient(subject, 'bert')]
    await anna.cancel('x')
    await bert.push({ events: [event('x', { data: 'of bert' })] })
    equal(await anna.pushOne(commit('y', { requires: ['x'] })), { id: 'y', blocked: 'x' }, 'what anna gets')
    equal(verdictOf(await bert.pushOne(commit('z', { requires: ['x'] }))), 'accepted', 'what bert gets')
  })
}

function expectingVersions(add: AddServerCase): void {
  add('rule 7: the last event of a stream has the expected version', async (subject) => {
    const anna = new ContractClient(subject)
    const on = (id: string, last: string, version: number, more: object = {}) =>
      anna.pushOne(commit(id, { expect: { s: [last, version] }, ...more }))
    const conflict = { conflict: { stream: 's', last: 'b' } }
    await anna.push(commit(['a', 'b']))
    equal(await on('c', 'b', 1), { id: 'c', ...conflict }, 'an earlier version')
    equal(await on('d', 'b', 3), { id: 'd', ...conflict }, 'a later version')
    equal(await on('e', 'a', 1), { id: 'e', ...conflict }, 'an earlier event at its version')
    equal(await on('f', 'b', 2), { id: 'f', accepted: 3 }, 'the last event at its version')
    equal(
      (await anna.push(commit('g', { expect: { s: ['f', 3] } }), commit('h', { expect: { s: ['g', 4] } }))).map(
        verdictOf,
      ),
      ['accepted', 'accepted'],
      'two of one push, each on the one before it',
    )
  })

  add(
    'rule 7: what was decided on a commit that comes to another place is in conflict, also in one push',
    async (subject) => {
      const [anna, bert] = [new ContractClient(subject), new ContractClient(subject, 'bert')]
      await bert.push(commit('a'))
      equal(
        await anna.push(commit('x'), commit('y', { expect: { s: ['x', 1] } })),
        [
          { id: 'x', accepted: 2 },
          { id: 'y', conflict: { stream: 's', last: 'x' } },
        ],
        'what the server said',
      )
    },
  )

  add('rule 6: what is missing, and can never be where it is expected, is a conflict', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit(['a', 'b']))
    const on = (id: string, version: number) => anna.pushOne(commit(id, { expect: { s: ['v', version] } }))
    equal(await on('x', 3), { id: 'x', behind: 'v' }, 'the next one')
    const conflict = { conflict: { stream: 's', last: 'b' } }
    equal(await on('y', 2), { id: 'y', ...conflict }, 'the one that is there')
    equal(await on('z', 1), { id: 'z', ...conflict }, 'one before it')
    equal(
      await anna.pushOne(commit('w', { expect: { t: ['v', 1], s: ['b', 1] }, requires: ['u'] })),
      { id: 'w', ...conflict },
      'the first that cannot hold, whatever else is missing',
    )
    equal(
      await anna.pushOne(commit('c', { expect: { s: ['b', 2] }, requires: ['u'] })),
      { id: 'c', behind: 'u' },
      'one that holds still',
    )
  })
}

function expecting(add: AddServerCase): void {
  add('rule 7: the last event of a stream is the expected one', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('a', { expect: { s: null } }), commit('b', { expect: { s: 'a' } }), commit('c', {}, 't'))
    equal(
      await anna.pushOne(commit('d', { expect: { s: 'a' } })),
      { id: 'd', conflict: { stream: 's', last: 'b' } },
      'an earlier one',
    )
    equal(
      await anna.pushOne(commit('e', { expect: { s: null } })),
      { id: 'e', conflict: { stream: 's', last: 'b' } },
      'no stream',
    )
    equal(
      await anna.pushOne(commit('f', { expect: { s: 'c' } })),
      { id: 'f', conflict: { stream: 's', last: 'b' } },
      'one of another stream',
    )
    equal(
      await anna.pushOne(commit('g', { expect: { u: 'b' } })),
      { id: 'g', conflict: { stream: 'u', last: null } },
      'of a stream that is not there',
    )
    equal(await anna.pushOne(commit('h', { expect: { s: 'b' } })), { id: 'h', accepted: 4 }, 'the last one')
  })

  add('rule 7: streams that are only read are compared too, and all of them', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('a', {}, 't'), commit('b', {}, 'u'))
    const on = (id: string, t: string | null, u: string | null) =>
      anna.pushOne(commit(id, { expect: { s: null, t, u, v: null } }))
    equal(verdictOf(await on('x', 'a', null)), 'conflict', 'one that is wrong')
    equal(verdictOf(await on('y', 'a', 'b')), 'accepted', 'all right')
  })

  add('rule 7: names such as __proto__ are names', async (subject) => {
    const anna = new ContractClient(subject)
    const on = (id: string, wanted: string, stream: string) =>
      anna.pushAll(
        `{"commits":[{"events":[${JSON.stringify(event(id, { stream }))}],"expect":{${JSON.stringify(stream)}:${wanted}}}]}`,
      )
    for (const stream of ['__proto__', 'constructor', 'toString', 'a\u0000b', '0']) {
      equal((await on(`1 ${stream}`, 'null', stream)).map(verdictOf), ['accepted'], `a new stream ${stream}`)
      equal(
        await on(`2 ${stream}`, 'null', stream),
        [{ id: `2 ${stream}`, conflict: { stream, last: `1 ${stream}` } }],
        `the stream ${stream}`,
      )
      equal(
        (await on(`3 ${stream}`, JSON.stringify(`1 ${stream}`), stream)).map(verdictOf),
        ['accepted'],
        'its last id',
      )
    }
  })

  add('needs come before expectations: what is behind is not refused', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('a'))
    equal(verdictOf(await anna.pushOne(commit('x', { expect: { s: null }, requires: ['v'] }))), 'behind', 'the answer')
  })
}

function conditions(add: AddServerCase): void {
  const matching = (failIfEventsMatch: object, after: string | null = null, except?: readonly string[]) => ({
    condition: { failIfEventsMatch, after, ...(except && { except }) },
  })
  const fill = async (anna: ContractClient) => {
    await anna.push(
      { events: [event('a', { type: 'A', stream: 'cart/1' }), event('b', { type: 'B', stream: 'cart/2' })] },
      { events: [event('c', { type: 'B', stream: 'hall-1' })] },
      { events: [event('d', { type: '__proto__', stream: 'cart' })] },
    )
  }

  add('rule 8: a commit is refused if an event matches, with the position of the first one', async (subject) => {
    const anna = new ContractClient(subject)
    await fill(anna)
    const cases: (readonly [object, number | undefined])[] = [
      [{}, 1],
      [{ types: ['B'] }, 2],
      [{ types: ['C', '__proto__'] }, 4],
      [{ types: ['C'] }, undefined],
      [{ types: [] }, undefined],
      [{ streamPrefix: 'cart/' }, 1],
      [{ streamPrefix: 'h' }, 3],
      [{ streamPrefix: 'all' }, undefined],
      [{ streamPrefix: '', types: ['B'] }, 2],
      [{ streamPattern: 'cart' }, 4],
      [{ streamPattern: 'cart/?' }, 1],
      [{ streamPattern: '*1' }, 1],
      [{ streamPattern: '[g-i]all-[!2]' }, 3],
      [{ streamPattern: 'cart/3*' }, undefined],
      [{ streamPattern: '*', types: ['B'] }, 2],
      [{ streamPrefix: 'cart/', types: ['__proto__'] }, undefined],
    ]
    for (const [index, [filter, position]] of cases.entries()) {
      const id = `x${index}`
      const answer = await anna.pushOne(commit(id, matching(filter), 'other'))
      equal(
        answer,
        position === undefined ? { id, accepted: (await anna.info()).head } : { id, conflict: { position } },
        `the answer for ${JSON.stringify(filter)}`,
      )
    }
  })

  add('rule 8: events up to `after` do not count, nor do those of `except`', async (subject) => {
    const anna = new ContractClient(subject)
    await fill(anna)
    const answers = [
      await anna.pushOne(commit('w', matching({ types: ['B'] }, 'a'), 'other')),
      await anna.pushOne(commit('x', matching({ types: ['B'] }, 'b'), 'other')),
      await anna.pushOne(commit('y', matching({ types: ['B'] }, 'b', ['c']), 'other')),
      await anna.pushOne(commit('z', matching({ types: ['B'] }, 'c'), 'other')),
    ]
    equal(
      answers,
      [
        { id: 'w', conflict: { position: 2 } },
        { id: 'x', conflict: { position: 3 } },
        { id: 'y', accepted: 5 },
        { id: 'z', accepted: 6 },
      ],
      'the verdicts',
    )
  })

  add('rule 8: what the same push has stored before counts, and the commit itself does not', async (subject) => {
    const anna = new ContractClient(subject)
    const answers = await anna.push(
      commit('x', matching({ types: ['A'] })),
      commit('y', matching({ types: ['A'] })),
      commit('z', matching({ types: ['A'] }, 'x', ['y'])),
      commit('u', matching({ types: ['A'] }, 'x', ['z'])),
    )
    // The third needs the second, which was refused.
    equal(answers.map(verdictOf), ['accepted', 'conflict', 'blocked', 'blocked'], 'the verdicts')
  })

  add('rules 7 and 8: expectations come before the condition', async (subject) => {
    const anna = new ContractClient(subject)
    await fill(anna)
    const answer = await anna.pushOne(commit('x', { ...matching({}), expect: { cart: null } }))
    equal(answer, { id: 'x', conflict: { stream: 'cart', last: 'd' } }, 'the answer')
  })
}

function reaching(add: AddServerCase): void {
  add(
    'rule 8: more than 10,000 events below the head nothing is looked for, and the commit is behind',
    async (subject) => {
      const anna = new ContractClient(subject)
      await anna.push(commit('first'), commit('second'))
      for (let part = 0; part < 10; part += 1)
        await anna.push({ events: Array.from({ length: 1000 }, (_, n) => event(`${part}-${n}`, { data: 0 })) })
      const on = (after: string | null) => ({ condition: { failIfEventsMatch: { types: ['B'] }, after } })
      equal(await anna.pushOne(commit('x', on(null))), { id: 'x', behind: 'x' }, 'the beginning')
      equal(await anna.pushOne(commit('x', on('first'))), { id: 'x', behind: 'first' }, '10,001 below the head')
      equal(await anna.pushOne(commit('x', on('second'))), { id: 'x', accepted: 10_003 }, '10,000 below the head')
    },
  )
}

function adopting(add: AddServerCase): void {
  add('at: the first commit that is stored begins there, and the answer has the chain of the head', async (subject) => {
    const anna = new ContractClient(subject)
    const push = async (at: number, ...commits: WireCommit[]) => await anna.pushing({ commits, at })
    const first = await push(0, commit('a'), commit(['b', 'c']))
    equal(first.response.status, 200, 'the status')
    equal([first.json['head'], first.json['chain']], [3, (await anna.pull()).chain], 'head and chain')
    const again = await push(0, commit('a'), commit(['b', 'c']))
    equal(
      [again.response.status, again.json.answers, again.json['chain']],
      [
        200,
        [
          { id: 'a', accepted: 1 },
          { id: 'b', accepted: 2 },
        ],
        first.json['chain'],
      ],
      'the same push again',
    )
    const next = await push(3, commit(['b', 'c']), commit('d'))
    equal([next.json['head'], next.json['chain']], [4, (await anna.pull()).chain], 'head and chain of the next part')
    equal((await anna.pushing({ commits: [] })).json['chain'], undefined, 'the chain without at')
  })

  add('at: if the log has moved, nothing of the push is stored, nor any verdict', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('a'))
    for (const at of [0, 2])
      equal(
        await anna.refusedPush({
          commits: [commit('x', { expect: { s: null } }), commit('b'), commit('c')],
          cancel: [['d']],
          at,
        }),
        { status: 409, code: 'moved' },
        `a push at ${at}`,
      )
    equal(await anna.ids(), ['a'], 'the log')
    equal(
      (await anna.push(commit('x'), commit('d'))).map(verdictOf),
      ['accepted', 'accepted'],
      'what would have been refused, or cancelled',
    )
    const none = await anna.pushing({ commits: [commit('a')], at: 7 })
    equal([none.response.status, none.json.answers], [200, [{ id: 'a', accepted: 1 }]], 'a push of what is there')
  })
}

function waitingStreams(add: AddServerCase): void {
  add('rule 4: streams that are only expected make nothing wait', async (subject) => {
    const anna = new ContractClient(subject)
    const answers = await anna.push(
      commit('x', { requires: ['v'], expect: { u: null } }),
      // Expects a stream in which the one that is behind has an event …
      commit('a', { expect: { s: null } }, 't'),
      // … and has an event in one that it only expects.
      commit('b', {}, 'u'),
    )
    equal(
      answers,
      [
        { id: 'x', behind: 'v' },
        { id: 'a', accepted: 1 },
        { id: 'b', accepted: 2 },
      ],
      'the verdicts',
    )
  })
}

function patterns(add: AddServerCase): void {
  add('rule 8: what a pattern matches', async (subject) => {
    const anna = new ContractClient(subject)
    const streams = ['ab', 'a-b', '-', '!', '^', 'a\\b', '\u{1f600}', 'b']
    await anna.push({ events: streams.map((stream, n) => event(`p${n}`, { stream })) })
    const cases: (readonly [pattern: string, matching: readonly string[]])[] = [
      ['a?b', ['a-b', 'a\\b']],
      ['a*b', ['ab', 'a-b', 'a\\b']],
      ['**', streams],
      // A code unit is no character: one beyond U+FFFF has two.
      ['?', ['-', '!', '^', 'b']],
      ['??', ['ab', '\u{1f600}']],
      ['\u{1f600}', ['\u{1f600}']],
      ['[a-]', ['-']],
      ['[-a]', ['-']],
      ['[a!]', ['!']],
      ['[!!-]', ['^', 'b']],
      ['[^a]', ['^']],
      ['[a-bx-z]', ['b']],
      ['[+--]', ['-']],
      ['[B]', []],
      ['a]b', []],
      ['!', ['!']],
      ['a\\b', ['a\\b']],
      ['a\\?', ['a\\b']],
      ['b*b', []],
    ]
    for (const [index, [streamPattern, matched]] of cases.entries()) {
      const found: string[] = []
      // One after the other: those that were found before are left out.
      for (let except: string[] = []; ; except = found.map((stream) => `p${streams.indexOf(stream)}`)) {
        const condition = { failIfEventsMatch: { streamPattern, types: ['A'] }, after: null, except }
        const id = `x${index}-${found.length}`
        const answer = await anna.pushOne({ events: [event(id, { stream: 'other', type: 'B' })], condition })
        if (!('conflict' in answer) || !('position' in answer.conflict)) break
        found.push(streams[answer.conflict.position - 1] as string)
        ok(found.length <= streams.length, `an end of what ${streamPattern} matches`)
      }
      equal(found, matched, `what ${streamPattern} matches`)
    }
  })
}
