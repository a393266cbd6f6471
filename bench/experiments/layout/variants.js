// The layouts under test, and the cases that measure them. Raw IndexedDB, relaxed durability, explicit commit.
import * as idb from '/idb.js'
import { done, drop, open, relaxed } from './idb-lite.js'

export const ROUNDS = 8 // the first is thrown away
const STREAMS = 100
const RECORD = 256

// Layouts

const heads = { heads: { multiEntry: true } }
const base = { ...heads, commits: { multiEntry: true, unique: true } }
const buckets = { ...base, ids: { multiEntry: true } }
const text = (events) => JSON.stringify(events)
/** 11 characters of a UUIDv7 are 256 ms, 13 are 1 ms. */
const bucketsOf = (length) => (events) => [...new Set(events.map((event) => event.id.slice(0, length)))]
const coarse = bucketsOf(11)
const fine = bucketsOf(13)

/** ids: what the record's `ids` holds. write: how the transaction issues its requests (default: only the adds). */
const layouts_ = {
  A: { indexes: base },
  'A (control)': { indexes: base },
  B: { indexes: { ...base, ids: { multiEntry: true, unique: true } }, ids: (events) => events.map((e) => e.id) },
  C: { indexes: buckets, ids: coarse },
  D: { indexes: { keys: { multiEntry: true, unique: true } }, oneIndex: true },
  E: { indexes: heads },
  F: { indexes: base, encode: (events) => events },
  'C fine': { indexes: buckets, ids: fine },
  G: { indexes: buckets, ids: coarse, write: lookThenAdd },
  'G sparse': { indexes: buckets, ids: coarse, write: lookThenAdd, sparse: true },
  'G turn': { indexes: buckets, ids: coarse, write: lookAndAdd },
  'G turn sparse': { indexes: buckets, ids: coarse, write: lookAndAdd, sparse: true },
  'G turn fine': { indexes: buckets, ids: fine, write: lookAndAdd },
  H: { indexes: { ...base, ids: { multiEntry: true, unique: true } }, ids: (events) => [events[0].id] },
}

function record(layout, at, events) {
  const last = new Map()
  for (const event of events) last.set(event.stream, event.version)
  const made = { at, n: events.length, events: (layout.encode ?? text)(events) }
  if (layout.oneIndex) made.keys = [...last, ['', at]]
  else {
    made.heads = [...last]
    made.commits = [at]
  }
  if (layout.ids) made.ids = layout.ids(events)
  return made
}

/** One transaction: every batch becomes a record. */
function commit(db, layout, at, batches) {
  const tx = db.transaction('log', 'readwrite', relaxed)
  ;(layout.write ?? justAdd)(tx, tx.objectStore('log'), layout, at, batches)
  return done(tx)
}

function justAdd(tx, log, layout, at, batches) {
  addAll(log, layout, at, batches)
  tx.commit()
}

/** Ask for the records of the buckets, add in the callback. */
function lookThenAdd(tx, log, layout, at, batches) {
  look(log, layout, batches, (known) => {
    if (known) return tx.abort()
    addAll(log, layout, at, batches)
    tx.commit()
  })
}

/** Ask and add in one turn; the callback of the question commits or aborts. */
function lookAndAdd(tx, log, layout, at, batches) {
  look(log, layout, batches, (known) => (known ? tx.abort() : tx.commit()))
  addAll(log, layout, at, batches)
}

function look(log, layout, batches, answer) {
  const wanted = new Set(batches.flat().map((event) => event.id))
  const asked = layout.ids(batches.flat())
  let open = asked.length
  let known = false
  for (const bucket of asked)
    log.index('ids').getAll(bucket).onsuccess = (event) => {
      for (const found of event.target.result)
        for (const e of JSON.parse(found.events)) if (wanted.has(e.id)) known = true
      if (--open === 0) answer(known)
    }
}

function addAll(log, layout, at, batches) {
  let position = at
  for (const batch of batches) {
    log.add(record(layout, position, batch))
    position += batch.length
  }
}

function create(name, layout) {
  return open(name, (db) => {
    const log = db.createObjectStore('log', { keyPath: 'at' })
    for (const [field, options] of Object.entries(layout.indexes)) log.createIndex(field, field, options)
  })
}

// Cases

/** Each prepares its transactions (lists of batches) outside the clock. Id times are made up, so that buckets are alike in each engine. */
const cases = {
  'A1: 300 commits of 1': (layout) => ({ transactions: transactions(300, 1, layout.sparse ? 1000 : 1) }),
  'A2: 50 commits of 100': (layout) => ({ transactions: transactions(50, 100, layout.sparse ? 1000 : 3) }),
  'A3: 10,000 in one': () => ({ transactions: [chunk(transactions(1, 10_000, 1)[0][0])] }),
  'A1 after 20,000': (layout) => ({
    before: chunk(transactions(1, 20_000, 1)[0][0]),
    transactions: transactions(300, 1, layout.sparse ? 1000 : 1, 20_000),
  }),
}
const afterLoad = ['A', 'A (control)', 'B', 'C', 'C fine', 'D', 'G sparse', 'G turn sparse', 'G turn fine', 'H']

export async function layouts(say) {
  const times = {}
  for (let round = 0; round < ROUNDS; round++) {
    await say(`  layouts, round ${round}`)
    for (const [caseName, prepare] of Object.entries(cases)) {
      const names = caseName === 'A1 after 20,000' ? afterLoad : Object.keys(layouts_)
      for (const name of shuffled(names)) {
        const layout = layouts_[name]
        const { before, transactions } = prepare(layout)
        const ms = await inDatabase(
          (n) => create(n, layout),
          async (db) => {
            let at = 1
            if (before) {
              await commit(db, { ...layout, write: justAdd }, at, before)
              at += count(before)
            }
            const start = performance.now()
            for (const batches of transactions) {
              await commit(db, layout, at, batches)
              at += count(batches)
            }
            return performance.now() - start
          },
        )
        keep(times, caseName, name, round, ms)
      }
    }
  }
  return times
}

/** Catch-up: 50,000 events in records of 256, pages of 40 records, every event parsed and given its position. */
export async function reading(say) {
  const batches = chunk(transactions(1, 50_000, 1)[0][0])
  const inside = batches.map((batch, b) => batch.map((event, i) => ({ position: 1 + b * RECORD + i, ...event })))
  const assign = (r, parsed) => {
    for (let i = 0; i < parsed.length; i++) parsed[i].position = r.at + i
    return parsed
  }
  const parse = (r) => JSON.parse(r.events)
  const kinds = {
    'string, position given after parse': [layouts_.A, batches, (r) => assign(r, parse(r))],
    'string, position inside': [layouts_.A, inside, parse],
    'clone, position given after': [layouts_.F, batches, (r) => assign(r, r.events)],
    'clone, position inside': [layouts_.F, inside, (r) => r.events],
  }
  const databases = {}
  for (const [name, [layout, data]] of Object.entries(kinds)) {
    databases[name] = await create(`read-${Date.now()}-${name}`, layout)
    await commit(databases[name], layout, 1, data)
  }
  const times = {}
  for (let round = 0; round < ROUNDS; round++) {
    await say(`  reading, round ${round}`)
    for (const name of shuffled(Object.keys(kinds))) {
      const start = performance.now()
      const sum = await readThrough(databases[name], kinds[name][2])
      keep(times, 'catch-up of 50,000', name, round, performance.now() - start)
      if (sum !== (50_000 * 50_001) / 2) throw new Error(`${name}: positions add up to ${sum}`)
    }
  }
  for (const db of Object.values(databases)) {
    db.close()
    await drop(db.name)
  }
  return times
}

async function readThrough(db, decode) {
  let after = 0
  let sum = 0
  for (;;) {
    const records = await new Promise((resolve, reject) => {
      const tx = db.transaction('log', 'readonly')
      const request = tx.objectStore('log').getAll(IDBKeyRange.lowerBound(after, true), 40)
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
    if (records.length === 0) return sum
    for (const r of records) for (const event of decode(r)) sum += event.position
    after = records.at(-1).at
  }
}

/** The commit of a read model: the checkpoint row is compared and set beside one changed row. */
export async function rowCommit(say) {
  const shapes = {
    'get, then put + put + commit': (tx, meta, rows, i) => {
      meta.get('m').onsuccess = (event) => {
        if (event.target.result.checkpoint !== i) return tx.abort()
        rows.put({ key: i % 50, n: i, name: 'a row of a read model' })
        meta.put({ key: 'm', checkpoint: i + 1, epoch: 1 })
        tx.commit()
      }
    },
    'get + put + put, commit in the callback': (tx, meta, rows, i) => {
      meta.get('m').onsuccess = (event) => (event.target.result.checkpoint === i ? tx.commit() : tx.abort())
      rows.put({ key: i % 50, n: i, name: 'a row of a read model' })
      meta.put({ key: 'm', checkpoint: i + 1, epoch: 1 })
    },
    'put + put + commit, no check (floor)': (tx, meta, rows, i) => {
      rows.put({ key: i % 50, n: i, name: 'a row of a read model' })
      meta.put({ key: 'm', checkpoint: i + 1, epoch: 1 })
      tx.commit()
    },
  }
  const build = (name) =>
    open(name, (db) => {
      db.createObjectStore('rows', { keyPath: 'key' })
      db.createObjectStore('meta', { keyPath: 'key' }).put({ key: 'm', checkpoint: 0, epoch: 1 })
    })
  const times = {}
  for (let round = 0; round < ROUNDS; round++) {
    await say(`  rowCommit, round ${round}`)
    for (const name of shuffled(Object.keys(shapes))) {
      const ms = await inDatabase(build, async (db) => {
        const start = performance.now()
        for (let i = 0; i < 300; i++) {
          const tx = db.transaction(['rows', 'meta'], 'readwrite', relaxed)
          shapes[name](tx, tx.objectStore('meta'), tx.objectStore('rows'), i)
          await done(tx)
        }
        return performance.now() - start
      })
      keep(times, '300 row commits', name, round, ms)
    }
  }
  return times
}

/** One-event records, written raw and through the `idb` library. */
export async function wrapper(say) {
  const layout = layouts_.A
  const ways = {
    raw: (db, at, events) =>
      commit(
        db,
        layout,
        at,
        events.map((event) => [event]),
      ),
    'idb, adds not awaited': (db, at, events) => {
      const tx = idb.wrap(db).transaction('log', 'readwrite', relaxed)
      for (const [i, event] of events.entries()) tx.store.add(record(layout, at + i, [event])).catch(() => {})
      tx.commit()
      return tx.done
    },
    'idb, every add awaited': async (db, at, events) => {
      const tx = idb.wrap(db).transaction('log', 'readwrite', relaxed)
      tx.done.catch(() => {})
      for (const [i, event] of events.entries()) await tx.store.add(record(layout, at + i, [event]))
      tx.commit()
      await tx.done
    },
  }
  const sizes = { 'A1: 300 commits of 1': [300, 1], 'A2: 50 commits of 100 one-event records': [50, 100] }
  const times = {}
  for (let round = 0; round < ROUNDS; round++) {
    await say(`  wrapper, round ${round}`)
    for (const [caseName, [commits, size]] of Object.entries(sizes))
      for (const name of shuffled(Object.keys(ways))) {
        const work = transactions(commits, size, 1).map((batches) => batches[0])
        const ms = await inDatabase(
          (n) => create(n, layout),
          async (db) => {
            const start = performance.now()
            let at = 1
            for (const events of work) {
              await ways[name](db, at, events)
              at += events.length
            }
            return performance.now() - start
          },
        )
        keep(times, caseName, name, round, ms)
      }
  }
  return times
}

// Helpers

let databases = 0
export async function inDatabase(build, body) {
  const name = `layout-${Date.now()}-${databases++}`
  const db = await build(name)
  try {
    return await body(db)
  } finally {
    db.close()
    await drop(name)
  }
}

export function keep(times, caseName, name, round, ms) {
  if (round > 0) ((times[caseName] ??= {})[name] ??= [])[round - 1] = ms
}

const count = (batches) => batches.reduce((n, batch) => n + batch.length, 0)

function chunk(events) {
  const batches = []
  for (let i = 0; i < events.length; i += RECORD) batches.push(events.slice(i, i + RECORD))
  return batches
}

/** `commits` transactions, each a list of one batch of `size` events; consecutive events are in different streams; 200 ids a millisecond. */
function transactions(commits, size, msApart, first = 0) {
  const made = []
  let n = first
  for (let c = 0; c < commits; c++) {
    const time = 1_700_000_000_000 + first + c * msApart
    const batch = []
    for (let i = 0; i < size; i++, n++)
      batch.push({
        stream: `account-${n % STREAMS}`,
        version: 1 + Math.floor(n / STREAMS),
        type: 'MoneyDeposited',
        id: uuid7(time + Math.floor(i / 200), i),
        time,
        data: {
          amount: n,
          currency: 'EUR',
          from: 'a customer at a counter',
          note: `deposit number ${n} of many made today`,
          ok: true,
        },
      })
    made.push([batch])
  }
  return made
}

const hex = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))
function uuid7(ms, sequence) {
  const r = crypto.getRandomValues(new Uint8Array(8))
  const t = ms.toString(16).padStart(12, '0')
  const s = (sequence & 0xfff).toString(16).padStart(3, '0')
  const tail = Array.from(r, (byte) => hex[byte]).join('')
  return `${t.slice(0, 8)}-${t.slice(8)}-7${s}-8${tail.slice(1, 4)}-${tail.slice(4)}`
}

export function shuffled(names) {
  const out = [...names]
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[out[i], out[j]] = [out[j], out[i]]
  }
  return out
}
