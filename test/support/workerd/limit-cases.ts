/** What the limits of a Durable Object must not change: 100 parameters a statement, 2 MB a row. Run inside workerd. */
import { durableLog, durableLogStore, type DurableContext } from 'tidemark/durable-object'
import type { LogStore, LoggedCommit } from 'tidemark/server'
import type { ContractCase } from 'tidemark/testing'

type Given = readonly { readonly id: string; readonly stream?: string; readonly data?: unknown }[]

function commitAt(head: number, given: Given): LoggedCommit {
  const events = given.map(({ id, stream = 's', data = null }, index) => {
    const position = head + index + 1
    const line = JSON.stringify({ position, commit: head + 1, stream, version: 1, type: 'A', id, time: 1, data })
    return { position, id, stream, type: 'A', version: 1, line }
  })
  return { author: 'anna', events, chain: `${head + given.length}`.padStart(32, 'c') }
}

const add = (store: LogStore, given: Given) => store.decide((log) => log.add(commitAt(log.head, given)))

function equal(actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (a !== b) throw new Error(`Expected ${b?.slice(0, 500)}, not ${a?.slice(0, 500)}`)
}

const range = (n: number) => Array.from({ length: n }, (_, index) => index)

/** A UUIDv7 of a ms. */
const idOf = (ms: number, n: number) =>
  `${ms
    .toString(16)
    .padStart(12, '0')
    .replace(/(.{8})/, '$1-')}-7${n.toString(16).padStart(3, '0')}-8000-000000000000`

export function limitCases(ctx: DurableContext): ContractCase[] {
  const cases: Record<string, (store: LogStore) => Promise<void>> = {
    'N87: a thousand ids, streams and verdicts are asked for at once'(store) {
      return ask(store, 1000)
    },
    'N87: a commit of several rows is one commit'(store) {
      return longCommits(store, ctx)
    },
    async 'N88: three rows are written for a commit of five events in one stream'(store) {
      await add(store, [{ id: idOf(1, 0) }])
      const before = written(ctx)
      await add(
        store,
        range(5).map((n) => ({ id: idOf(2, n) })),
      )
      equal(written(ctx) - before, 3)
    },
    async 'N88: ids of one millisecond are found, however many commits have them'(store) {
      const ids = range(100).map((n) => idOf(7, n))
      for (const id of ids) await add(store, [{ id }])
      await add(
        store,
        range(5).map((n) => ({ id: idOf(7, 200 + n) })),
      )
      const shared = ctx.storage.sql.exec(`select count(*) as n from tidemark_ids where key = ?`, ids[0]?.slice(0, 13))
      equal(shared.toArray(), [{ n: 16 }])
      const found = await store.decide((log) => log.find([...ids, idOf(7, 204), idOf(7, 205)]))
      equal(
        [...ids, idOf(7, 204), idOf(7, 205)].map((id) => found.get(id)?.position),
        [...range(100).map((n) => n + 1), 105, undefined],
      )
    },
    async 'N87: a line that no row can have is refused, and nothing of its decision is stored'(store) {
      await add(store, [{ id: 'a' }])
      const outcome = await add(store, [{ id: 'b' }, { id: 'c', data: '\u20ac'.repeat(700_000) }]).then(
        () => 'stored',
        () => 'refused',
      )
      equal([outcome, await store.head()], ['refused', 1])
    },
    async 'N86: a decision of which a part cannot be stored stores nothing, and the next one is not disturbed'(store) {
      await add(store, [{ id: 'a' }])
      ctx.storage.sql.exec(`insert into tidemark_ids (key, "end") values ('=c', 3)`)
      const outcome = await store
        .decide(async (log) => {
          await log.keep('anna', ['z'], { blocked: 'x' })
          await log.add(commitAt(1, [{ id: 'b' }]))
          await log.add(commitAt(2, [{ id: 'c' }]))
        })
        .then(
          () => 'stored',
          (error: { readonly code?: string; readonly outcome?: string }) => [error.code, error.outcome],
        )
      const seen = await store.decide(async (log) => [log.head, (await log.verdicts('anna', ['z'])).size])
      equal(
        [outcome, seen],
        [
          ['storage-failed', 'not-written'],
          [1, 0],
        ],
      )
      await add(store, [{ id: 'b' }])
      equal(await store.head(), 2)
    },
    async 'N86: a decision that another one overtook stores nothing'(store) {
      // As a second object of the same log would, if there could be one.
      const outcome = await store
        .decide(async (log) => {
          await log.add(commitAt(0, [{ id: 'mine' }]))
          ctx.storage.sql.exec(
            `insert into tidemark_commits ("end", n, author, chain, lines) values (2, 2, 'x', 'y', ?)`,
            commitAt(0, [{ id: 'p' }, { id: 'q' }])
              .events.map(({ line }) => line)
              .join('\n'),
          )
        })
        .then(
          () => 'stored',
          () => 'refused',
        )
      equal([outcome, await store.head()], ['refused', 2])
    },
    async 'N86: a decision of a log that was deleted meanwhile stores nothing'(store) {
      const before = await store.identity()
      const outcome = await store
        .decide(async (log) => {
          await log.add(commitAt(0, [{ id: 'a' }]))
          for (const table of ['meta', 'commits', 'ids', 'streams', 'refusals'])
            ctx.storage.sql.exec(`drop table tidemark_${table}`)
          await store.head().catch(() => {})
          equal((await store.identity()).log === before.log, false)
        })
        .then(
          () => 'stored',
          (error: { readonly code?: string; readonly outcome?: string }) => [error.code, error.outcome],
        )
      equal([outcome, await store.head()], [['storage-failed', 'not-written'], 0])
    },
    async 'N86: what is read leaves no statement open, which would hold up SQLite'(store) {
      for (let n = 0; n < 300; n += 1) await add(store, [{ id: idOf(n, 0), stream: `s${n % 7}`, data: n }])
      equal((await store.read(0, 3)).length, 3)
      const found = await store.decide(async (log) => {
        for await (const { position } of log.after(7)) if (position > 9) break
        return [(await log.find([idOf(3, 0), idOf(200, 0)])).size, (await log.last(['s1', 's2'])).size]
      })
      equal([...found, (await store.read(299, 1)).length, (await store.chainAt(5)) === undefined], [2, 2, 1, false])
      // It is locked as long as a statement that reads it has not ended.
      ctx.storage.sql.exec('drop table tidemark_commits')
    },
    async 'N86: a page is the same, however its rows are read'(store) {
      const sizes = range(700).map((n) => 1 + (n % 3))
      for (const [n, size] of sizes.entries())
        await add(
          store,
          range(size).map((m) => ({ id: `${n}-${m}`, data: n % 100 === 50 ? 'x'.repeat(200_000) : 'x' })),
        )
      const all: string[] = []
      let [after, reads] = [0, 0]
      for (;;) {
        const commits = await store.read(after, 100)
        if (commits.length === 0) break
        reads += 1
        const events = commits.flatMap((each) => each.events)
        equal([events[0]?.position, events.length <= 100], [after + 1, true])
        all.push(...events.map(({ id }) => id))
        after = events.at(-1)?.position ?? 0
      }
      equal([all, reads < 40], [sizes.flatMap((size, n) => range(size).map((m) => `${n}-${m}`)), true])
    },
    async 'N90: many verdicts are dropped in parts'(store) {
      const ids = range(45_000).map((n) => `id-${n}`)
      await store.decide((log) => log.keep('anna', ids, { blocked: 'x' }))
      const later = durableLogStore(ctx, { now: () => Date.now() + 91 * 86_400_000 })
      const kept = () => ctx.storage.sql.exec('select count(*) as n from tidemark_refusals').toArray()[0]?.['n']
      const left = []
      for (let due: number | undefined = 0; due !== undefined; left.push(kept())) {
        due = await later.prune()
        if (due !== undefined && due > Date.now() + 91 * 86_400_000) throw new Error('It is due already.')
      }
      equal(left, [25_000, 5000, 0])
    },
    async 'N90: neither an alarm nor monitoring begins a log'() {
      const log = durableLog(ctx, { session: () => ({ author: 'anna' }) })
      await log.alarm()
      equal((await log.stats()).head, 0)
      equal(ctx.storage.sql.exec(`select name from sqlite_master where name like 'tidemark%'`).toArray(), [])
    },
    async 'N86: what cannot be read while something is decided is said like everything else'(store) {
      await add(store, [{ id: 'a' }])
      ctx.storage.sql.exec('drop table tidemark_ids')
      const code = await store
        .decide((log) => log.find(['a']))
        .then(
          () => 'found',
          (error: { readonly code?: string }) => error.code,
        )
      equal(code, 'storage-failed')
    },
  }
  return Object.entries(cases).map(([name, check]) => ({ name, run: () => check(durableLogStore(ctx)) }))
}

async function ask(store: LogStore, n: number): Promise<void> {
  const given = range(n).map((index) => ({ id: `id-${index}`, stream: `s-${index}` }))
  await add(store, given)
  const names = given.map(({ id }) => id)
  await store.decide((log) => log.keep('anna', names, { blocked: 'x' }))
  const found = await store.decide(async (log) => [
    (await log.find(names)).size,
    (await log.last(given.map(({ stream }) => stream))).size,
    (await log.verdicts('anna', names)).size,
  ])
  equal(found, [n, n, n])
}

async function longCommits(store: LogStore, ctx: DurableContext): Promise<void> {
  // The largest events that the protocol has, and the largest commit, in characters of three bytes.
  const large = '\u20ac'.repeat(262_000)
  const commits = [
    range(5).map((n) => ({ id: `a${n}`, stream: `s${n}`, data: large })),
    [{ id: 'b', stream: 's0', data: large }],
    range(1000).map((n) => ({ id: `c${n}`, stream: `t${n}`, data: '\u20ac'.repeat(1000) })),
  ]
  for (const given of commits) await add(store, given)
  equal(await store.head(), 1006)
  // workerd takes longer rows than Cloudflare does.
  const longest = ctx.storage.sql.exec('select max(octet_length(lines)) < 2000000 as fits from tidemark_commits')
  equal(longest.toArray(), [{ fits: 1 }])
  const read = []
  for (let after = 0; after < 1006; after = read.at(-1)?.events.at(-1)?.position ?? Infinity)
    read.push(...(await store.read(after, 500)))
  equal(
    read.map(({ events }) => events.map(({ id }) => id)),
    commits.map((given) => given.map(({ id }) => id)),
  )
  if (read[0]?.events[3]?.line !== commitAt(0, commits[0] ?? []).events[3]?.line) throw new Error('Another line')
  equal(
    await Promise.all([0, 1, 5, 6, 500, 1006].map((at) => store.chainAt(at))),
    [0, undefined, 5, 6, undefined, 1006]
      .map((at) => at && `${at}`.padStart(32, 'c'))
      .map((x) => x || undefined)
      .with(0, '0'.repeat(32)),
  )
  const found = await store.decide(async (log) => {
    const after = []
    for await (const { position } of log.after(3)) after.push(position)
    return [
      (await log.find(['a3', 'c0', 'c999'])).get('c999')?.position,
      (await log.last(['s0', 't998'])).get('t998')?.position,
      after.length,
      after[0],
    ]
  })
  equal(found, [1006, 1005, 1003, 4])
}

/** All rows that were ever written here, as SQLite counts changes. */
function written(ctx: DurableContext): number {
  return ctx.storage.sql.exec('select total_changes() as n').toArray()[0]?.['n'] as number
}
