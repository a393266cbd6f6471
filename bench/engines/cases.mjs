// What is measured. Each case returns tables.
import { measured } from './programs.mjs'
import { cpuOf, mostOpenFiles, memoryOf } from './usage.mjs'

const title = { postgres: 'PostgreSQL', 'durable-object': 'Durable Object', file: 'file', memory: 'memory' }
const whole = (n) => (Number.isFinite(n) ? Math.round(n).toLocaleString('en-US') : '')
const fixed = (n, digits = 2) => (Number.isFinite(n) ? n.toFixed(digits) : '')
const middle = (values) => {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2
}
let logs = 0
const newLog = () => `log-${(logs += 1)}`

export const cases = [
  { name: 'push: 10,000 events in commits of 5', run: push },
  { name: 'followers', run: followers },
  { name: 'hints', run: hints },
  { name: 'projection into rows of PostgreSQL', run: projection },
  { name: 'cost of an event', run: cost },
  { name: 'fleet: devices over logs of ten', run: (about) => fleet(about, 1) },
  { name: 'fleet at four times that rate', run: (about) => fleet(about, 4), isLarge: true },
  { name: 'storm of writers', run: storm },
]

/** Contenders of an engine run one after the other, and each round begins with another one. */
async function push({ engines, sizes, say }) {
  const { events, rounds, warmUp } = sizes
  const how = { events, size: 5, perPush: 1000, atATime: 1, warmUp: Math.min(warmUp, events) }
  const rows = []
  for (const engine of await engines.names()) {
    const inside = (kind) => async () => {
      const place = await engines.place(engine)
      const { ms } = await measured(engines.programs, 'inside', { place, kind, log: newLog(), ...how })
      await engines.drop(place)
      return ms
    }
    const served = (kind) => async () => {
      const server = await engines.serve(engine)
      try {
        const { ms } = await measured(engines.programs, 'clients', { kind, url: server.url, log: newLog(), ...how })
        return ms
      } finally {
        await server.end()
        if (server.place) await engines.drop(server.place)
      }
    }
    const contenders = [
      ...(engine === 'postgres' || engine === 'file' ? [['by hand, in the process', inside('raw')]] : []),
      ...(engine === 'durable-object' ? [] : [['serverLog, in the process', inside('push')]]),
      ...(engine === 'memory' ? [] : [['by hand, over HTTP', served('raw')]]),
      ['push over HTTP', served('push')],
      ['startSync of a device, all sent and pulled', served('device')],
    ]
    const times = await inRounds(contenders, rounds, say, title[engine])
    const first = times.get('by hand, in the process') ?? times.get('by hand, over HTTP')
    for (const [name] of contenders) {
      const own = times.get(name)
      const byHand = name.includes('HTTP') || name.includes('startSync') ? times.get('by hand, over HTTP') : first
      rows.push([
        `${title[engine]}: ${name}`,
        whole((events * 1000) / middle(own)),
        `${whole((events * 1000) / Math.max(...own))} to ${whole((events * 1000) / Math.min(...own))}`,
        byHand === undefined || name.startsWith('by hand') ? '' : fixed(middle(byHand) / middle(own)),
        byHand === undefined || name.startsWith('by hand')
          ? ''
          : `${fixed(Math.min(...own.map((ms, n) => byHand[n] / ms)))} to ${fixed(Math.max(...own.map((ms, n) => byHand[n] / ms)))}`,
      ])
    }
  }
  return [
    {
      head: ['two pushes of 1,000 commits', 'events/s, median', 'in one round', 'of the speed by hand', 'in one round'],
      rows,
    },
  ]
}

/** @returns times in ms by name, without those of the first round */
async function inRounds(contenders, rounds, say, about) {
  const times = new Map(contenders.map(([name]) => [name, []]))
  for (let round = 0; round < rounds; round += 1)
    for (let turn = 0; turn < contenders.length; turn += 1) {
      const [name, run] = contenders[(round + turn) % contenders.length]
      const ms = await run()
      if (round > 0 || rounds === 1) times.get(name).push(ms)
      say(`${about}: ${name}: ${ms.toFixed(0)} ms`)
    }
  return times
}

/** One device pushes commits of 5, others follow by hints and pulls. */
async function followers({ engines, sizes, say }) {
  const rows = []
  for (const engine of await engines.names()) {
    for (const many of sizes.followers) {
      const hows = [
        ['20 commits a second', 50],
        ['as fast as it can', 0],
      ]
      for (const [how, every] of sizes.isSmall ? hows.slice(1) : hows) {
        const kinds = engine === 'postgres' ? ['in the same process', 'in another process'] : ['']
        for (const kind of kinds) {
          const server = await engines.serve(engine)
          const other = kind === 'in another process' ? await engines.serve(engine, server.place) : server
          try {
            const log = newLog()
            const job = {
              url: server.url,
              followed: other.url,
              wake: server.wake,
              log,
              followers: many,
              commits: sizes.hints,
              size: 5,
              every,
            }
            const before = async () => {
              const cpu = cpuOf(server.pid) + (other === server ? 0 : cpuOf(other.pid))
              return async () => ({ cpu: cpuOf(server.pid) + (other === server ? 0 : cpuOf(other.pid)) - cpu })
            }
            const { ms, delivered, pulls, p50, p99, cpu, pushed } = await measured(
              engines.programs,
              'follow',
              job,
              before,
            )
            const name = [`${title[engine]}${kind && `, ${kind}`}`, `${many} followers`, how].join(': ')
            say(`${name}: ${delivered} events, ${p50.toFixed(1)} ms`)
            rows.push([
              name,
              whole((sizes.hints * 1000) / pushed),
              whole((delivered * 1000) / ms),
              whole(pulls),
              fixed(p50, 1),
              fixed(p99, 1),
              whole((cpu * 1000) / delivered),
            ])
          } finally {
            await server.end()
            if (other !== server) await other.end()
            if (server.place) await engines.drop(server.place)
          }
        }
      }
    }
  }
  return [
    {
      head: [
        'who pushes where',
        'commits/s',
        'events/s delivered',
        'pulls',
        'late p50, ms',
        'p99',
        'processor of the server, µs an event delivered',
      ],
      rows,
    },
  ]
}

/** What it costs to tell devices that there is something new, which they do not fetch here. */
async function hints({ engines, sizes, say }) {
  const rows = []
  for (const engine of await engines.names()) {
    const server = await engines.serve(engine)
    try {
      const run = async (devices) => {
        const log = newLog()
        const job = { url: server.url, wake: server.wake, log, devices, rounds: 20 }
        const used = await measured(engines.programs, 'hints', job, async () => {
          const cpu = cpuOf(server.pid)
          return async () => ({ cpu: cpuOf(server.pid) - cpu })
        })
        return { ms: used.ms / 20, cpu: used.cpu / 20 }
      }
      const [alone, told] = [await run(0), await run(sizes.told)]
      say(`${title[engine]}: ${told.ms.toFixed(0)} ms`)
      rows.push([
        title[engine],
        server.wake === 'websocket' ? 'WebSocket' : 'stream',
        whole(((told.cpu - alone.cpu) * 1000) / sizes.told),
        whole(told.ms),
      ])
    } finally {
      await server.end()
      if (server.place) await engines.drop(server.place)
    }
  }
  return [
    {
      head: [
        `${whole(sizes.told)} devices on one log`,
        'by',
        'processor of the server, µs a hint',
        'push until all have the hint, ms',
      ],
      rows,
    },
  ]
}

async function projection({ engines, sizes, say }) {
  if (!(await engines.names()).includes('postgres')) return []
  const place = await engines.place('postgres')
  const { contenders } = await measured(engines.programs, 'project', {
    place,
    events: sizes.projected,
    rounds: sizes.rounds,
  })
  await engines.drop(place)
  const rows = contenders.map(({ name, events, times }) => {
    say(`${name}: ${times.map((ms) => ms.toFixed(0)).join(' ')} ms`)
    const hand = contenders.find(
      (each) => each.name.startsWith('by hand') && name.includes(each.name.slice('by hand, '.length)),
    )
    const speed = (each, ms) => (each.events * 1000) / ms
    return [
      name,
      whole(events),
      whole(speed({ events }, middle(times))),
      `${whole(speed({ events }, Math.max(...times)))} to ${whole(speed({ events }, Math.min(...times)))}`,
      name.startsWith('by hand') ? '' : fixed(speed({ events }, middle(times)) / speed(hand, middle(hand.times))),
    ]
  })
  return [{ head: ['into', 'events', 'events/s, median', 'in one round', 'of the speed by hand'], rows }]
}

/** The same work for each engine, over HTTP with one client, so the figures are those of a server that runs. */
async function cost({ engines, sizes, say }) {
  const { events, alone, isSmall } = sizes
  const many = isSmall ? 50 : 2000
  const kinds = [
    ['push of 1,000 commits of 5', { events, size: 5, perPush: 1000, atATime: 1 }],
    ['push of 20 commits of 5', { events, size: 5, perPush: 20, atATime: 1 }],
    ['push of a commit of 5, alone', { events: alone * 5, size: 5, perPush: 1, atATime: 1 }],
    ['push of an event, alone', { events: alone, size: 1, perPush: 1, atATime: 1 }],
    ['pushes of a commit of 5, 50 at a time', { events: many * 5, size: 5, perPush: 1, atATime: 50 }],
  ]
  const pushed = []
  const pulled = []
  for (const engine of await engines.names()) {
    for (const [name, how] of isSmall ? [kinds[0], kinds[4]] : kinds) {
      const server = await engines.serve(engine)
      const log = newLog()
      const job = { kind: 'push', url: server.url, log, warmUp: Math.min(how.events, 500 * how.size), ...how }
      const used = await measured(engines.programs, 'clients', job, difference(server, log))
      say(`${title[engine]}: ${name}: ${used.ms.toFixed(0)} ms`)
      const per = (value, of = how.events) => value / of
      const written = engine === 'postgres' ? await rowsAdded(server, log) : (used.rows ?? NaN)
      pushed.push([
        `${title[engine]}: ${name}`,
        whole(per(used.cpu * 1000)),
        whole(per(used.postgresCpu * 1000)),
        fixed(per(used.cpu, used.requests)),
        fixed(per(used.postgresCpu, used.requests)),
        whole(per(used.bytes)),
        whole(per(used.wal)),
        fixed(per(written), 3),
        fixed(per(used.roundTrips, used.requests)),
        fixed(per(used.transactions, used.requests)),
        whole((how.events * 1000) / used.ms),
      ])
      if (name === kinds[0][0]) {
        for (const [what, rounds] of [
          ['pull of all of it', 0],
          ['pull of an empty page', alone],
        ]) {
          const got = await measured(
            engines.programs,
            'clients',
            { kind: 'pull', url: server.url, log, events, rounds },
            difference(server, log),
          )
          const requests = rounds || Math.ceil(events / 5000)
          pulled.push([
            `${title[engine]}: ${what}`,
            rounds ? '' : fixed((got.cpu * 1000) / events, 1),
            rounds ? '' : fixed((got.postgresCpu * 1000) / events, 1),
            fixed(got.cpu / requests),
            fixed(got.postgresCpu / requests),
            fixed(got.roundTrips / requests),
            rounds ? '' : whole((events * 1000) / got.ms),
            whole((requests * 1000) / got.ms),
          ])
        }
      }
      await server.end()
      if (server.place) await engines.drop(server.place)
    }
  }
  const units = ['server, µs an event', 'PostgreSQL, µs an event', 'server, ms a request', 'PostgreSQL, ms a request']
  return [
    {
      head: [
        'over HTTP',
        ...units,
        'bytes on disk an event',
        'WAL an event',
        'rows written an event',
        'round trips a push',
        'transactions a push',
        'events/s',
      ],
      rows: pushed,
    },
    { head: ['over HTTP', ...units, 'round trips a pull', 'events/s', 'pulls/s'], rows: pulled },
  ]
}

/** What is used between the begin and the end of a program. */
const difference = (server, log) => async () => {
  const before = await server.usage(log)
  return async () => {
    const after = await server.usage(log)
    return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]]))
  }
}

/** Of PostgreSQL those that were added to the tables of a log; the row of the log is changed once more in each transaction. */
async function rowsAdded(server, log) {
  const { pool } = server.postgres
  const { schema } = server.place
  const { rows } = await pool.query(
    `select (select count(*) from ${schema}.commits c where c.log = l.id) + (select count(*) from ${schema}.ids i where i.log = l.id)
     + (select count(*) from ${schema}.heads h where h.log = l.id) as n from ${schema}.logs l where name = $1`,
    [log],
  )
  return Number(rows[0].n)
}

async function fleet({ engines, sizes, say }, pace) {
  const { devices, seconds, seed } = sizes
  const many = Math.ceil(devices / 10)
  const rows = []
  const notes = []
  for (const engine of ['postgres', 'durable-object']) {
    if (!(await engines.names()).includes(engine)) continue
    const servers = []
    for (let left = serversFor(engine, devices, many); left > 0; left -= 1) servers.push(await engines.serve(engine))
    const [server] = servers
    const sum = (figure) => servers.reduce((all, { pid }) => all + figure(pid), 0)
    let most = 0
    let sampling
    // 40 commits a day, in eight hours, and three times as many at the peak.
    const rate = (40 / 28_800) * 3 * pace * (sizes.isSmall ? 100 : 1)
    const job = {
      urls: servers.map(({ url }) => url),
      wake: server.wake,
      prefix: newLog(),
      devices,
      logs: many,
      seconds,
      rate,
      commits: 2,
      size: 5,
      seed,
    }
    const before = async () => {
      const cpu = sum(cpuOf)
      const postgres = await engines.postgresUsage(server.place)
      const memory = sum(memoryOf)
      sampling = setInterval(() => void server.connections().then((n) => (most = Math.max(most, n ?? 0))), 500)
      return async () => {
        clearInterval(sampling)
        const after = await engines.postgresUsage(server.place)
        return {
          cpu: sum(cpuOf) - cpu,
          postgresCpu: after.cpu - postgres.cpu,
          memory: Math.max(memory, sum(memoryOf)),
        }
      }
    }
    try {
      const got = await measured(engines.programs, 'fleet', job, before)
      say(JSON.stringify(got))
      if (got.errors > 0 || got.wrong > 0) throw new Error(`${title[engine]}: ${JSON.stringify(got)}`)
      const perSecond = (n) => fixed((n * 1000) / got.ms, 1)
      const share = (ms) => `${whole((ms / got.ms) * 100)} %`
      rows.push([
        title[engine],
        perSecond(got.pushes),
        perSecond(got.pages),
        perSecond(got.pulls),
        perSecond(got.events),
        `${fixed(got.late.p50, 0)}, ${fixed(got.late.p99, 0)}`,
        `${fixed(got.push.p50, 1)}, ${fixed(got.push.p99, 0)}`,
        `${fixed(got.pull.p50, 1)}, ${fixed(got.pull.p99, 0)}`,
        share(got.cpu),
        engine === 'postgres' ? share(got.postgresCpu) : '',
        share(got.clientCpu),
        `${whole(got.memory)} MB`,
        engine === 'postgres' ? most : '',
        got.errors,
        whole(got.commits),
      ])
      notes.push(
        `${title[engine]}: ${whole(devices)} devices were connected to ${whole(many)} logs in ${servers.length === 1 ? 'one process' : `${servers.length} processes`} in ${fixed(got.connected / 1000, 1)} s. Then, in ${fixed(got.ms / 1000, 0)} s, ${whole(got.commits)} commits were acknowledged, each is in its log once, and no log has a hole.`,
      )
    } catch (error) {
      // Of workerd: why it ended, if it did.
      for (const { printed } of servers) if (printed?.()) say(printed())
      throw error
    } finally {
      clearInterval(sampling)
      for (const each of servers) await each.end()
      if (server.place) await engines.drop(server.place)
    }
  }
  return [
    {
      head: [
        'engine',
        'pushes/s',
        'pages with hints/s',
        'pulls/s',
        'events/s',
        'push until others have it, p50 and p99 ms',
        'push',
        'pull',
        'processor: server',
        'PostgreSQL',
        'devices',
        'memory of the server',
        'connections to PostgreSQL',
        'errors',
        'commits checked',
      ],
      rows,
      notes,
    },
  ]
}

/**
 * workerd holds each WebSocket by two descriptors and the database of an object that is awake by three, and ends when it has
 * no more of them. Objects of one class live in many processes at Cloudflare, too.
 */
function serversFor(engine, devices, logs) {
  return engine === 'durable-object' ? Math.ceil((2 * devices + 3 * logs) / (mostOpenFiles() - 500)) : 1
}

async function storm({ engines, sizes }) {
  const postgres = await engines.postgres()
  if (postgres === undefined) return []
  const job = { url: postgres.url, writers: 8, followers: 2, seconds: sizes.seconds }
  const { tidemark, identity } = await measured(engines.programs, 'storm', job)
  if (
    tidemark.missed > 0 ||
    tidemark.disordered > 0 ||
    tidemark.read !== tidemark.stored * job.followers ||
    identity.missed === 0
  )
    throw new Error(`Not as it should be: ${JSON.stringify({ tidemark, identity })}`)
  const row = (name, { stored, read, missed, disordered }) => [name, whole(stored), whole(read), missed, disordered]
  return [
    {
      head: [
        '8 writers, 2 followers, each with connections of its own',
        'events stored',
        'read',
        'missed for ever',
        'in another order',
      ],
      rows: [
        row(`tidemark, ${sizes.seconds} s`, tidemark),
        row('a column that PostgreSQL counts by itself, until a follower missed something', identity),
      ],
    },
  ]
}
