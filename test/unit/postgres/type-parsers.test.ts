// What the app makes of the types of PostgreSQL, for all its pools, changes nothing of what tidemark reads.
import pg from 'pg'
import { defineEvents, defineProjection, openReadModel, runProjection, table } from 'tidemark'
import { openPostgresStore } from 'tidemark/postgres'
import { serverLog } from 'tidemark/server'
import { expect, test } from 'vitest'
import { inSchema } from '../../support/postgres/in-schema.js'
type Event = { type: 'Paid'; data: { cents: number } }
const events = defineEvents<Event>()
const sums = defineProjection(events, {
  name: 'sums',
  tables: { rows: table<{ id: number; cents: number }>()({ key: 'id', indexes: { byCents: 'cents' } }) },
  on: { Paid: ({ data, position }, { rows }) => rows.put({ id: position, cents: data.cents }) },
})

/** Parsers by the numbers of types: bool, int2, int4, int8, float4, float8, numeric, json, jsonb, oid. */
const parsers = {
  'bigints for integers': { oids: [20, 21, 23, 26], parse: BigInt },
  'texts for floats': { oids: [700, 701, 1700], parse: String },
  'texts for JSON': { oids: [114, 3802], parse: String },
  'texts for all numbers': { oids: [20, 21, 23, 26, 700, 701, 1700], parse: String },
  'texts for booleans': { oids: [16], parse: String },
} as const

inSchema('parsers of types that an app has', 60_000, (subject) => {
  test.for(Object.entries(parsers))('%s', async ([name, { oids, parse }]) => {
    const types = {
      getTypeParser: (oid: number, format: 'text') =>
        (oids as readonly number[]).includes(oid)
          ? (text: string) => parse(text)
          : pg.types.getTypeParser(oid as never, format),
    } as unknown as pg.CustomTypesConfig
    const pool = subject.anotherPool({ types })
    const log = name.replaceAll(' ', '-')
    const store = await openPostgresStore<Event>({ pool, name: log, schema: subject.schema, events })
    const paid = (cents: number) => ({ type: 'Paid' as const, data: { cents } })
    await store.append('s', [paid(3), paid(1)])
    await store.append('s', [paid(2)], { expectedVersion: 2 })
    const push = () => {
      const event = { stream: 'pushed', type: 'Paid', id: `id-${log}`, time: 1, data: { cents: 4 } }
      return serverLog(store.log).push({ commits: [{ events: [event] }] }, { author: 'anna' })
    }
    const accepted = { head: 4, answers: [{ id: `id-${log}`, accepted: 4 }] }
    expect([await push(), await push()]).toEqual([accepted, accepted])
    expect((await store.readPage({ limit: 10 })).events.map(({ position }) => position)).toEqual([1, 2, 3, 4])
    const stream = []
    for await (const { version } of store.readStream('s', { direction: 'backwards' })) stream.push(version)
    expect(stream).toEqual([3, 2, 1])
    expect(await runProjection(store, sums)).toMatchObject({ applied: 4, position: 4 })
    const view = await openReadModel(store, sums)
    expect((await view.rows.getAll({ index: 'byCents' })).map(({ id }) => id)).toEqual([2, 3, 1, 4])
    expect(await view.rows.count()).toBe(4)
    await store.checkpoints.save('mine', 3, { expected: 0 })
    expect(await store.checkpoints.load('mine')).toBe(3)
    // What is compared in the database is not taken for saved.
    await expect(store.checkpoints.save('mine', 4, { expected: 1 })).rejects.toMatchObject({ code: 'leadership-lost' })
    await store.close()
  })
})
