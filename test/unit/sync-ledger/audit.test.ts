// The judge of the ledger of sync: it finds nothing in a sound history, and names each kind of damage.
import { expect, test } from 'vitest'
import { SyncAccount, type SyncMessage } from '../../sync-ledger/sync-account.js'
import { auditSync, type SeenCommit, type ServerLine } from '../../sync-ledger/sync-audit.js'
import type { SyncEvidence } from '../../sync-ledger/sync-work.js'

interface History {
  server: ServerLine[]
  outbox: SyncEvidence['outbox'][number][]
  log?: ServerLine[]
  tokens?: SyncEvidence['tokens']
  streams?: SyncEvidence['streams']
  pushed: Map<string, SeenCommit[]>
  account: SyncAccount
  cursor?: number
  restored?: boolean
}

const line = (position: number, commit: number, stream: string, version: number, data: object, type = 'Counted') => ({
  position,
  commit,
  stream,
  version,
  type,
  id: `id-${position}`,
  time: 1,
  data,
})

/** Three commits in the log, one refused, one discarded, and one that was never acknowledged. */
function soundHistory(): History {
  const server: ServerLine[] = [
    line(1, 1, 's', 1, { token: 'a', of: 2, index: 0 }),
    line(2, 1, 't', 1, { token: 'a', of: 2, index: 1 }),
    line(3, 3, 's', 2, { token: 'b', of: 1, index: 0, n: 1 }, 'Bumped'),
    line(4, 4, 's', 3, { token: 'c', of: 1, index: 0 }),
  ]
  const account = new SyncAccount()
  const from = { round: 'r', device: 'd0', tab: 'd0.0.1' }
  const say = (
    ...messages: (SyncMessage extends infer M ? (M extends M ? Omit<M, keyof typeof from> : never) : never)[]
  ) => {
    for (const message of messages) account.add({ ...from, ...message } as SyncMessage)
  }
  for (const [token, of] of [
    ['a', 2],
    ['b', 1],
    ['c', 1],
    ['no', 1],
    ['gone', 1],
    ['open', 1],
    ['never', 1],
  ] as const)
    say({ kind: 'announced', token, act: 'plain', of })
  for (const token of ['a', 'b', 'c', 'no', 'gone']) say({ kind: 'acknowledged', token })
  say({ kind: 'discarding', token: 'gone' }, { kind: 'settled', token: 'gone', status: 'discarded' })
  say({ kind: 'rejected', token: 'never', code: 'version-conflict', outcome: 'not-written' })
  return {
    server,
    account,
    outbox: [{ token: 'no', status: 'refused', refusal: 'conflict: s', ids: ['id-no'] }],
    pushed: new Map([
      ['id-1', [{ events: [{ id: 'id-1' }], expect: { s: null } }]],
      ['id-3', [{ events: [{ id: 'id-3' }], expect: { s: 'id-1' } }]],
      [
        'id-4',
        [
          {
            events: [{ id: 'id-4' }],
            condition: { failIfEventsMatch: { types: ['Taken'], streamPrefix: 's' }, after: 'id-2', except: [] },
          },
        ],
      ],
    ]),
  }
}

const hashOf = (ids: readonly string[]) => {
  let hash = 0
  for (const id of ids) for (const char of id) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) | 0
  return hash
}

function rulesOf(history: History): string[] {
  const { server, outbox, pushed, account, restored = false, cursor = server.length } = history
  const log = history.log ?? server
  const streams = history.streams ?? [
    { stream: 's', count: 3, hash: hashOf(['id-1', 'id-3', 'id-4']) },
    { stream: 't', count: 1, hash: hashOf(['id-2']) },
  ]
  const tokens = history.tokens ?? [
    { token: 'a', times: 1, events: 2 },
    { token: 'b', times: 1, events: 1 },
    { token: 'c', times: 1, events: 1 },
  ]
  const drained = { status: 'idle', pending: 0, behind: 0, cursor, head: server.length }
  const evidence: SyncEvidence = { log, outbox, tokens, streams, caughtUp: 'caught-up', errors: [] }
  const { violations } = auditSync({
    server,
    devices: [{ device: 'd0', evidence, drained }],
    account,
    pushed,
    restored,
  })
  return [...new Set(violations.map(({ rule }) => rule))]
}

test('a sound history has no violation, and each commit is counted at its place', () => {
  const history = soundHistory()
  expect(rulesOf(history)).toEqual([])
})

const damage: readonly (readonly [string, string, (history: History) => void])[] = [
  [
    'a commit twice under other ids',
    'one place',
    ({ server }) => void server.push({ ...line(5, 5, 's', 4, server[3]?.data), id: 'x' }),
  ],
  ['an acknowledged commit that is nowhere', 'one place', (history) => (history.outbox = [])],
  ['half a commit', 'one place', ({ server }) => void server.splice(1, 1)],
  [
    'a commit in the log and in the outbox',
    'one place',
    ({ outbox }) => void outbox.push({ token: 'c', status: 'refused', ids: ['y'] }),
  ],
  [
    'a refused commit in the log',
    'no is no',
    ({ outbox }) => void outbox.push({ token: 'c', status: 'refused', ids: ['id-4'] }),
  ],
  [
    'a discarded commit in the log',
    'no is no',
    ({ account }) =>
      void account.add({ round: 'r', device: 'd0', tab: 't', kind: 'settled', token: 'c', status: 'discarded' }),
  ],
  [
    'an append that threw, and is there',
    'no is no',
    ({ account }) =>
      void account.add({
        round: 'r',
        device: 'd0',
        tab: 't',
        kind: 'rejected',
        token: 'c',
        code: 'x',
        outcome: 'not-written',
      }),
  ],
  [
    'a hole in the positions of the server',
    'replica',
    ({ server }) => void server.splice(3, 1, line(5, 5, 's', 3, { token: 'c', of: 1, index: 0 })),
  ],
  ['a device without the last event', 'replica', (history) => (history.log = history.server.slice(0, 3))],
  [
    'a device with other data',
    'replica',
    (history) => (history.log = history.server.map((each) => ({ ...each, data: { ...each.data, of: 9 } }))),
  ],
  [
    'an expectation that does not hold',
    'preconditions',
    ({ pushed }) => void pushed.set('id-4', [{ events: [{ id: 'id-4' }], expect: { s: 'id-1' } }]),
  ],
  [
    'a condition that does not hold',
    'preconditions',
    ({ pushed }) =>
      void pushed.set('id-4', [
        { events: [{ id: 'id-4' }], condition: { failIfEventsMatch: { types: ['Bumped'] }, after: 'id-2' } },
      ]),
  ],
  [
    'a decision that is not true where it stands',
    'decided',
    ({ server }) => void server.splice(2, 1, line(3, 3, 's', 2, { token: 'b', of: 1, index: 0, n: 7 }, 'Bumped')),
  ],
  ['a row that is counted twice', 'rows', (history) => (history.tokens = [{ token: 'a', times: 2, events: 4 }])],
  [
    'rows in another order',
    'rows',
    (history) =>
      (history.streams = [
        { stream: 's', count: 3, hash: 1 },
        { stream: 't', count: 1, hash: 1 },
      ]),
  ],
  [
    'a commit that still waits',
    'drained',
    ({ outbox }) => void outbox.push({ token: 'open', status: 'pending', ids: ['z'] }),
  ],
  ['a device that did not fetch everything', 'drained', (history) => (history.cursor = 3)],
  [
    'a view that contradicted itself',
    'shown once',
    ({ account }) =>
      void account.add({
        round: 'r',
        device: 'd0',
        tab: 't',
        kind: 'contradiction',
        rule: 'shown once',
        detail: 'twice',
      }),
  ],
]

for (const [what, rule, harm] of damage)
  test(`${rule}: ${what} is reported`, () => {
    const history = soundHistory()
    harm(history)
    expect(rulesOf(history)).toContain(rule)
  })

test('what was confirmed and discarded must not be nowhere', () => {
  const history = soundHistory()
  history.account.add({ round: 'r', device: 'd0', tab: 't', kind: 'settled', token: 'gone', status: 'confirmed' })
  expect(rulesOf(history)).toEqual(['kept'])
})

test('of a device whose storage was cleared, what was confirmed is lost only with a restored server', () => {
  const settled = (token: string) =>
    ({ round: 'r', device: 'd0', tab: 't', kind: 'settled', token, status: 'confirmed' }) as const
  for (const isDiscarding of [true, false]) {
    const history = soundHistory()
    history.account.add(settled('gone'))
    if (!isDiscarding) delete history.account.wanted.get('gone')?.discarding
    history.account.clear('d0')
    history.restored = true
    expect(rulesOf(history)).toEqual([])
    history.restored = false
    expect(rulesOf(history)).toEqual([isDiscarding ? 'kept' : 'one place'])
  }
})

test('an expected version is looked at, too', () => {
  const history = soundHistory()
  history.pushed.set('id-3', [{ events: [{ id: 'id-3' }], expect: { s: ['id-1', 1] } }])
  expect(rulesOf(history)).toEqual([])
  history.pushed.set('id-3', [{ events: [{ id: 'id-3' }], expect: { s: ['id-1', 2] } }])
  expect(rulesOf(history)).toEqual(['preconditions'])
})

test('a commit that waits for what no device has may stay behind after a restore', () => {
  const history = soundHistory()
  history.outbox.push({ token: 'open', status: 'pending', behind: 'id-lost', ids: ['z'] })
  history.restored = true
  expect(rulesOf(history)).toEqual([])
  history.restored = false
  expect(rulesOf(history)).toEqual(['drained'])
})
