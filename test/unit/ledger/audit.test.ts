// The judge of the kill ledger: it finds nothing in a sound history, and names each kind of damage.
import { expect, test } from 'vitest'
import { Account, type Message } from '../../ledger/account.js'
import { audit, type ViolationKind } from '../../ledger/audit.js'
import type { Evidence, StoredCommit, StoredSide } from '../../ledger/evidence.js'

interface Event {
  id: string
  stream: string
  version: number
  type: string
  time: number
  data: { batch: string; of: number; index: number; key: string; amount: number; poison: boolean }
}

/** Five events in three batches, acknowledged but for the last batch; the fourth is poisonous; the checkpoint is 4. */
function soundHistory(): {
  commits: { at: number; n: number; events: Event[] }[]
  shown: { -readonly [K in keyof StoredSide]: StoredSide[K] }
  account: Account
} {
  const event = (
    position: number,
    batch: string,
    of: number,
    index: number,
    stream: string,
    version: number,
    poison = false,
  ): Event => ({
    id: `id-${position}`,
    stream,
    version,
    type: 'Counted',
    time: 0,
    data: { batch, of, index, key: position % 2 === 0 ? 'even' : 'odd', amount: position, poison },
  })
  const commits = [
    { at: 1, n: 2, events: [event(1, 'a', 2, 0, 's', 1), event(2, 'a', 2, 1, 't', 1)] },
    { at: 3, n: 1, events: [event(3, 'b', 1, 0, 's', 2)] },
    { at: 4, n: 2, events: [event(4, 'c', 2, 0, 's', 3, true), event(5, 'c', 2, 1, 's', 4)] },
  ]
  const shown = {
    checkpoint: 4,
    counted: 1,
    letters: [4],
    // 1 and then 3; and 2.
    tallies: [
      { name: 'odd', count: 2, sum: 4, hash: 31 * 1 + 3 },
      { name: 'even', count: 1, sum: 2, hash: 2 },
    ],
    effects: [1, 2, 3].map((position) => ({ position, times: 1 })),
  }
  const account = new Account()
  const from = { profile: 'p', round: 0, context: 'page' }
  const messages: Message[] = [
    { ...from, kind: 'announced', next: { batch: 'a', writes: [] } },
    {
      ...from,
      kind: 'acknowledged',
      batch: 'a',
      ids: ['id-1', 'id-2'],
      firstPosition: 1,
      position: 2,
      versions: { s: 1, t: 1 },
      expected: { s: 0, t: 0 },
      next: { batch: 'b', writes: [] },
    },
    {
      ...from,
      kind: 'acknowledged',
      batch: 'b',
      ids: ['id-3'],
      firstPosition: 3,
      position: 3,
      versions: { s: 2 },
      expected: {},
      next: { batch: 'c', writes: [] },
    },
    { ...from, kind: 'checkpoint', position: 3 },
    { ...from, kind: 'refused', batch: 'd', code: 'version-conflict', outcome: 'not-written' },
  ]
  for (const message of messages) account.add(message)
  return { commits, shown, account }
}

type History = ReturnType<typeof soundHistory>

function violationsOf({ commits, shown, account }: History): Set<ViolationKind> {
  const stored = commits.map(({ at, n, events }): StoredCommit => ({ at, n, events: JSON.stringify(events) }))
  const evidence: Evidence = { commits: stored, model: { shown } }
  return new Set(audit(evidence, account).violations.map(({ kind }) => kind))
}

test('a sound history has no violation, an unanswered batch that is whole included', () => {
  expect([...violationsOf(soundHistory())]).toEqual([])
})

test('an unanswered batch may also be absent', () => {
  const history = soundHistory()
  history.commits.pop()
  history.shown = { ...history.shown, checkpoint: 3, counted: 0, letters: [] }
  expect([...violationsOf(history)]).toEqual([])
})

test('H17: a refusal that comes after the driver has appended the batch again is no violation, unless the batch was there before', () => {
  const history = soundHistory()
  history.account.refused.set('c', { round: 0, code: 'version-conflict', outcome: 'not-written' })
  history.account.repeated.set('c', false)
  expect([...violationsOf(history)]).toEqual([])
  history.account.repeated.set('c', true)
  expect([...violationsOf(history)]).toEqual(['written after all'])
})

const damage: readonly (readonly [string, readonly ViolationKind[], (history: History) => void])[] = [
  [
    'I2: an acknowledged batch at the end is gone',
    ['lost', 'checkpoint beyond head'],
    ({ commits }) => void commits.splice(1),
  ],
  ['I1, I2: a record in the middle is gone', ['lost', 'positions'], ({ commits }) => void commits.splice(1, 1)],
  ['I2: everything is gone', ['lost', 'checkpoint beyond head'], ({ commits }) => void commits.splice(0)],
  [
    'I2: an event stands elsewhere than was acknowledged',
    ['moved'],
    ({ commits }) => {
      const [first, second] = commits[0]!.events as [Event, Event]
      commits[0]!.events = [
        { ...second, data: { ...second.data, index: 0 } },
        { ...first, data: { ...first.data, index: 1 } },
      ]
    },
  ],
  [
    'H17: an event is stored a second time',
    ['doubled event', 'torn batch', 'versions'],
    ({ commits }) => void commits.push({ at: 6, n: 1, events: [commits[1]!.events[0]!] }),
  ],
  [
    'I2: half of an unanswered batch is there',
    ['torn batch'],
    ({ commits }) => {
      commits[2]!.events.pop()
      commits[2]!.n = 1
    },
  ],
  [
    'I2: a batch is scattered',
    ['torn batch'],
    ({ commits }) => {
      const [, last] = commits[2]!.events
      commits[2]!.events[1] = { ...last!, data: { ...last!.data, batch: 'e', of: 1, index: 0 } }
    },
  ],
  [
    'I1: a record holds fewer events than it says',
    ['positions', 'torn batch'],
    ({ commits }) => void commits[2]!.events.pop(),
  ],
  ['I3: a stream has a version twice', ['versions'], ({ commits }) => void (commits[2]!.events[1]!.version = 3)],
  [
    'I3: an acknowledged version is another one',
    ['versions'],
    ({ account }) => void Object.assign(account.acknowledged[1]!.versions, { s: 3 }),
  ],
  [
    'I3: an expected version did not hold',
    ['versions'],
    ({ account }) => void Object.assign(account.acknowledged[1]!.expected, { s: 0 }),
  ],
  [
    'I2: an append that was refused as not written is there',
    ['written after all'],
    ({ account }) => void account.refused.set('c', { round: 0, code: 'storage-busy', outcome: 'not-written' }),
  ],
  [
    'I5: the checkpoint is beyond the head',
    ['checkpoint beyond head', 'rows'],
    ({ shown }) => void (shown.checkpoint = 9),
  ],
  [
    'I5: the checkpoint went back, and the rows with it',
    ['checkpoint went back'],
    (history) => {
      history.account.checkpoint = 5
    },
  ],
  [
    'I4: the checkpoint went back without its rows',
    ['rows', 'letters'],
    (history) => {
      history.shown.checkpoint = 2
      history.account.checkpoint = 2
    },
  ],
  ['I4: the checkpoint went on without its rows', ['rows'], ({ shown }) => void (shown.checkpoint = 5)],
  [
    'I4: an event had its effect twice',
    ['doubled effect'],
    ({ shown }) =>
      void (shown.effects = shown.effects.map((effect) => ({ ...effect, times: effect.position === 2 ? 2 : 1 }))),
  ],
  [
    'I4: an event was counted twice',
    ['rows'],
    ({ shown }) => void (shown.tallies = shown.tallies.map((tally) => ({ ...tally, count: tally.count + 1 }))),
  ],
  [
    'I4: events were applied in another order',
    ['rows'],
    ({ shown }) =>
      void (shown.tallies = shown.tallies.map((tally) =>
        tally.name === 'odd' ? { ...tally, hash: 31 * 3 + 1 } : tally,
      )),
  ],
  ['I4: a row is gone', ['rows'], ({ shown }) => void (shown.tallies = shown.tallies.slice(1))],
  ['I4: an effect is gone', ['rows'], ({ shown }) => void (shown.effects = shown.effects.slice(1))],
  [
    'I4: a poisonous event left an effect',
    ['rows'],
    ({ shown }) => void (shown.effects = [...shown.effects, { position: 4, times: 1 }]),
  ],
  ['I4: a letter is gone', ['letters'], ({ shown }) => void (shown.letters = [])],
  [
    'I4: there is a letter of an event that did not fail',
    ['letters'],
    ({ shown }) => void Object.assign(shown, { letters: [3, 4], counted: 2 }),
  ],
  ['I4: letters are miscounted', ['letters'], ({ shown }) => void (shown.counted = 2)],
]

test.for(damage)('%s', ([, expected, harm]) => {
  const history = soundHistory()
  harm(history)
  const found = [...violationsOf(history)]
  expect(found).toEqual(expect.arrayContaining([...expected]))
})

test('I5: a read model that is gone after its checkpoint was seen is a checkpoint that went back', () => {
  const { commits, account } = soundHistory()
  const stored = commits.map(({ at, n, events }): StoredCommit => ({ at, n, events: JSON.stringify(events) }))
  expect(audit({ commits: stored, model: undefined }, account).violations.map(({ kind }) => kind)).toEqual([
    'checkpoint went back',
  ])
})

test('N31: a rebuild is held against the events up to its own checkpoint, and the rows that readers see against theirs', () => {
  const { commits, shown, account } = soundHistory()
  const stored = commits.map(({ at, n, events }): StoredCommit => ({ at, n, events: JSON.stringify(events) }))
  const rebuilding: StoredSide = {
    checkpoint: 1,
    counted: 0,
    letters: [],
    tallies: [{ name: 'odd', count: 1, sum: 1, hash: 1 }],
    effects: [{ position: 1, times: 1 }],
  }
  expect(audit({ commits: stored, model: { shown, rebuilding } }, account).violations).toEqual([])
  expect(
    audit(
      { commits: stored, model: { shown, rebuilding: { ...rebuilding, effects: [{ position: 1, times: 2 }] } } },
      account,
    ).violations.map(({ kind }) => kind),
  ).toEqual(['doubled effect'])
})
