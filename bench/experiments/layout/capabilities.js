// Exactly the browser features that the log layout and the coordination need, one check each.
import { asked, done, drop, open, relaxed } from './idb-lite.js'

const checks = {
  'array keys inside a multiEntry index': () =>
    withLog(async (db) => {
      await add(db, {
        at: 1,
        heads: [
          ['a', 1],
          ['b', 7],
        ],
        commits: [1],
      })
      const heads = index(db, 'heads')
      equal(await asked(heads.getAllKeys(['b', 7])), [1])
      equal(await asked(index(db, 'heads').count()), 2)
    }),

  'unique multiEntry index refuses a duplicate: ConstraintError, the whole transaction is undone': () =>
    withLog(async (db) => {
      await add(db, { at: 1, heads: [], commits: [1] })
      await refused(
        db,
        [
          { at: 2, commits: [2] },
          { at: 3, commits: [9, 1] },
        ],
        false,
      )
      equal(await asked(store(db).getAllKeys()), [1])
    }),

  'the same with commit() called in the turn of the add': () =>
    withLog(async (db) => {
      await add(db, { at: 1, heads: [], commits: [1] })
      await refused(
        db,
        [
          { at: 2, commits: [2] },
          { at: 3, commits: [9, 1] },
        ],
        true,
      )
      equal(await asked(store(db).getAllKeys()), [1])
    }),

  'a compacted record still refuses a stale writer': () =>
    withLog(async (db) => {
      for (const at of [1, 2, 3]) await add(db, { at, heads: [['a', at]], commits: [at] })
      const tx = db.transaction('log', 'readwrite', relaxed)
      tx.objectStore('log').delete(IDBKeyRange.bound(1, 3))
      tx.objectStore('log').add({ at: 1, heads: [['a', 3]], commits: [1, 2, 3] })
      tx.commit()
      await done(tx)
      await refused(db, [{ at: 3, commits: [3] }], true)
      await add(db, { at: 4, heads: [], commits: [4] })
    }),

  'a value repeated inside one record is one entry, not a conflict': () =>
    withLog(async (db) => {
      await add(db, { at: 1, commits: [5, 5, 5], ids: ['x', 'x'] })
      equal(await asked(index(db, 'commits').count()), 1)
      equal(await asked(index(db, 'ids').count()), 1)
    }),

  'tx.error names the ConstraintError when commit() was not called': () =>
    withLog(async (db) => {
      await add(db, { at: 1, commits: [1] })
      equal(await refused(db, [{ at: 2, commits: [1] }], false), 'ConstraintError')
    }),

  'tx.error names the ConstraintError when commit() was called before the request failed': () =>
    withLog(async (db) => {
      await add(db, { at: 1, commits: [1] })
      equal(await refused(db, [{ at: 2, commits: [1] }], true), 'ConstraintError')
    }),

  'preventDefault on a ConstraintError after commit(): the other records are kept, the failed one is not': () =>
    withLog(async (db) => {
      await add(db, { at: 1, commits: [1] })
      const tx = db.transaction('log', 'readwrite', relaxed)
      tx.objectStore('log').add({ at: 2, commits: [1] }).onerror = (event) => event.preventDefault()
      tx.objectStore('log').add({ at: 3, commits: [3] })
      tx.commit()
      await done(tx)
      equal(await asked(store(db).getAllKeys()), [1, 3])
    }),

  'preventDefault on a ConstraintError keeps the transaction': () =>
    withLog(async (db) => {
      await add(db, { at: 1, commits: [1] })
      const tx = db.transaction('log', 'readwrite', relaxed)
      const failing = tx.objectStore('log').add({ at: 2, commits: [1] })
      failing.onerror = (event) => {
        event.preventDefault()
        event.stopPropagation()
        tx.objectStore('log').add({ at: 3, commits: [3] })
      }
      await done(tx)
      equal(await asked(store(db).getAllKeys()), [1, 3])
    }),

  'two queued writers with the same commit position: the second is refused': () =>
    withLog(async (db, name) => {
      const other = await open(name)
      const first = add(db, { at: 1, commits: [1] })
      await refused(other, [{ at: 2, commits: [1] }], true)
      await first
      other.close()
      equal(await asked(store(db).getAllKeys()), [1])
    }),

  'reverse key cursor over bound([s, 0], [s, []]) gives the last version': () =>
    withLog(async (db) => {
      await add(db, {
        at: 1,
        heads: [
          ['s', 5],
          ['r', 99],
          ['s\0', 77],
        ],
        commits: [1],
      })
      await add(db, {
        at: 9,
        heads: [
          ['s', 12],
          ['t', 98],
          ['sa', 76],
        ],
        commits: [9],
      })
      await add(db, { at: 20, heads: [['u', 1]], commits: [20] })
      const last = async (s) => {
        const cursor = await asked(index(db, 'heads').openKeyCursor(ofStream(s), 'prev'))
        return cursor && [cursor.key, cursor.primaryKey]
      }
      equal(await last('s'), [['s', 12], 9])
      equal(await last('s\0'), [['s\0', 77], 1])
      equal(await last('nobody'), null)
    }),

  'reverse key cursor on an empty store and index answers null': () =>
    withLog(async (db) => {
      equal(await asked(store(db).openKeyCursor(null, 'prev')), null)
      equal(await asked(index(db, 'heads').openKeyCursor(ofStream('s'), 'prev')), null)
      await add(db, { at: 1, commits: [1] })
    }),

  'getAll and getAllKeys over a range of a multiEntry index, in index order, with a limit': () =>
    withLog(async (db) => {
      await add(db, {
        at: 30,
        heads: [
          ['s', 3],
          ['t', 1],
        ],
        commits: [30],
      })
      await add(db, {
        at: 10,
        heads: [
          ['s', 1],
          ['r', 4],
        ],
        commits: [10],
      })
      await add(db, { at: 20, heads: [['s', 2]], commits: [20] })
      const range = IDBKeyRange.bound(['s', 2], ['s', []])
      equal(
        (await asked(index(db, 'heads').getAll(range))).map((r) => r.at),
        [20, 30],
      )
      equal(await asked(index(db, 'heads').getAllKeys(ofStream('s'), 2)), [10, 20])
    }),

  'numbers, strings and arrays in one multiEntry index': () =>
    withLog(async (db) => {
      await add(db, { at: 1, ids: [7, 'seven', ['s', 7], ['', 1]] })
      const keys = []
      const tx = db.transaction('log', 'readonly')
      const walk = tx.objectStore('log').index('ids').openKeyCursor()
      walk.onsuccess = () => {
        if (!walk.result) return
        keys.push(walk.result.key)
        walk.result.continue()
      }
      await done(tx)
      equal(keys, [7, 'seven', ['', 1], ['s', 7]])
    }),

  'an empty array or an absent property: stored, no index entry': () =>
    withLog(async (db) => {
      await add(db, { at: 1, heads: [], commits: [], ids: [] })
      await add(db, { at: 2 })
      equal(await asked(store(db).getAllKeys()), [1, 2])
      for (const name of ['heads', 'commits', 'ids']) equal(await asked(index(db, name).count()), 0)
    }),

  'commit() completes, and refuses further requests': () =>
    withLog(async (db) => {
      const tx = db.transaction('log', 'readwrite')
      const log = tx.objectStore('log') // asked after commit(), Chromium throws InvalidStateError already here
      log.add({ at: 1 })
      tx.commit()
      let name = 'nothing thrown'
      try {
        log.add({ at: 2 })
      } catch (error) {
        name = error.name
      }
      await done(tx)
      equal(name, 'TransactionInactiveError')
      equal(await asked(store(db).getAllKeys()), [1])
    }),

  'commit() in the callback of the first of several requests keeps the later ones': () =>
    withLog(async (db) => {
      const tx = db.transaction('log', 'readwrite', relaxed)
      tx.objectStore('log').get(1).onsuccess = () => tx.commit()
      tx.objectStore('log').add({ at: 1 })
      tx.objectStore('log').add({ at: 2 })
      await done(tx)
      equal(await asked(store(db).getAllKeys()), [1, 2])
    }),

  'abort() in the callback of the first of several requests undoes the later ones': () =>
    withLog(async (db) => {
      const tx = db.transaction('log', 'readwrite', relaxed)
      tx.objectStore('log').get(1).onsuccess = () => tx.abort()
      tx.objectStore('log').add({ at: 1 }).onerror = (event) => event.preventDefault()
      tx.objectStore('log').add({ at: 2 }).onerror = (event) => event.preventDefault()
      await done(tx).catch(() => {})
      equal(await asked(store(db).getAllKeys()), [])
    }),

  'tx.durability is honoured': () =>
    withLog(async (db) => {
      for (const durability of ['relaxed', 'strict'])
        equal(db.transaction('log', 'readwrite', { durability }).durability, durability)
    }),

  'indexedDB.databases() lists name and version, and forgets what was deleted': async () => {
    const name = fresh()
    ;(await open(name, (db) => db.createObjectStore('s'), 3)).close()
    const mine = async () => (await indexedDB.databases()).filter((d) => d.name === name).map((d) => d.version)
    equal(await mine(), [3])
    await drop(name)
    equal(await mine(), [])
  },

  'strings with NUL, emoji and lone surrogates as keys: kept, in UTF-16 code unit order': () =>
    withLog(async (db) => {
      const names = [
        '',
        '\0',
        'a',
        'a\0',
        'a\0b',
        'aa',
        'é',
        '\ud800',
        '\ud800x',
        '\ud83d\ude00',
        '\udc00',
        '\ue000',
        '\uffff',
      ]
      const codeUnits = [...names].sort() // Array.prototype.sort compares code units
      for (const [i, s] of [...names].reverse().entries()) await add(db, { at: i, heads: [[s, 1]], ids: [s], s })
      const seen = { ids: [], heads: [] }
      for (const which of ['ids', 'heads']) {
        const tx = db.transaction('log', 'readonly')
        const walk = tx.objectStore('log').index(which).openCursor()
        walk.onsuccess = () => {
          if (!walk.result) return
          const key = which === 'ids' ? walk.result.key : walk.result.key[0]
          if (key !== walk.result.value.s)
            throw new Error(`key ${units(key)} is not value ${units(walk.result.value.s)}`)
          seen[which].push(key)
          walk.result.continue()
        }
        await done(tx)
      }
      equal(seen.ids.map(units), codeUnits.map(units))
      equal(seen.heads.map(units), codeUnits.map(units))
      for (const s of names) equal((await asked(index(db, 'heads').getAll(ofStream(s)))).length, 1)
    }),

  'lone surrogates survive in values': () =>
    withLog(async (db) => {
      await add(db, { at: 1, s: 'x\ud800y\0z' })
      equal(units((await asked(store(db).get(1))).s), units('x\ud800y\0z'))
    }),

  "database names with ':', '/', '@' and emoji are kept apart": async () => {
    const names = [':', '/', '@', '\u{1F600}'].map((c) => `${fresh()}${c}a@1`)
    for (const name of names) (await open(name, (db) => db.createObjectStore('s'))).close()
    const listed = (await indexedDB.databases()).map((d) => d.name)
    const missing = names.filter((name) => !listed.includes(name))
    for (const name of names) await drop(name)
    equal(missing, [])
  },

  'aborting the upgrade of a new database: open() fails, the next open() starts from nothing': async () => {
    const name = fresh()
    equal(await abortedUpgrade(name), 'AbortError')
    const again = indexedDB.open(name, 1)
    let oldVersion
    again.onupgradeneeded = (event) => (oldVersion = event.oldVersion)
    const db = await asked(again)
    equal([oldVersion, db.objectStoreNames.length], [0, 0])
    db.close()
    await drop(name)
  },

  'aborting the upgrade of a new database: databases() does not list it': async () => {
    const name = fresh()
    await abortedUpgrade(name)
    const listed = (await indexedDB.databases()).filter((d) => d.name === name)
    await drop(name)
    equal(listed, [])
  },

  'versionchange with newVersion null before a delete; the delete waits for close()': async () => {
    const name = fresh()
    const db = await open(name, (d) => d.createObjectStore('s'))
    let seen = 'none'
    db.onversionchange = (event) => {
      seen = event.newVersion
      db.close()
    }
    await drop(name)
    equal(seen, null)
    equal('onclose' in db, true)
  },

  'Web Locks: ifAvailable, shared, steal, query': async () => {
    const name = fresh()
    let free
    const held = new Promise((resolve) => (free = resolve))
    const first = navigator.locks.request(name, () => held)
    const firstEnds = first.then(
      () => 'released',
      (error) => error.name,
    )
    await navigator.locks.request(name, { ifAvailable: true }, (lock) => equal(lock, null))
    equal((await navigator.locks.query()).held.filter((l) => l.name === name).length, 1)
    equal(await navigator.locks.request(name, { steal: true }, (lock) => lock.mode), 'exclusive')
    equal(await firstEnds, 'AbortError')
    free()
    await navigator.locks.request(name, { mode: 'shared' }, () =>
      navigator.locks.request(name, { mode: 'shared', ifAvailable: true }, (lock) => equal(lock?.mode, 'shared')),
    )
  },

  'BroadcastChannel delivers within the page, not to the sender': async () => {
    const name = fresh()
    const [a, b] = [new BroadcastChannel(name), new BroadcastChannel(name)]
    let echo = false
    a.onmessage = () => (echo = true)
    const got = new Promise((resolve) => (b.onmessage = (event) => resolve(event.data)))
    a.postMessage({ position: 7 })
    equal(await got, { position: 7 })
    a.close()
    b.close()
    equal(echo, false)
  },
}

export async function capabilities() {
  const outcome = {}
  for (const [name, check] of Object.entries(checks))
    outcome[name] = await within(8_000, check()).then(
      () => 'pass',
      (error) => `FAIL: ${error?.message ?? error}`,
    )
  return outcome
}

/** Informational: what an open connection notices when the site's data are cleared by a response header. */
export async function clearSiteData() {
  const name = fresh()
  const db = await open(name, (d) => d.createObjectStore('log', { keyPath: 'at' }))
  const seen = []
  db.onclose = () => seen.push('close')
  db.onversionchange = () => seen.push('versionchange')
  await fetch('/clear')
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  const outcome = { events: seen }
  outcome.write = await within(4_000, add(db, { at: 1 })).then(
    () => 'accepted',
    (error) => error.name,
  )
  outcome.listed = (await indexedDB.databases()).some((d) => d.name === name)
  db.close()
  return outcome
}

// Helpers

let counter = 0
const fresh = () => `cap-${Date.now()}-${counter++}`
const ofStream = (s) => IDBKeyRange.bound([s, 0], [s, []])
const store = (db) => db.transaction('log', 'readonly').objectStore('log')
const index = (db, name) => store(db).index(name)
const units = (s) => [...Array(s.length).keys()].map((i) => s.charCodeAt(i).toString(16)).join(' ')

async function withLog(body) {
  const name = fresh()
  const db = await open(name, (d) => {
    const log = d.createObjectStore('log', { keyPath: 'at' })
    log.createIndex('heads', 'heads', { multiEntry: true })
    log.createIndex('commits', 'commits', { multiEntry: true, unique: true })
    log.createIndex('ids', 'ids', { multiEntry: true })
  })
  try {
    await body(db, name)
  } finally {
    db.close()
    await drop(name)
  }
}

async function add(db, record) {
  const tx = db.transaction('log', 'readwrite', relaxed)
  tx.objectStore('log').add(record)
  tx.commit()
  await done(tx)
}

async function refused(db, records, explicit) {
  const tx = db.transaction('log', 'readwrite', relaxed)
  const requests = records.map((record) => tx.objectStore('log').add(record))
  const last = asked(requests.at(-1)).then(
    () => 'success',
    (error) => error.name,
  )
  for (const request of requests.slice(0, -1)) asked(request).catch(() => {})
  if (explicit) tx.commit()
  const ended = await done(tx).then(
    () => 'complete',
    (error) => error.name,
  )
  equal([await last, ended === 'complete'], ['ConstraintError', false])
  return tx.error?.name ?? null
}

function abortedUpgrade(name) {
  const request = indexedDB.open(name, 1)
  request.onupgradeneeded = () => {
    request.result.createObjectStore('s')
    request.transaction.abort()
  }
  return asked(request).then(
    () => 'opened',
    (error) => error.name,
  )
}

function equal(actual, expected) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (a !== e) throw new Error(`got ${a}, expected ${e}`)
}

function within(ms, promise) {
  let timer
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`no answer in ${ms} ms`)), ms)))
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
