// What is stored after each thing that can happen: pure, without a storage.
import { describe, expect, test } from 'vitest'
import { snapshotAfter, withOwn } from '../../../src/sync/change-rules.js'
import { commitText, wireSize } from '../../../src/sync/commit-text.js'
import { adopted, foundAsIs, ownOf } from '../../../src/sync/rules/adopted.js'
import { firstBatch, firstCancels, toSend, waitingBatch } from '../../../src/sync/rules/batches.js'
import { met } from '../../../src/sync/rules/contact.js'
import { refetched } from '../../../src/sync/rules/control.js'
import { decided } from '../../../src/sync/rules/decided.js'
import { foundInLog } from '../../../src/sync/rules/found-in-log.js'
import { healed, LostTail, rechained, type Healing } from '../../../src/sync/rules/healed.js'
import { lookedThrough } from '../../../src/sync/rules/looked-through.js'
import { marked } from '../../../src/sync/rules/marks.js'
import { needsOf } from '../../../src/sync/rules/outbox-draft.js'
import { pulled } from '../../../src/sync/rules/pulled.js'
import { discarded, retried } from '../../../src/sync/rules/retried.js'
import { sent } from '../../../src/sync/rules/sent.js'
import { answered } from '../../../src/sync/rules/verdicts.js'
import type { OutboxRow, SyncChange, SyncSnapshot } from '../../../src/sync/sync-state.js'
import type { CommitAnswer } from '../../../src/wire/protocol.js'
import { pushText } from '../../../src/sync/push-text.js'
import { by, cursor, page, row, snapshot, text } from '../../support/sync-rows.js'

const command = { name: 'again', args: '[]' }

/** The outbox after a change. */
function after(before: SyncSnapshot, change: SyncChange | undefined): readonly OutboxRow[] {
  if (change === undefined) throw new Error('nothing was changed')
  return snapshotAfter(before, change).outbox
}

/** In short, what became of each row. */
const brief = (rows: readonly OutboxRow[]) =>
  rows.map(({ name, refused, undecided, accepted, behind, cancel }) =>
    [
      name,
      refused?.code,
      undecided && `again: ${undecided.code}`,
      accepted,
      behind && `behind ${behind}`,
      cancel && 'cancel',
    ]
      .filter((part) => part !== undefined)
      .join(' '),
  )

describe('pulled', () => {
  test('own commits that come in the page are confirmed, with what they were decided on', () => {
    const rows = [row(1, 'a'), row(2, 'b', { expect: [['s', 'a']], requires: ['x'] }), row(3, 'c')]
    const before = snapshot(4, rows)
    const change = pulled(before, page(4, [text('z'), text('a'), text('b')], { head: 9 }))
    expect(brief(after(before, change))).toEqual(['c'])
    expect(change?.own).toEqual([
      { at: 6, n: 1 },
      { at: 7, n: 1, needs: ['x', 'a'] },
    ])
    expect(change?.state).toMatchObject({ cursor: cursor(7), head: 9, turn: 1, largestN: 2, marks: [cursor(4)] })
    expect(change?.ended).toEqual([
      { name: 'a', status: 'confirmed', position: 6 },
      { name: 'b', status: 'confirmed', position: 7 },
    ])
    expect(change?.pulled?.events).toHaveLength(3)
  })

  test('N61: the log wins over a refusal and over a cancel', () => {
    const rows = [row(1, 'a', { refused: { code: 'conflict', message: '' } }), row(2, 'b', { cancel: true })]
    const before = snapshot(0, rows)
    expect(after(before, pulled(before, page(0, [text('a'), text('b')])))).toEqual([])
  })

  test('an id with other content refuses the own commit, and what was decided on it follows', () => {
    const rows = [
      row(1, 'a'),
      row(2, 'b', { expect: [['s', 'a']] }),
      row(3, 'c', { expect: [['s', 'b']], command }),
      row(4, 'd'),
    ]
    const before = snapshot(0, rows)
    const change = pulled(before, page(0, [text('a', 's', { data: '"evil"' })]))
    expect(brief(after(before, change))).toEqual(['a id-taken', 'b blocked', 'c again: blocked', 'd'])
    expect(change?.own).toBeUndefined()
  })

  test('a part of a commit is not the commit', () => {
    const before = snapshot(0, [row(1, 'a', { events: [text('a'), text('a2')] })])
    expect(brief(after(before, pulled(before, page(0, [text('a')]))))).toEqual(['a id-taken'])
  })

  test('data that is written in another order is the same', () => {
    const before = snapshot(0, [row(1, 'a', { events: [text('a', 's', { data: '{"x":1,"y":2}' })] })])
    expect(after(before, pulled(before, page(0, [text('a', 's', { data: '{"y":2,"x":1}' })])))).toEqual([])
  })

  test('N60: a page of elsewhere, of another history or of another epoch is thrown away', () => {
    const before = snapshot(4)
    expect(pulled(before, page(3, [text('z')]))).toBeUndefined()
    expect(pulled(before, page(4, [text('z')], { after: { at: 4, chain: 'other' } }))).toBeUndefined()
    expect(pulled(before, page(4, [text('z')], { by: { ...by, epoch: 'e0' } }))).toBeUndefined()
    expect(pulled(before, page(4, [text('z')], { by: { ...by, log: 'other' } }))).toBeUndefined()
  })

  test('a page without news changes nothing, the first one under an epoch does', () => {
    expect(pulled(snapshot(4), page(4, []))).toBeUndefined()
    const change = pulled(snapshot(4, [], { isFresh: false, marks: [cursor(2)] }), page(4, []))
    expect(change?.state).toMatchObject({ isFresh: true, marks: [cursor(2)] })
    expect(change?.pulled).toBeUndefined()
  })

  test('what a commit waited for is there: it is sent with the others again', () => {
    const before = snapshot(0, [row(1, 'a', { behind: 'z' }), row(2, 'b', { behind: 'y' })])
    expect(brief(after(before, pulled(before, page(0, [text('z')]))))).toEqual(['a', 'b behind y'])
  })
})

describe('sent', () => {
  test('is stored once', () => {
    expect(sent(snapshot(0), [row(3, 'a'), row(4, 'b')])?.state.sentTo).toBe(4)
    expect(sent(snapshot(0, [], { sentTo: 4 }), [row(-2, 'a'), row(4, 'b')])).toBeUndefined()
  })

  test('is not stored of what was appended in contact: its row says that it may have left', () => {
    expect(sent(snapshot(0), [row(3, 'a', { leaves: true })])).toBeUndefined()
    expect(sent(snapshot(0), [row(3, 'a'), row(4, 'b', { leaves: true })])?.state.sentTo).toBe(3)
  })
})

describe('answered', () => {
  const push = (answers: readonly CommitAnswer[], more = {}) => ({ by, identity: 'first', head: 0, answers, ...more })
  const becomes = (rows: readonly OutboxRow[], ...answers: CommitAnswer[]) => {
    const before = snapshot(0, rows)
    return brief(after(before, answered(before, push(answers))))
  }

  test('each verdict', () => {
    expect(becomes([row(1, 'a')], { id: 'a', accepted: 7 })).toEqual(['a 7'])
    expect(becomes([row(1, 'a')], { id: 'a', behind: 'x' })).toEqual(['a behind x'])
    expect(becomes([row(1, 'a')], { id: 'a', refused: { code: 'rule', message: '' } })).toEqual(['a rule'])
    expect(becomes([row(1, 'a')], { id: 'a', conflict: { stream: 's', last: null } })).toEqual(['a conflict'])
    expect(becomes([row(1, 'a')], { id: 'a', blocked: 'x' })).toEqual(['a blocked'])
    expect(becomes([row(1, 'a', { command })], { id: 'a', conflict: { position: 3 } })).toEqual(['a again: conflict'])
    expect(becomes([row(1, 'a', { command })], { id: 'a', blocked: 'x' })).toEqual(['a again: blocked'])
    // What the server's rules refuse, no command makes better.
    expect(becomes([row(1, 'a', { command })], { id: 'a', refused: { code: 'rule', message: '' } })).toEqual(['a rule'])
    // A fact once: there is nothing to decide.
    expect(becomes([row(1, 'a', { command, healed: true })], { id: 'a', blocked: 'x' })).toEqual(['a blocked'])
  })

  test('a refusal has what was in the way, and a sentence for people', () => {
    const refusal = (answer: CommitAnswer, more: Partial<OutboxRow> = {}) => {
      const before = snapshot(0, [row(1, 'a', more)])
      return after(before, answered(before, push([answer])))[0]?.refused
    }
    expect(refusal({ id: 'a', conflict: { stream: 'cart-1', last: 'x' } })).toEqual({
      code: 'conflict',
      message: expect.stringMatching(/^Stream 'cart-1' .+\.$/),
      stream: 'cart-1',
      id: 'x',
    })
    expect(refusal({ id: 'a', conflict: { stream: 'cart-1', last: null } })).not.toHaveProperty('id')
    expect(refusal({ id: 'a', conflict: { position: 7 } })).toEqual({
      code: 'conflict',
      message: expect.stringMatching(/^The event at position 7 .+\.$/),
      position: 7,
    })
    expect(refusal({ id: 'a', blocked: 'x' })).toEqual({
      code: 'blocked',
      message: "It was decided on event 'x', whose commit was refused by the server.",
      id: 'x',
    })
    expect(refusal({ id: 'a', refused: { code: 'rule', message: 'We have enough.' } })).toEqual({
      code: 'rule',
      message: 'We have enough.',
    })
    // A server in production has no texts of its own.
    expect(refusal({ id: 'a', refused: { code: 'torn', message: '' } })).toEqual({ code: 'torn', message: 'torn' })
    const waits = snapshot(0, [row(1, 'a'), row(2, 'b', { expect: [['s', 'a']] })])
    const followed = after(waits, answered(waits, push([{ id: 'a', conflict: { position: 7 } }])))[1]?.refused
    expect(followed).toMatchObject({ code: 'blocked', id: 'a' })
    const takenId = snapshot(4, [row(1, 'a')])
    const taken = after(takenId, pulled(takenId, page(4, [{ ...text('a'), stream: 'other' }])))[0]?.refused
    expect(taken).toEqual({ code: 'id-taken', message: expect.stringMatching(/'a'\.$/), id: 'a' })
    const unknown = snapshot(0, [row(1, 'a', { command, undecided: { code: 'conflict' } })])
    const first = unknown.outbox[0] as OutboxRow
    expect(after(unknown, decided(unknown, [[first, { kind: 'unknown' }]]))[0]?.refused).toEqual({
      code: 'command-unknown',
      message: expect.stringMatching(/'again'.+\.$/),
    })
  })

  test('what is in the way of a commit stays known while it is decided again', () => {
    const before = snapshot(0, [row(1, 'a', { command })])
    const [again] = after(before, answered(before, push([{ id: 'a', conflict: { stream: 't', last: 'x' } }])))
    expect(again?.undecided).toEqual({ code: 'conflict', stream: 't', id: 'x' })
  })

  test.for<[string, Partial<OutboxRow>, (before: SyncSnapshot, first: OutboxRow) => SyncChange | undefined]>([
    ['refused', {}, (before) => answered(before, push([{ id: 'a', conflict: { position: 7 } }]))],
    ['decided again', { command }, (before) => answered(before, push([{ id: 'a', conflict: { position: 7 } }]))],
    [
      'decided again',
      { command, undecided: { code: 'conflict' } },
      (before, first) =>
        decided(before, [[first, { kind: 'decided', row: row(1, 'ignored', { events: [text('a2')] }) }]]),
    ],
    [
      'decided again',
      { command, undecided: { code: 'conflict' } },
      (before, first) => decided(before, [[first, { kind: 'nothing' }]]),
    ],
    [
      'refused',
      { command, undecided: { code: 'conflict' } },
      (before, first) => decided(before, [[first, { kind: 'refused', code: 'sold-out', message: 'm' }]]),
    ],
    ['discarded', {}, (before) => discarded(before, 1)],
    ['discarded', { cancel: true }, (before) => answered(before, push([{ id: 'a', conflict: { position: 7 } }]))],
    [
      'sent again under other ids',
      { behind: 'z', renew: ['a2'] },
      (before) => answered(before, push([{ id: 'a', refused: { code: 'cancelled', message: '' } }])),
    ],
    ['refused', {}, (before) => pulled(before, page(0, [{ ...text('a'), stream: 'other' }]))],
  ])('what is blocked says that the commit before it was %s', ([fate, of, change]) => {
    const first = row(1, 'a', of)
    const before = snapshot(0, [first, row(2, 'b', { expect: [['s', 'a']] }), row(3, 'c', { requires: ['b'] })])
    const rows = after(before, change(before, first))
    expect(rows.find(({ n }) => n === 2)?.refused).toEqual({
      code: 'blocked',
      id: 'a',
      message: `It was decided on event 'a', whose commit was ${fate}.`,
    })
    // And those that were decided on that one.
    expect(rows.find(({ n }) => n === 3)?.refused?.message).toMatch(/'b', whose commit was refused\.$/)
  })

  test('what was decided on a commit that is refused follows at once, in whatever way it was', () => {
    const rows = [
      row(1, 'a', { command }),
      row(2, 'b', { expect: [['s', 'a']] }),
      row(3, 'c', { requires: ['b'], command }),
      row(4, 'd', { condition: { failIfEventsMatch: {}, after: null, at: 0, except: ['c'] } }),
      row(5, 'e', { expect: [['s', 'z']] }),
    ]
    expect(becomes(rows, { id: 'a', conflict: { position: 3 } })).toEqual([
      'a again: conflict',
      'b blocked',
      'c again: blocked',
      'd blocked',
      'e',
    ])
  })

  test('a commit that was decided on an earlier version of another one follows it, too', () => {
    const rows = [row(1, 'a', { had: ['a0'] }), row(2, 'b', { expect: [['s', 'a0']] })]
    expect(becomes(rows, { id: 'a', refused: { code: 'rule', message: '' } })).toEqual(['a rule', 'b blocked'])
  })

  test('decided again thirty times, a commit is refused', () => {
    const conflict: CommitAnswer = { id: 'a', conflict: { position: 3 } }
    expect(becomes([row(1, 'a', { command, tries: 99 })], conflict)).toEqual(['a again: conflict'])
    expect(becomes([row(1, 'a', { command, tries: 100 })], conflict)).toEqual(['a conflict'])
  })

  test('only a no of the server counts, not what became of the commits before it', () => {
    const rows = [
      row(1, 'a', { command, tries: 3 }),
      row(2, 'b', { command, tries: 100, expect: [['s', 'a']] }),
      row(3, 'c', { command, expect: [['s', 'b']] }),
    ]
    const before = snapshot(0, rows)
    const found = after(before, answered(before, push([{ id: 'a', conflict: { position: 3 } }])))
    expect(found.map(({ tries, undecided, refused }) => [tries, undecided?.code, refused])).toEqual([
      [4, 'conflict', undefined],
      [100, 'blocked', undefined],
      [undefined, 'blocked', undefined],
    ])
  })

  test('a long chain of commits follows, each looked at a few times', () => {
    const count = 20_000
    let reads = 0
    const rows = Array.from({ length: count }, (_, index) => {
      const expected = [['s', index === 0 ? null : `c${index - 1}`]] as const
      return Object.defineProperty(row(index + 1, `c${index}`, { command }), 'expect', {
        enumerable: true,
        get: () => {
          reads += 1
          return expected
        },
      })
    })
    const change = answered(snapshot(0, rows), push([{ id: 'c0', conflict: { position: 3 } }]))
    expect(change?.put?.length).toBe(count)
    expect(change?.put?.every(({ undecided }) => undecided !== undefined)).toBe(true)
    expect(reads).toBeLessThan(count * 10)
    // Each of a full push has a verdict of its own.
    reads = 0
    const verdicts = Array.from({ length: 1000 }, (_, index) => ({ id: `c${index}`, conflict: { position: 3 } }))
    expect(answered(snapshot(0, rows), push(verdicts))?.put?.length).toBe(count)
    expect(reads).toBeLessThan(count * 10)
  })

  test('a cancel: the commit is gone, or it was first', () => {
    const rows = [row(1, 'a', { cancel: true }), row(2, 'b', { expect: [['s', 'a']] })]
    expect(becomes(rows, { id: 'a', refused: { code: 'cancelled', message: '' } })).toEqual(['b blocked'])
    expect(becomes(rows, { id: 'a', accepted: 4 })).toEqual(['a 4 cancel', 'b'])
    const before = snapshot(0, rows)
    const change = answered(before, push([{ id: 'a', conflict: { position: 1 } }]))
    expect(change?.ended).toEqual([{ name: 'a', status: 'discarded' }])
  })

  test('another epoch, log, author or identity than now: thrown away', () => {
    const before = snapshot(0, [row(1, 'a')])
    const answers: CommitAnswer[] = [{ id: 'a', refused: { code: 'rule', message: '' } }]
    for (const other of [{ epoch: 'e0' }, { log: 'x' }, { author: 'bob' }])
      expect(answered(before, push(answers, { by: { ...by, ...other } }))).toBeUndefined()
    expect(answered(before, push(answers, { identity: 'before' }))).toBeUndefined()
  })

  test('a verdict on what is not, or not any more, in the outbox changes nothing', () => {
    const rows = [row(1, 'b', { refused: { code: 'rule', message: '' } }), row(2, 'c', { had: ['c0'] })]
    expect(answered(snapshot(0, rows), push([{ id: 'a', accepted: 1 }]))).toBeUndefined()
    expect(answered(snapshot(0, rows), push([{ id: 'b', accepted: 1 }]))).toBeUndefined()
    expect(answered(snapshot(0, rows), push([{ id: 'c0', accepted: 1 }]))).toBeUndefined()
    expect(answered(snapshot(0, rows), push([], { head: 5 }))?.state.head).toBe(5)
  })

  test('what the server has stays, whatever becomes of what it was decided on', () => {
    const rows = [row(1, 'a'), row(2, 'b', { requires: ['a'] }), row(3, 'c', { requires: ['b'] })]
    const before = snapshot(4, rows)
    // A backup of another past has it.
    const said = push([
      { id: 'a', refused: { code: 'rule', message: '' } },
      { id: 'b', accepted: 7 },
    ])
    expect(brief(after(before, answered(before, said)))).toEqual(['a rule', 'b 7', 'c'])
  })
})

describe('decided', () => {
  const undecided = { code: 'conflict' } as const
  const first = row(1, 'a', {
    command,
    undecided,
    accepted: 3,
    condition: { failIfEventsMatch: {}, after: null, at: 0, except: [] },
  })
  const next = row(1, 'ignored', { events: [text('a2')], expect: [['s', 'z']], requires: ['q'] })

  test('N63: the new version takes the place of the old one, and what was decided on that follows', () => {
    const before = snapshot(0, [first, row(2, 'b', { expect: [['s', 'a']] })])
    const rows = after(before, decided(before, [[first, { kind: 'decided', row: next }]]))
    expect(rows[0]).toEqual({
      ...row(1, 'a', { events: [text('a2')], expect: [['s', 'z']], requires: ['q'] }),
      command,
      had: ['a'],
    })
    expect(brief(rows)[1]).toBe('b blocked')
  })

  test('N63: a commit that another context decided meanwhile stays as that one made it', () => {
    const other = { ...first, events: [text('a1')] }
    expect(decided(snapshot(0, [other]), [[first, { kind: 'decided', row: next }]])).toBeUndefined()
    expect(decided(snapshot(0, [row(1, 'a')]), [[first, { kind: 'decided', row: next }]])).toBeUndefined()
    expect(decided(snapshot(0), [[first, { kind: 'decided', row: next }]])).toBeUndefined()
  })

  test('no events, a no of the command, and no command', () => {
    const before = snapshot(0, [first, row(2, 'b', { expect: [['s', 'a']] })])
    const nothing = decided(before, [[first, { kind: 'nothing' }]])
    expect(brief(after(before, nothing))).toEqual(['b blocked'])
    expect(nothing?.ended).toEqual([{ name: 'a', status: 'confirmed' }])
    expect(nothing?.state.nothing).toEqual(['a'])
    expect(
      brief(after(before, decided(before, [[first, { kind: 'refused', code: 'sold-out', message: 'm' }]])))[0],
    ).toBe('a sold-out')
    expect(brief(after(before, decided(before, [[first, { kind: 'unknown' }]])))).toEqual([
      'a command-unknown',
      'b blocked',
    ])
  })
})

describe('discarded', () => {
  test('what never left this device is gone, what may have left is cancelled', () => {
    const before = snapshot(0, [row(1, 'a'), row(2, 'b'), row(3, 'c', { expect: [['s', 'b']] })], { sentTo: 1 })
    expect(brief(after(before, discarded(before, 1)))[0]).toBe('a cancel')
    const change = discarded(before, 2)
    expect(brief(after(before, change))).toEqual(['a', 'c blocked'])
    expect(change?.ended).toEqual([{ name: 'b', status: 'discarded' }])
    expect(change?.state.largestN).toBe(3)
  })

  test('what was appended in contact may have left: its next version under another number has not', () => {
    const before = snapshot(0, [row(1, 'a', { leaves: true, refused: { code: 'rule', message: '' } })])
    const again = after(before, retried(before, 1, ['a2']))
    expect(brief(after(snapshot(0, again), discarded(snapshot(0, again), 2)))).toEqual([])
    const pending = snapshot(0, [row(1, 'a', { leaves: true })])
    expect(brief(after(pending, discarded(pending, 1)))).toEqual(['a cancel'])
  })

  test('what was refused, or waits to be decided again, is gone: the server has said no', () => {
    const no = { code: 'rule', message: '' }
    const before = snapshot(0, [row(1, 'a', { refused: no }), row(2, 'b', { undecided: { code: 'conflict' } })], {
      sentTo: 9,
    })
    expect(brief(after(before, discarded(before, 1)))).toEqual(['b again: conflict'])
    expect(brief(after(before, discarded(before, 2)))).toEqual(['a rule'])
    expect(discarded(before, 7)).toBeUndefined()
  })
})

describe('retried', () => {
  const refused = { code: 'conflict', message: '' }
  const old = row(2, 'a', { refused, expect: [['s', 'x']], requires: ['y'], had: ['a0'], tries: 10 })

  test('as the newest commit, under other ids and without preconditions', () => {
    const before = snapshot(0, [old], { largestN: 5 })
    expect(after(before, retried(before, 2, ['new']))).toEqual([
      {
        n: 6,
        name: 'a',
        time: 1,
        expect: [],
        had: ['a', 'a0'],
        events: [{ ...text('new'), data: '"a"', idGiven: false }],
      },
    ])
  })

  test('of very many versions the newest ones and the first are remembered, also where it is decided again', () => {
    const had = Array.from({ length: 1_999 }, (_, at) => `a${at}`)
    const many = (...more: string[]) => ({ ...old, command, had: [...more, ...had] })
    const hadAfter = (change: (before: SyncSnapshot) => SyncChange | undefined, was: OutboxRow) => {
      const before = snapshot(0, [was])
      return after(before, change(before))[0]?.had
    }
    const again = (before: SyncSnapshot) => retried(before, 2, ['new'])
    expect(hadAfter(again, many())).toEqual(['a', ...had])
    const kept = ['a', 'b', ...had.slice(0, 998), ...had.slice(-1_000)]
    expect(hadAfter(again, many('b'))).toEqual(kept)
    const { refused: _, ...rest } = many('b')
    const undecided = { ...rest, undecided: { code: 'conflict' } } as OutboxRow
    const next = { kind: 'decided', row: row(2, 'a', { events: [text('new')] }) } as const
    expect(hadAfter((before) => decided(before, [[undecided, next]]), undecided)).toEqual(kept)
  })

  test('a command decides again', () => {
    const before = snapshot(0, [{ ...old, command }])
    expect(after(before, retried(before, 2, ['new']))[0]).toMatchObject({
      n: 3,
      undecided: {},
      command,
      had: ['a', 'a0'],
    })
  })

  test.each([{ behind: 'x' }, { refused }])('one that was confirmed before a restore is sent as that: %o', (more) => {
    const was = { there: 3 }
    let before = snapshot(0, [row(-1, 'a', { healed: true, was, requires: ['x'], ...more })])
    before = snapshotAfter(before, retried(before, -1, ['new']) as SyncChange)
    const no: CommitAnswer = { id: 'a', refused: { code: 'cancelled', message: '' } }
    const cancelled = answered(before, { by, identity: 'first', head: 0, answers: [no] })
    const [again] = cancelled === undefined ? before.outbox : after(before, cancelled)
    expect(again?.events[0]?.id).toBe('new')
    expect(JSON.parse(commitText(again as OutboxRow))).toMatchObject({ events: [{ id: 'new' }], healed: true })
    expect(again).not.toHaveProperty('requires')
  })

  test('what is behind may be at the server: it is cancelled first', () => {
    const before = snapshot(0, [
      row(1, 'a', { behind: 'x', expect: [['s', 'x']] }),
      row(2, 'b', { expect: [['s', 'a']] }),
    ])
    const waits = snapshotAfter(before, retried(before, 1, ['new']) as SyncChange)
    expect(toSend(waits).cancel.map(({ name }) => name)).toEqual(['a'])
    expect(retried(waits, 1, ['other'])).toBeUndefined()
    const no: CommitAnswer = { id: 'a', refused: { code: 'cancelled', message: '' } }
    const rows = after(waits, answered(waits, { by, identity: 'first', head: 0, answers: [no] }))
    expect(rows.map(({ n, name, events, expect: e }) => [n, name, events[0]?.id, e])).toEqual([
      [2, 'b', 'b', [['s', 'a']]],
      [3, 'a', 'new', []],
    ])
    expect(rows[0]?.refused?.code).toBe('blocked')
    // It was stored after all: that is the commit.
    expect(
      after(waits, answered(waits, { by, identity: 'first', head: 9, answers: [{ id: 'a', accepted: 9 }] }))[0],
    ).toMatchObject({ accepted: 9 })
  })

  test('what it was decided on is gone meanwhile: it is decided again, or refused, and cancelled no more', () => {
    const no: CommitAnswer = { id: 'z', refused: { code: 'rule', message: '' } }
    const renewed = { behind: 'x', renew: ['new'], requires: ['z'] }
    const rows = [row(1, 'z'), row(2, 'a', { ...renewed, command }), row(3, 'b', renewed)]
    const before = snapshot(0, rows)
    const change = answered(before, { by, identity: 'first', head: 0, answers: [no] })
    expect(brief(after(before, change))).toEqual(['z rule', 'a again: blocked', 'b blocked'])
    expect(toSend(snapshotAfter(before, change as SyncChange)).cancel).toEqual([])
  })

  test('nothing else is sent twice', () => {
    expect(retried(snapshot(0, [row(1, 'a')]), 1, ['new'])).toBeUndefined()
    expect(retried(snapshot(0, [row(1, 'a', { behind: 'x', cancel: true })]), 1, ['new'])).toBeUndefined()
  })
})

describe('adopted', () => {
  test('commits that are in the log are noted as those of this device, each once and for itself', () => {
    const commit = (at: number, ...ids: string[]) => ({ at, events: ids.map((id) => text(id)), versions: [] })
    const places: Record<string, number> = { a: 3, c: 7, d: 8 }
    const known = [{ at: 6, n: 2 }]
    const own = ownOf([commit(1, 'a', 'b'), commit(3, 'c'), commit(4, 'd')], (id) => places[id] as number, known)
    expect(own).toEqual([
      { at: 3, n: 2, name: 'a' },
      { at: 8, n: 1, name: 'd' },
    ])
    // Neighbours stay two commits: each is given back by itself.
    expect(withOwn(known, own)).toEqual([own[0], ...known, own[1]])
    const local = { log: 'local', head: 9 }
    expect(adopted(snapshot(8, []), local, [commit(5, 'e')], 5, own).own).toEqual(own)
    expect(adopted(snapshot(8, []), local, [commit(5, 'e')], 5).own).toBeUndefined()
    expect(foundAsIs(snapshot(8, []), local, 4, own)).toMatchObject({
      own,
      state: { adopting: [{ log: 'local', upTo: 4, head: 9 }] },
    })
  })

  test('a commit that may have been sent as it is is cancelled at the server, if it is discarded', () => {
    const before = snapshot(3, [row(4, 'own')], { largestN: 4 })
    const commits = [
      { at: 1, events: [text('a')], versions: [1] },
      { at: 2, events: [text('b')], versions: [2] },
    ]
    const adoption = adopted(before, { log: 'local', head: 2 }, commits, 2)
    const now = snapshotAfter(before, adoption)
    expect(brief(now.outbox)).toEqual(['own', 'a', 'b'])
    expect(brief(after(now, discarded(now, 6)))).toEqual(['own', 'a', 'b cancel'])
    // Another one that never left is gone.
    expect(brief(after(now, discarded(now, 4)))).toEqual(['a', 'b'])
  })
})

describe('contact', () => {
  test('the first one, and another epoch: nothing is pushed before a pull, and all is sent again', () => {
    const { remote: _, ...state } = snapshot(0).state
    expect(met({ state, outbox: [] }, by, 7)?.state).toMatchObject({ remote: by, isFresh: false, head: 7, turn: 1 })
    const before = snapshot(4, [row(1, 'a', { accepted: 9 })])
    const change = met(before, { ...by, epoch: 'e2' })
    expect(change?.state).toMatchObject({ remote: { epoch: 'e2' }, isFresh: false, cursor: cursor(4) })
    expect(brief(after(before, change))).toEqual(['a'])
  })

  test('the same, another log and another author change nothing', () => {
    for (const other of [{}, { log: 'x' }, { author: 'x' }, { author: 'x', epoch: 'e2' }])
      expect(met(snapshot(4), { ...by, ...other })).toBeUndefined()
  })

  test('resync: the log is fetched from its start under a new identity, the outbox stays', () => {
    const condition = { failIfEventsMatch: {}, after: 'z', at: 3, except: [] }
    const before = snapshot(4, [row(1, 'a', { accepted: 9, condition })], { marks: [cursor(2)] })
    const change = refetched(before, 'second')
    expect(change.takeBack).toEqual({ upTo: 0 })
    expect(change.state).toMatchObject({ cursor: cursor(0), head: 0, identity: 'second', isFresh: false, marks: [] })
    expect(change.state.left).toEqual([{ identity: 'first', upTo: 0 }])
    expect(change.state).not.toHaveProperty('remote')
    // The user stays: nothing is sent as another one.
    expect(change.state.author).toBe(by.author)
    const later = { ...before, state: change.state }
    expect(met(later, { ...by, author: 'x' })).toBeUndefined()
    expect(met(later, { ...by, log: 'x' })?.state.remote).toMatchObject({ log: 'x', author: by.author })
    expect(after(before, change)).toEqual([row(1, 'a', { condition: { ...condition, after: null, at: 0 } })])
  })
})

describe('healed', () => {
  const stored = (position: number, id: string, stream = 's') => ({
    type: 'Done',
    stream,
    id,
    version: 1,
    position,
    time: 5,
    data: id,
  })
  const healing = (more: Partial<Healing> = {}): Healing => ({
    by,
    cursor: cursor(2),
    lastId: 'z2',
    head: 3,
    identity: 'second',
    lost: [],
    ...more,
  })

  test('own commits of the tail, with what they were decided on and what was before them', () => {
    const tail = new LostTail([
      { at: 3, n: 3 },
      { at: 8, n: 2, needs: ['n1'], name: 'name', was: { zero: 6 } },
    ])
    tail.add({
      events: [stored(3, 'a'), stored(4, 'b', 't'), stored(5, 'b2'), stored(6, 'foreign'), stored(7, 'other', 't')],
      starts: new Set([3, 4, 6, 7]),
    })
    tail.add({ events: [stored(8, 'c'), stored(9, 'c2', 't')], starts: new Set([8]) })
    const left = [
      { identity: 'zero', upTo: 7 },
      { identity: 'one', upTo: 9 },
    ]
    const lost = tail.commits({ ...snapshot(9).state, left })
    expect(lost.map(({ at, row }) => [at, row.name, row.requires, row.was, row.healed, row.expect])).toEqual([
      [3, 'a', undefined, { zero: 3, one: 3, first: 3 }, true, []],
      [4, 'b', ['a'], { zero: 4, one: 4, first: 4 }, true, []],
      [8, 'name', ['n1', 'foreign', 'other'], { zero: 6, one: 8, first: 8 }, true, []],
    ])
    expect(lost[1]?.row.events.map(({ id, data, time }) => [id, data, time])).toEqual([
      ['b', '"b"', 5],
      ['b2', '"b2"', 5],
    ])
  })

  test('of more needs than a commit may have, the last one of each stream is kept, and then what the server knows', () => {
    const known = Array.from({ length: 1500 }, (_, index) => `known${index}`)
    const tail = new LostTail([{ at: 2003, n: 1, needs: [...known, 'x3', 'x900', 'x1999', 'y5'] }])
    tail.add({
      events: Array.from({ length: 2000 }, (_, index) =>
        stored(index + 3, `${index === 5 ? 'y' : 'x'}${index}`, index === 5 ? 't' : `s${index % 2}`),
      ),
      starts: new Set(Array.from({ length: 2000 }, (_, index) => index + 3)),
    })
    tail.add({ events: [stored(2003, 'a', 's0')], starts: new Set([2003]) })
    const [lost] = tail.commits(snapshot(9).state)
    const requires = lost?.row.requires ?? []
    expect(requires.slice(0, 4)).toEqual(['x1999', 'x1998', 'y5', 'known0'])
    expect(requires.length).toBe(1000)
  })

  test('they go before all others, the log ends at the common part, and what was accepted is sent again', () => {
    const condition = { failIfEventsMatch: {}, after: 'z5', at: 5, except: [] }
    const rows = [row(-1, 'y'), row(4, 'b', { accepted: 9 }), row(5, 'c', { condition })]
    const before = snapshot(5, rows, { marks: [cursor(1), cursor(3)] })
    const { n: _, ...lost } = row(0, 'a', { healed: true })
    const change = healed(
      before,
      healing({
        lost: [
          { at: 3, row: lost },
          { at: 4, row: { ...lost, name: 'a2' } },
        ],
      }),
    )
    const all = after(before, change)
    expect(all.map(({ n, name, accepted }) => [n, name, accepted])).toEqual([
      [-3, 'a', undefined],
      [-2, 'a2', undefined],
      [-1, 'y', undefined],
      [4, 'b', undefined],
      [5, 'c', undefined],
    ])
    expect(all[4]?.condition).toEqual({ ...condition, after: 'z2', at: 2 })
    expect(change?.takeBack).toEqual({ upTo: 2 })
    expect(change?.state).toMatchObject({
      cursor: cursor(2),
      head: 3,
      identity: 'second',
      marks: [cursor(1)],
      isFresh: true,
    })
    expect(change?.state.left).toEqual([{ identity: 'first', upTo: 2 }])
  })

  test('not for another epoch, nor where nothing is taken back', () => {
    expect(healed(snapshot(5), healing({ by: { ...by, epoch: 'e0' } }))).toBeUndefined()
    expect(healed(snapshot(2), healing())).toBeUndefined()
  })

  test('nothing differs: only the chain is another one', () => {
    const change = rechained(snapshot(5, [], { isFresh: false }), by, { at: 5, chain: 'other' }, 8)
    expect(change?.state).toMatchObject({
      cursor: { at: 5, chain: 'other' },
      head: 8,
      isFresh: true,
      identity: 'first',
    })
    expect(change?.takeBack).toBeUndefined()
    expect(rechained(snapshot(6), by, { at: 5, chain: 'other' }, 8)).toBeUndefined()
  })

  test('marks are the farther apart the farther back, and the first one stays', () => {
    let marks = [] as ReturnType<typeof marked>
    for (let at = 1; at <= 5000; at += 1) marks = marked(marks, cursor(at))
    const gaps = marks.slice(1).map(({ at }, index) => at - (marks[index]?.at ?? 0))
    expect(marks).toHaveLength(64)
    expect(marks[0]).toEqual(cursor(1))
    expect(marks.at(-1)).toEqual(cursor(5000))
    expect(Math.max(...gaps.slice(-10))).toBeLessThanOrEqual(4)
    // However much was lost, what is compared without need is a part of it.
    for (const [index, gap] of gaps.entries())
      expect(gap).toBeLessThanOrEqual(Math.max(4, (5000 - (marks[index]?.at ?? 0)) / 2))
  })
})

describe('found and looked', () => {
  test('a commit of the same content came from another device first', () => {
    const accepted = row(1, 'a', { accepted: 3 })
    const before = snapshot(5, [accepted])
    const change = foundInLog(before, accepted, 3)
    expect(after(before, change)).toEqual([])
    expect(change?.ended).toEqual([{ name: 'a', status: 'confirmed', position: 3 }])
    expect(foundInLog(before, accepted, 4)).toBeUndefined()
  })

  test('the device has looked through what it pulled', () => {
    const condition = { failIfEventsMatch: { types: ['X'] }, after: null, at: 0, except: [] }
    const waiting = row(1, 'a', { condition, behind: 'z' })
    const before = snapshot(5, [waiting])
    expect(after(before, lookedThrough(before, waiting, { after: 'z5', at: 5 }))).toEqual([
      row(1, 'a', { condition: { ...condition, after: 'z5', at: 5 } }),
    ])
    expect(brief(after(before, lookedThrough(before, waiting, { match: 4 })))).toEqual(['a conflict'])
  })
})

describe('what is sent', () => {
  const names = (rows: readonly OutboxRow[]) => rows.map(({ name }) => name).join(' ')

  test('an accepted commit is left out while it may still be pulled', () => {
    const rows = [
      row(1, 'a', { accepted: 5 }),
      row(2, 'b', { accepted: 8 }),
      row(3, 'c', { accepted: 12 }),
      row(4, 'd'),
    ]
    expect(names(toSend(snapshot(6, rows, { head: 10 })).commits)).toBe('a c d')
  })

  test('refused and undecided ones are not sent, unwanted ones are cancelled', () => {
    const rows = [
      row(1, 'a', { refused: { code: 'rule', message: '' } }),
      row(2, 'b', { undecided: { code: 'conflict' } }),
      row(3, 'c', { cancel: true }),
      row(4, 'd', { behind: 'x', renew: ['new'] }),
      row(5, 'e', { events: [text('e', 'other')] }),
    ]
    const { commits, cancel, waiting } = toSend(snapshot(0, rows))
    expect([names(commits), names(cancel), names(waiting)]).toEqual(['e', 'c d', ''])
  })

  test.each([{ cancel: true }, { renew: ['new'] }] as const)(
    'a cancel is only told that the server has the id: what was decided on the commit waits for the pull (%o)',
    (unwanted) => {
      const rows = [
        row(1, 'a', { accepted: 8, ...unwanted }),
        row(2, 'b', { events: [text('b', 'other')], requires: ['a'] }),
        row(3, 'c', { events: [text('c', 'third')] }),
      ]
      const { commits, cancel, waiting } = toSend(snapshot(6, rows, { head: 10 }))
      expect([names(commits), names(cancel), names(waiting)]).toEqual(['c', '', ''])
    },
  )

  test('what is behind waits, with later ones of its streams and what was decided on it', () => {
    const rows = [
      row(1, 'a', { behind: 'x', events: [text('a', 's1')] }),
      row(2, 'b', { events: [text('b', 's2')] }),
      row(3, 'c', { events: [text('c', 's1'), text('c2', 's3')], expect: [['s3', null]] }),
      row(4, 'd', { events: [text('d', 's3')] }),
      row(5, 'e', { events: [text('e', 's4')], expect: [['s3', 'c2']] }),
      row(6, 'f', { events: [text('f', 's5')] }),
    ]
    const { commits, waiting } = toSend(snapshot(0, rows))
    expect([names(commits), names(waiting)]).toEqual(['b f', 'a c d e'])
  })

  test('what was decided on a commit that is decided again is not sent before that', () => {
    const rows = [
      row(1, 'a', { undecided: { code: 'conflict' } }),
      row(2, 'b', { requires: ['a'] }),
      row(3, 'c', { requires: ['b'] }),
      row(4, 'd'),
    ]
    expect(names(toSend(snapshot(0, rows)).commits)).toBe('d')
  })

  describe('N100: a commit that was decided on more than it may require', () => {
    const plain = (from: number, to: number, more: Partial<OutboxRow> = {}) =>
      Array.from({ length: to - from + 1 }, (_, index) => row(from + index, `p${from + index}`, more))
    const last = (n: number, more: Partial<OutboxRow> = {}) =>
      row(n, 'last', {
        command,
        expect: [['s', `p${n - 1}`, n - 1]],
        requires: Array.from({ length: 1000 }, (_, index) => `p${n - 1000 + index}`),
        ...more,
      })
    const refusal = (id: string) => [{ id, refused: { code: 'rule', message: '' } }]
    const becomes = (rows: readonly OutboxRow[], id: string) => {
      const before = snapshot(0, rows)
      const change = answered(before, { by, identity: 'first', head: 0, answers: refusal(id) })
      return brief(after(before, change)).at(-1)
    }

    test('follows an earlier one in its streams that it does not name', () => {
      expect(becomes([...plain(1, 1001), last(1002)], 'p1')).toBe('last again: blocked')
      // What it did not read.
      const other = row(1, 'p1', { events: [text('p1', 'other')] })
      expect(becomes([other, ...plain(2, 1001), last(1002)], 'p1')).toBe('last')
    })

    test('is not sent while that is not known, nor together with it', () => {
      const undecided = row(1, 'p1', { undecided: { code: 'conflict' }, command })
      expect(names(toSend(snapshot(0, [undecided, ...plain(2, 1001), last(1002)])).commits)).not.toContain('last')
      const unwanted = row(1, 'p1', { cancel: true })
      expect(names(toSend(snapshot(0, [unwanted, ...plain(2, 1001), last(1002)])).commits)).not.toContain('last')
      // Few commits, each with events in many streams, of which it may require 1,000 in all.
      expect(firstBatch([row(1, 'p1'), last(1002)], 1e9).map(({ name }) => name)).toEqual(['p1'])
      expect(firstBatch([row(1001, 'p1001'), last(1002)], 1e9)).toHaveLength(2)
      const before = row(1001, 'p1001', { expect: [['s', 'p1', 1]] })
      expect(firstBatch([row(1, 'p1'), before, last(1002)], 1e9)).toHaveLength(3)
    })
  })

  test('a batch has the oldest, at least one, and no more bytes than it may have', () => {
    const rows = [row(1, 'a'), row(2, 'b'), row(3, 'c')]
    const size = wireSize(row(1, 'a'))
    expect(names(firstBatch(rows, size * 2))).toBe('a b')
    expect(names(firstBatch(rows, size * 2 - 1))).toBe('a')
    expect(names(firstBatch(rows, 1))).toBe('a')
    expect(firstBatch([], 1)).toEqual([])
    expect(
      firstBatch(
        Array.from({ length: 1500 }, (_, n) => row(n, `${n}`)),
        1e9,
      ),
    ).toHaveLength(1000)
  })

  test('cancels: at least one, no more than are wanted, and no more bytes than a push may have', () => {
    const id = 'x'.repeat(100)
    const rows = Array.from({ length: 50 }, (_, index) =>
      row(index + 1, `c${index}`, { events: Array.from({ length: 20 }, (__, at) => text(`${id}${index}-${at}`)) }),
    )
    expect(firstCancels(rows, 10, 1000).length).toBe(1)
    expect(firstCancels(rows, 1_000_000, 7).length).toBe(7)
    const some = firstCancels(rows, 20_000, 1000)
    const cancel = some.map(({ events }) => events.map((event) => event.id))
    expect(some.length).toBeGreaterThan(5)
    expect(new TextEncoder().encode(pushText({ commits: [], cancel })).length).toBeLessThanOrEqual(20_000)
    expect(firstCancels([], 10, 1000)).toEqual([])
    const long = Array.from({ length: 30 }, (_, index) =>
      row(index + 1, `l${index}`, { events: Array.from({ length: 999 }, (__, at) => text(`l${index}-${at}`)) }),
    )
    expect(firstCancels(long, 4_000_000, 1000).length).toBe(10)
  })

  test('the size is at least that of the text', () => {
    const filter = { types: ['Ünïcode', '"'], streamPrefix: '\u0000' }
    const big = row(1, '日本語', {
      events: [text('日本語', '"\\\n', { data: '{"ä":"\\u0000😀"}', meta: '{"m":"é"}', schema: 12 }), text('x')],
      expect: [
        ['"', 'é'],
        ['n', null],
      ],
      requires: ['ü'],
      condition: { failIfEventsMatch: filter, after: 'ö', at: 3, except: ['ß', 'y'] },
    })
    for (const each of [big, row(1, 'a')])
      expect(wireSize(each)).toBeGreaterThanOrEqual(
        new TextEncoder().encode(pushText({ commits: [each], cancel: [] })).length,
      )
  })

  describe('waiting commits go in pushes of their own, in turn', () => {
    const size = wireSize(row(1, 'r1', { events: [text('r1', 's1')] }))
    const own = (n: number, streams: readonly string[] = [`s${n}`], more: Partial<OutboxRow> = {}) =>
      row(n, `r${n}`, {
        events: streams.map((stream, index) => text(index === 0 ? `r${n}` : `r${n}.${index}`, stream)),
        ...more,
      })

    test('each once, and then again from the first', () => {
      const rows = [1, 2, 3, 4, 5].map((n) => own(n))
      let from: number | undefined = -Infinity
      const sent: string[] = []
      while (from !== undefined) {
        const batch = waitingBatch(rows, from, size * 2)
        sent.push(names(batch.rows))
        from = batch.next
      }
      expect(sent).toEqual(['r1 r2', 'r3 r4', 'r5'])
    })

    test('with the earlier ones of their streams, and those that they were decided on', () => {
      const rows = [own(1, ['a']), own(2, ['b']), own(3, ['a']), own(4, ['c'], { requires: ['r3'] }), own(5)]
      expect(names(waitingBatch(rows, 4, size * 3.6).rows)).toBe('r1 r3 r4')
      expect(names(waitingBatch(rows, 5, size * 4).rows)).toBe('r5')
      expect(needsOf(rows[3] as OutboxRow)).toEqual(['r3'])
    })

    test('where they do not fit into one push, the earliest go, and the next one begins behind', () => {
      const rows = [own(1, ['a']), own(2, ['a']), own(3, ['a']), own(4)]
      const batch = waitingBatch(rows, 3, size * 2.1)
      expect([names(batch.rows), batch.next]).toEqual(['r1 r2', 4])
    })

    test('a commit with the streams of a thousand others keeps none of them from its turn', () => {
      const rows = Array.from({ length: 1000 }, (_, n) => own(n))
      const all = own(
        1000,
        rows.map((each) => each.events[0]?.stream ?? ''),
      )
      const sent = new Set<string>()
      for (let from: number | undefined = -Infinity; from !== undefined;) {
        const batch = waitingBatch([...rows, all], from, size * 10)
        for (const { name } of batch.rows) sent.add(name)
        from = batch.next
      }
      expect(sent.size).toBe(1000)
    })
  })
})
