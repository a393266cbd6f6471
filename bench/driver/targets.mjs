// What the project promises, as ratios of speeds: events per second, or one over a wait. Those of issue 4, and where the project started from.

const perCommit = 'raw, a record per commit (L6-string+commits)'
const perEvent = 'raw, a record per event (L1)'
/** The fastest contender that is neither tidemark nor IndexedDB by hand. */
export const bestPeer = 'the best peer'

const live = (name, inCase, count, most) => ({ name, inCase, contender: 'tidemark', count, most })

/** Counts that the project wants to stay below: the same on every machine. */
export const limits = [
  live(
    'live, one of 500 rows changes: transactions (append, commit, re-read)',
    /^live: .*, one changes$/,
    'transactions',
    3,
  ),
  live('… changed snapshots', /^live: .*, one changes$/, 'changed snapshots', 1),
  live('live, another row changes: re-reads', /^live: .*another one/, 'read requests', 0),
  live('live, a row outside of 500 windows changes: re-reads', /^live: 500 windows/, 'read requests', 0),
  live('live, ten appends, 200 queries: transactions', /^live: 200 rows/, 'transactions', 40),
  live('live, 1,000 queries, 10 s at rest: transactions', /^live: 1,000 rows/, 'transactions', 5),
]

/** Waits that the project wants to stay below, in ms, where a server is on the same machine: true of a quiet machine with two cores. */
export const waits = [
  { name: 'row on another device, p50', inCase: /^sync: append/, contender: 'tidemark', share: 0.5, most: 25 },
  { name: '… p99', inCase: /^sync: append/, contender: 'tidemark', share: 0.99, most: 80 },
  {
    name: '100,000 events fetched and folded',
    inCase: /fetches 100,000 events$/,
    contender: 'tidemark, and folds them',
    most: 3_000,
  },
  {
    name: '… the longest task of a run',
    inCase: /fetches 100,000 events$/,
    contender: 'tidemark, and folds them',
    longestTask: true,
    most: 50,
  },
  {
    name: '1,000,000 events fetched and folded, reloaded in the middle',
    inCase: /fetches 1,000,000 events/,
    contender: 'tidemark, and folds them; reloaded in the middle',
    most: 20_000,
  },
  {
    name: '20 devices send 500 commits each, and have those of all',
    inCase: /^sync: 20 devices/,
    contender: 'tidemark',
    most: 10_000,
  },
  {
    name: 'a store and a view with 20,000 pending events, until 20 rows are there',
    inCase: /^sync: open/,
    contender: 'tidemark, fold, 20,000 pending',
    most: 250,
  },
  {
    name: '… with 100, more than without sync',
    inCase: /^sync: open/,
    contender: 'tidemark, fold, 100 pending',
    moreThan: 'tidemark, without sync, 100 events in the rows',
    most: 5,
  },
]

const within = (inCase, speed, of) => ({ speed: { inCase, contender: speed }, of: { inCase, contender: of } })
const upTo = (times) => 1 / times
/** The cost of an event on the longest log, over that on the shortest. */
const flat = (name) => ({
  name: `${name}: 1,000,000 events, of 10,000`,
  ...within(new RegExp(`^scale: ${name}$`), 'tidemark, 1,000,000 events', 'tidemark, 10,000 events'),
  goal: upTo(1.2),
  floor: upTo(1.5),
})

/** `speed` over `of`; `goal` is what the project aims at, `floor` what it started from. */
export const targets = [
  {
    name: 'single append, of the raw layout',
    ...within(/^append one$/, 'tidemark', perCommit),
    goal: 0.85,
    floor: 0.75,
  },
  {
    name: '100 per commit, over a record per event',
    ...within(/^append 100 per commit$/, 'tidemark', perEvent),
    goal: 4,
    floor: 3,
  },
  {
    name: 'bulk append, over a record per event',
    ...within(/^append \d+ in one/, 'tidemark', perEvent),
    goal: 12,
    floor: 8,
  },
  {
    name: 'catch-up read, large records, of raw',
    ...within(/^read, large records$/, 'tidemark, readPage', 'raw, getAll and JSON.parse'),
    goal: 0.9,
    floor: 0.8,
  },
  {
    name: 'catch-up read, records of 1, of raw',
    ...within(/^read, records of 1$/, 'tidemark, readPage', 'raw, getAll and JSON.parse'),
    goal: 0.9,
    floor: 0.8,
  },
  {
    name: 'stream read, of an index per event',
    ...within(/^read one stream/, 'tidemark, readStream', 'raw, an index per event (L2)'),
    goal: upTo(1.3),
    floor: upTo(1.5),
  },
  {
    name: 'catch-up projection (fold), of the raw read',
    ...within(/^project /, 'tidemark, fold', 'raw, only reading'),
    goal: 0.6,
    floor: 0.4,
  },
  {
    name: 'catch-up projection (get and put), of the raw read',
    ...within(/^project /, 'tidemark, get and put', 'raw, only reading'),
    goal: 0.6,
    floor: 0.4,
  },
  {
    name: 'catch-up projection (get and put), over a transaction per event',
    ...within(/^project /, 'tidemark, get and put', 'raw, a transaction per event (P1)'),
    goal: 200,
    floor: 100,
  },
  {
    name: 'projecting into 200,000 rows touched at random, of into 1,000',
    ...within(/^many rows: project/, 'tidemark, 200,000 rows', 'tidemark, 1,000 rows'),
    goal: upTo(3),
    floor: upTo(10),
  },
  {
    name: 'append and model, over the best peer',
    ...within(/^append and model/, 'tidemark', bestPeer),
    goal: 6,
    floor: 4,
  },
  {
    name: 'one event until its row is committed, over Dexie',
    ...within(/^one event/, 'tidemark', 'Dexie'),
    goal: upTo(0.75),
    floor: upTo(0.9),
  },
  {
    name: 'wake-up across tabs, of the append alone',
    ...within(/^wake-up/, 'tidemark, until the row is seen', 'tidemark, until the append resolves'),
    goal: upTo(4),
    floor: upTo(5),
  },
  {
    name: 'live, one of 500 rows changes, until it is on screen, over Dexie',
    ...within(/^live: .*, one changes$/, 'tidemark', 'Dexie, liveQuery'),
    goal: 1,
    floor: upTo(1.5),
  },
  {
    name: 'cold open over 100,000 events, over the best peer',
    ...within(/^cold open.* 100,000 /, 'tidemark', bestPeer),
    goal: 1,
    floor: upTo(1.25),
  },
  {
    name: 'cold open over 100,000 events, of that over 10,000',
    speed: { inCase: /^cold open.* 100,000 /, contender: 'tidemark' },
    of: { inCase: /^cold open.* 10,000 /, contender: 'tidemark' },
    goal: upTo(1.2),
    floor: upTo(1.5),
  },
  {
    name: 'row on another device, of the same by hand',
    ...within(/^sync: append/, 'tidemark', 'raw, fetch, server-sent events and put'),
    goal: upTo(2),
    floor: upTo(4),
  },
  {
    name: '100,000 events fetched and folded, of the same by hand',
    ...within(/fetches 100,000 events$/, 'tidemark, and folds them', 'raw, fetch, JSON.parse, put and fold'),
    goal: upTo(2),
    floor: upTo(3),
  },
  {
    name: '10,000 events sent, of the same by hand',
    ...within(/^sync: a device sends/, 'tidemark, until all are confirmed', 'raw, fetch, 1,000 commits a request'),
    goal: upTo(4),
    floor: upTo(8),
  },
  flat('read'),
  flat('project'),
  flat('append one'),
  flat('one event, until its row is committed'),
]
