// The versions of pending events: of what is read for them, and how often.
import { expect, test } from 'vitest'
import { Versions, type OwnReadingParts } from '../../../src/sync/overlay/own-reading.js'
import { row, snapshot, text } from '../../support/sync-rows.js'

interface Logged {
  readonly stream: string
  readonly version: number
}

/** Versions over a log that can grow. */
function logged() {
  const log: Logged[] = []
  const asked: string[] = []
  let failures = 0
  const failing = () => {
    if ((failures -= 1) >= 0) throw new Error('no disk')
  }
  const parts = {
    streamVersion: async (stream: string) => {
      asked.push(stream)
      failing()
      return log.filter((each) => each.stream === stream).length
    },
    readPage: async ({ after }: { after: number }, { before }: { before: number }) => {
      failing()
      return { events: log.slice(after, before - 1), scannedTo: before - 1, head: log.length }
    },
  } as unknown as OwnReadingParts
  const versions = new Versions(parts)
  const append = (stream: string) =>
    log.push({ stream, version: log.filter((each) => each.stream === stream).length + 1 })
  /** These streams have a pending event each, at the end of the log. */
  const at = (...streams: string[]) =>
    versions.at({
      copy: {
        ...snapshot(
          log.length,
          streams.map((stream, index) => row(index + 1, stream, { events: [text(stream, stream)] })),
        ),
        own: [],
        ownFrom: 0,
      },
      pending: streams.map((stream) => ({ text: text(stream, stream), commit: stream, position: 1 })),
      nth: () => new Map(streams.map((stream) => [stream, 1])),
    })
  const of = (stream: string): number =>
    (
      Object.defineProperty(
        { stream, id: stream },
        'version',
        versions.getters.version as PropertyDescriptor,
      ) as unknown as Logged
    ).version
  return { versions, asked, append, at, of, fail: (times: number) => (failures = times) }
}

test('nothing is read as long as no handler asks', async () => {
  const { at, asked, append } = logged()
  await at('a', 'b')
  append('a')
  await at('a', 'b')
  expect(asked).toEqual([])
})

test('what is known grows with the log, and is not read again', async () => {
  const { versions, at, asked, append, of } = logged()
  append('a')
  await at('a', 'b')
  of('a')
  expect(versions.isLacking).toBe(true)
  await at('a', 'b')
  expect([of('a'), of('b'), versions.isLacking]).toEqual([2, 1, false])
  for (let n = 0; n < 20; n += 1) {
    append(n % 2 === 0 ? 'a' : 'c')
    await at('a', 'b')
  }
  expect([of('a'), of('b')]).toEqual([12, 1])
  expect(asked).toEqual(['a', 'b'])
})

test('what has no pending event any more is forgotten, and a log that grew by much is looked at again', async () => {
  const { at, asked, append, of } = logged()
  await at('a')
  of('a')
  await at('a')
  await at('b')
  await at('a')
  expect(asked).toEqual(['a', 'b', 'a'])
  for (let n = 0; n < 2000; n += 1) append('a')
  await at('a')
  expect(of('a')).toBe(2001)
  expect(asked).toHaveLength(4)
})

test('a read that fails leaves nothing that is too old', async () => {
  const { at, append, of, fail } = logged()
  await at('a')
  of('a')
  await at('a')
  append('a')
  fail(1)
  await expect(at('a')).rejects.toThrow('no disk')
  await at('a')
  expect(of('a')).toBe(2)
  append('b')
  fail(1)
  await expect(at('a', 'b')).rejects.toThrow('no disk')
  append('a')
  await at('a', 'b')
  expect([of('a'), of('b')]).toEqual([3, 2])
})

test('of two looks at the same time the later one counts', async () => {
  const { at, append, of } = logged()
  await at('a', 'b')
  of('a')
  const early = at('a', 'b')
  append('a')
  await Promise.all([at('a', 'b'), early])
  append('b')
  await at('a', 'b')
  expect([of('a'), of('b')]).toEqual([2, 2])
})

test('an event of before that a handler kept is waited for by nothing', async () => {
  const { versions, at, of } = logged()
  await at('a')
  of('a')
  await at('b')
  of('a')
  expect(versions.isLacking).toBe(false)
})
