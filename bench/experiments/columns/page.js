// Runs in the browser. Ways to write the events of a record, on raw IndexedDB with the log's indexes: no library, nothing checked.
const count = 100_096
const rounds = 7
/** So many events are in a commit, and in a page that is read. */
const commitSize = 10_240

const scatter = (n) => {
  let hash = n + 1
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
const hex = (n, length) => n.toString(16).padStart(length, '0').slice(-length)

/** Deposits as in the bench; of an append all have one time. */
function eventAt(n) {
  const time = 1_790_000_000_000 + Math.floor(n / commitSize)
  const head = hex(time, 12)
  return {
    type: 'Deposited',
    data: {
      customer: `customer-${scatter(n) % 1000}`,
      amount: 1 + (n % 97),
      currency: 'EUR',
      reference: `deposit number ${n} at the counter`,
      settled: true,
    },
    stream: `account-${n % 100}`,
    id: `${head.slice(0, 8)}-${head.slice(8)}-7${hex(n, 3)}-8${hex(scatter(n), 3)}-${hex(scatter(n * 7), 8)}${hex(n, 4)}`,
    time,
    version: Math.floor(n / 100) + 1,
  }
}

const rows = {
  write: (events) =>
    `[${events
      .map(
        ({ type, data, stream, id, time, version }) =>
          `{"type":"${type}","data":${JSON.stringify(data)},"stream":"${stream}","id":"${id}","time":${time},"version":${version}}`,
      )
      .join(',')}]`,
  read(text, at) {
    const events = JSON.parse(text)
    for (let index = 0; index < events.length; index += 1) events[index].position = at + index
    return events
  },
}

function places(words) {
  const known = new Map()
  const found = words.map((word) => {
    const place = known.get(word) ?? known.size
    if (place === known.size) known.set(word, place)
    return place
  })
  return [JSON.stringify([...known.keys()]), `[${found}]`]
}

/** `joined`: ids as one text of 36 characters each. */
const columns = (joined) => ({
  write(events) {
    const [types, type] = places(events.map(({ type }) => type))
    const [streams, stream] = places(events.map(({ stream }) => stream))
    const ids = events.map(({ id }) => id)
    return `{"types":${types},"type":${type},"streams":${streams},"stream":${stream},"version":[${events.map(({ version }) => version)}],"id":${
      joined ? `"${ids.join('')}"` : `["${ids.join('","')}"]`
    },"time":${events[0].time},"data":[${events.map(({ data }) => JSON.stringify(data)).join(',')}]}`
  },
  read(text, at) {
    const { types, type, streams, stream, version, id, time, data } = JSON.parse(text)
    return data.map((data, index) => ({
      type: types[type[index]],
      data,
      stream: streams[stream[index]],
      id: joined ? id.slice(36 * index, 36 * index + 36) : id[index],
      time,
      version: version[index],
      position: at + index,
    }))
  },
})

const large = Object.fromEntries([
  ...[128, 200, 256, 512, 1024].map((size) => [`one after the other, ${size}`, { ...rows, size }]),
  ...[256, 512, 1024].map((size) => [`columns, ${size}`, { ...columns(false), size }]),
  ['columns, 512, ids joined', { ...columns(true), size: 512 }],
])
const small = Object.fromEntries(
  [1, 2, 3, 4, 8, 16].flatMap((size) => [
    [`one after the other, ${size}`, { ...rows, size }],
    [`columns, ${size}`, { ...columns(false), size }],
  ]),
)

const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
const committed = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error)
  })

function recordOf(events, at, beginsCommit, write) {
  const heads = [...new Map(events.map(({ stream, version }) => [stream, version]))]
  const ids = [...new Set(events.map(({ id }) => id.slice(0, 13)))]
  return { at, n: events.length, heads, commits: beginsCommit ? [at] : [], ids, events: write(events) }
}

function* groupsOf(events, size) {
  for (let at = 0; at < events.length; at += size) yield events.slice(at, at + size)
}

async function openEmpty(name) {
  await result(indexedDB.deleteDatabase(name))
  const request = indexedDB.open(name, 1)
  request.onupgradeneeded = () => {
    const log = request.result.createObjectStore('commits', { keyPath: 'at' })
    log.createIndex('heads', 'heads', { multiEntry: true })
    log.createIndex('commits', 'commits', { multiEntry: true, unique: true })
    log.createIndex('ids', 'ids', { multiEntry: true })
  }
  return result(request)
}

async function append(database, events, { size, write }) {
  let at = 1
  for (const commit of groupsOf(events, Math.max(1, Math.round(commitSize / size)) * size)) {
    const transaction = database.transaction('commits', 'readwrite', { durability: 'relaxed' })
    const log = transaction.objectStore('commits')
    for (const [index, group] of [...groupsOf(commit, size)].entries()) {
      log.add(recordOf(group, at, index === 0, write))
      at += group.length
    }
    transaction.commit()
    await committed(transaction)
  }
}

async function read(database, { size, read }) {
  const seen = { events: 0, amount: 0, positions: 0 }
  for (let after = 0; after < count;) {
    const records = await result(
      database
        .transaction('commits')
        .objectStore('commits')
        .getAll(IDBKeyRange.lowerBound(after + 1), Math.round(commitSize / size)),
    )
    // Kept until the page is done, as a library that hands out a page does.
    const page = records.map(({ at, events }) => read(events, at))
    for (const { data, position } of page.flat()) {
      seen.events += 1
      seen.amount += data.amount
      seen.positions += position
      after = position
    }
  }
  return seen
}

/** @returns for each variant: characters of text per event, and µs per event of each round */
window.experiment = async () => {
  const events = Array.from({ length: count }, (_, n) => eventAt(n))
  const wanted = JSON.stringify({
    events: count,
    amount: events.reduce((sum, { data }) => sum + data.amount, 0),
    positions: (count * (count + 1)) / 2,
  })
  const figures = { large: {}, small: {} }
  const timed = async (into, what, work) => {
    const start = performance.now()
    const done = await work()
    ;(into[what] ??= []).push(((performance.now() - start) * 1000) / count)
    return done
  }
  for (const [name, variant] of Object.entries(large)) {
    figures.large[name] = {
      characters:
        [...groupsOf(events, variant.size)].reduce((sum, group) => sum + variant.write(group).length, 0) / count,
    }
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, variant] of Object.entries(large)) {
      const into = round === 0 ? {} : figures.large[name]
      const database = await openEmpty(`columns ${name}`)
      await timed(into, 'write', () => append(database, events, variant))
      const seen = JSON.stringify(await timed(into, 'read', () => read(database, variant)))
      database.close()
      if (seen !== wanted) throw new Error(`${name} read ${seen} instead of ${wanted}`)
    }
    for (const [name, { size, write, read }] of Object.entries(small)) {
      const into = round === 0 ? {} : (figures.small[name] ??= {})
      const texts = await timed(into, 'write', () => [...groupsOf(events, size)].map(write))
      await timed(into, 'read', () => texts.reduce((sum, text, index) => sum + read(text, index * size + 1).length, 0))
    }
  }
  return figures
}
