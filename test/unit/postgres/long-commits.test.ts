// What a decision looks up in long commits: what it asks for, and not the commits in which that is.
import fc from 'fast-check'
import { openPostgresLogStore } from 'tidemark/postgres'
import { serverLog, type LoggedEvent, type LogStore } from 'tidemark/server'
import { expect, test } from 'vitest'
import { LogTables } from '../../../src/postgres/log-tables.js'
import { Database } from '../../../src/postgres/sql-database.js'
import { inSchema } from '../../support/postgres/in-schema.js'

/** Whatever a name or an id may hold. */
const text = fc.oneof(
  fc.constantFrom(
    's',
    't',
    '"',
    '\\',
    '\\"',
    '["s",1]',
    '\u0000',
    '\u0001',
    '\ud800',
    '\udc00x',
    'é',
    '{"type":"A"',
    "'",
    '%',
  ),
  fc.string({ minLength: 1, maxLength: 4, unit: 'binary' }),
)

interface Drawn {
  readonly stream: string
  readonly id: string
  readonly type: string
  /** Whether its line is one that a push has. */
  readonly isPlain: boolean
}

const drawn = fc.uniqueArray(fc.record<Drawn>({ stream: text, id: text, type: text, isPlain: fc.boolean() }), {
  selector: ({ id }) => id,
  minLength: 1,
  maxLength: 24,
})

/** Stores events, in commits of up to so many. */
async function stored(store: LogStore, drafts: readonly Drawn[], together: number): Promise<LoggedEvent[]> {
  const all: LoggedEvent[] = []
  for (let from = 0; from < drafts.length; from += together) {
    const versions = new Map<string, number>()
    for (const { stream, version } of all) versions.set(stream, version)
    const events = drafts.slice(from, from + together).map(({ stream, id, type, isPlain }, index): LoggedEvent => {
      const [position, version] = [from + index + 1, (versions.get(stream) ?? 0) + 1]
      versions.set(stream, version)
      const named = { position, commit: from + 1, stream, version, type, id, time: 1, data: { of: stream } }
      const line = isPlain ? JSON.stringify(named) : JSON.stringify({ ...named, id: undefined, and: id })
      return { position, id, stream, type, version, line }
    })
    await store.decide((log) => log.add({ author: 'anna', events, chain: `${from}` }))
    all.push(...events)
  }
  return all
}

inSchema('looking into commits', 120_000, (subject) => {
  test('in the database or here, the same is found', async () => {
    const { pool, schema } = subject
    const database = new Database(pool)
    let logs = 0
    await fc.assert(
      fc.asyncProperty(drawn, fc.integer({ min: 1, max: 24 }), fc.array(text), async (drafts, together, others) => {
        const log = `log-${(logs += 1)}`
        const store = openPostgresLogStore({ pool, schema, log })
        const all = await stored(store, drafts, together)
        const row = (await new LogTables(schema, log).row(database)) as NonNullable<
          Awaited<ReturnType<LogTables['row']>>
        >
        const question = {
          ids: [...drafts.filter((_, at) => at % 2 === 0).map(({ id }) => id), ...others],
          streams: [...new Set([...drafts.filter((_, at) => at % 3 < 2).map(({ stream }) => stream), ...others])],
          verdicts: [],
        }
        const events = new Map(all.filter(({ id }) => question.ids.includes(id)).map((event) => [event.id, event]))
        const last = new Map(
          all.filter(({ stream }) => question.streams.includes(stream)).map((event) => [event.stream, event]),
        )
        for (const mostBytes of [0, 300, 1 << 20]) {
          const reply = await new LogTables(schema, log, mostBytes).look(database, row, question)
          expect([...reply.events].sort()).toEqual([...events].sort())
          const ends = Array.from(reply.last, ([stream, { position, id, version }]) => [stream, position, id, version])
          expect(ends.sort()).toEqual(
            Array.from(last, ([stream, { position, id, version }]) => [stream, position, id, version]).sort(),
          )
        }
        await store.close()
      }),
      { numRuns: 60 },
    )
  })

  test('a push decided on streams that are in large commits: what is sent is bounded, and the verdicts are the same', async () => {
    const { schema } = subject
    const log = serverLog(openPostgresLogStore({ pool: subject.pool, schema, log: 'large' }))
    const long = 'x'.repeat(50_000)
    const event = (at: number, n: number) => ({
      stream: `s${at}-${n}`,
      type: 'A',
      id: `${at}-${n}`,
      time: 1,
      data: long,
    })
    const large = 24
    for (let at = 0; at < large; at += 1)
      await log.push({ commits: [{ events: Array.from({ length: 20 }, (_, n) => event(at, n)) }] }, { author: 'anna' })

    const pool = subject.anotherPool()
    let bytes = 0
    pool.on('connect', (client) => {
      const stream = (client as unknown as { connection: { stream: NodeJS.ReadableStream } }).connection.stream
      stream.on('data', (piece: Buffer) => (bytes += piece.length))
    })
    const other = serverLog(openPostgresLogStore({ pool, schema, log: 'large' }))
    const decidedOn = (at: number, id: string) => ({
      events: [{ stream: `s${at}-7`, type: 'A', id, time: 1, data: null }],
      expect: Object.fromEntries(
        Array.from({ length: 20 }, (_, n) => [`s${at}-${n}`, n === 19 && at === 3 ? null : `${at}-${n}`]),
      ),
    })
    // Only streams: their events need not be known.
    const streams = Array.from({ length: large }, (_, at) => ({
      events: [{ stream: `s${at}-3`, type: 'A', id: `new-${at}`, time: 1, data: null }],
      expect: { [`s${at}-3`]: null },
    }))
    expect((await other.push({ commits: streams }, { author: 'bert' })).answers).toEqual(
      streams.map((_, at) => ({ id: `new-${at}`, conflict: { stream: `s${at}-3`, last: `${at}-3` } })),
    )
    expect(bytes).toBeLessThan(5 << 20)
    bytes = 0
    const commits = Array.from({ length: 4 }, (_, at) => decidedOn(at, `more-${at}`))
    expect((await other.push({ commits }, { author: 'bert' })).answers).toMatchObject([
      { accepted: 481 },
      { accepted: 482 },
      { accepted: 483 },
      { conflict: { stream: 's3-19', last: '3-19' } },
    ])
  })
})
