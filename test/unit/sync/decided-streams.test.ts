// What commands see that are decided again one after the other: what each of them would read by itself.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { anyEvents } from '../../../src/events/catalogue-core.js'
import { catalogueCore, defineEvents } from '../../../src/events/catalogue.js'
import type { RecordedEvent } from '../../../src/events/event.js'
import { decidedStreams } from '../../../src/sync/decided-streams.js'
import { isShown } from '../../../src/sync/overlay/in-rows.js'
import type { OutboxRow } from '../../../src/sync/sync-state.js'
import { row, snapshot, text } from '../../support/sync-rows.js'

const { state } = snapshot(40, [])
const decoding = { catalogue: anyEvents, codec: undefined }

/** What is confirmed of each stream. */
const eventAt = (stream: string, version: number): RecordedEvent =>
  ({
    type: 'Added',
    data: { list: [version] },
    meta: { by: 'x' },
    stream,
    version,
    position: version,
    id: `${stream}${version}`,
    time: 1,
  }) as RecordedEvent
const confirmedOf = (stream: string, count: number) => Array.from({ length: count }, (_, at) => eventAt(stream, at + 1))

/** As it is read without anything being remembered. */
function plainly(confirmed: readonly RecordedEvent[], stream: string, outbox: readonly OutboxRow[]): object[] {
  const all: object[] = confirmed.map((event) => ({ ...event }))
  let place = state.cursor.at
  for (const each of outbox)
    for (const { data, meta: _, idGiven: __, schema: ___, ...event } of isShown(each) ? each.events : []) {
      place += 1
      if (event.stream === stream)
        all.push({
          ...event,
          data: JSON.parse(data) as unknown,
          version: all.length + 1,
          position: place,
          pending: true,
        })
    }
  return all
}

const streams = ['a', 'b', 'c']
const anyRow = fc.record({
  streams: fc.array(fc.constantFrom(...streams), { minLength: 1, maxLength: 3 }),
  isRefused: fc.boolean(),
})
const anySteps = fc.array(
  fc.record({ rows: fc.array(anyRow, { maxLength: 4 }), stream: fc.constantFrom(...streams) }),
  {
    maxLength: 12,
  },
)

test('each reader of a list that grows gets what it would read by itself, whatever the ones before did with theirs', async () => {
  await fc.assert(
    fc.asyncProperty(anySteps, fc.array(fc.nat(600), { minLength: 3, maxLength: 3 }), async (steps, counts) => {
      const confirmed = new Map(streams.map((stream, at) => [stream, confirmedOf(stream, counts[at] ?? 0)]))
      const reads: string[] = []
      const read = decidedStreams(async function* (stream) {
        reads.push(stream)
        // Decoded for each reading.
        for (const event of structuredClone(confirmed.get(stream) ?? [])) yield [event]
      }, decoding)
      const outbox: OutboxRow[] = []
      for (const { rows, stream } of steps) {
        for (const each of rows)
          outbox.push(
            row(outbox.length + 1, `n${outbox.length}`, {
              events: each.streams.map((name, at) => ({
                ...text(`n${outbox.length}-${at}`, name),
                data: '{"list":[]}',
              })),
              ...(each.isRefused && { refused: { code: 'no', message: '' } }),
            }),
          )
        const got: RecordedEvent[] = []
        for await (const page of read(stream, { state, outbox })) got.push(...page)
        expect(got).toEqual(plainly(confirmed.get(stream) ?? [], stream, outbox))
        for (const event of got) {
          ;(event.data as { list: number[] }).list.push(7)
          Object.assign(event, { version: 0, type: 'Changed' })
          if (event.meta !== undefined) Object.assign(event.meta as object, { by: 'y' })
        }
      }
      expect(reads.length).toBe(new Set(reads).size)
    }),
  )
})

test('another list begins with nothing', async () => {
  let count = 1
  const read = decidedStreams(async function* (stream) {
    yield confirmedOf(stream, count)
  }, decoding)
  const lengthOf = async (outbox: OutboxRow[]) => {
    let length = 0
    for await (const page of read('a', { state, outbox })) length += page.length
    return length
  }
  const first: OutboxRow[] = []
  expect(await lengthOf(first)).toBe(1)
  count = 3
  expect([await lengthOf(first), await lengthOf([])]).toEqual([1, 3])
})

test('a stream that is too long to be kept is read each time, and whole; so is one that could not be read', async () => {
  const reads: string[] = []
  let isBroken = true
  const long = confirmedOf('a', 60_000)
  const read = decidedStreams(async function* (stream) {
    reads.push(stream)
    yield stream === 'a' ? long : confirmedOf(stream, 10)
    if (stream === 'b' && isBroken) throw new Error('no disk')
  }, decoding)
  const outbox = [row(1, 'x', { events: [text('x1', 'a'), text('x2', 'b')] })]
  const versionsOf = async (stream: string) => {
    const versions: number[] = []
    for await (const page of read(stream, { state, outbox })) versions.push(...page.map(({ version }) => version))
    return [versions.length, versions.at(-1)]
  }
  await expect(versionsOf('b')).rejects.toThrow('no disk')
  isBroken = false
  for (const stream of ['a', 'b', 'a', 'b'])
    expect(await versionsOf(stream)).toEqual(stream === 'a' ? [60_001, 60_001] : [11, 11])
  expect(reads).toEqual(['b', 'a', 'b', 'a'])
})

test('a stream whose events cannot be copied, as upcasters make instances of classes, is read for each decision', async () => {
  class Sum {
    value = 0
  }
  const catalogue = defineEvents({ Added: { version: 2, upcast: { 1: () => new Sum() } } })
  const read = decidedStreams(
    async function* (stream) {
      yield [{ ...eventAt(stream, 1), data: new Sum() }]
    },
    { catalogue: catalogueCore(catalogue), codec: undefined },
  )
  const outbox: OutboxRow[] = [row(1, 'x', { events: [{ ...text('x1', 'a'), type: 'Added' }] })]
  for (let n = 0; n < 3; n += 1)
    for await (const page of read('a', { state, outbox }))
      for (const { data } of page) expect((data as unknown as Sum).value++).toBe(0)
})
