// Events of devices against the definitions of the app, as `accept` of a server checks them.
import { checkCommit, checkEvent, defineEvents, typed, type StandardSchema } from 'tidemark'
import { describe, expect, test } from 'vitest'
import { served } from '../server/support.js'

/** A schema that adds a default, leaves out what it does not know, and is asynchronous if that is asked for. */
const added = (isLate = false): StandardSchema<unknown, { sku: string; quantity: number }> => ({
  '~standard': {
    version: 1,
    vendor: 'test',
    validate(value) {
      const { sku, quantity = 1 } = Object(value) as { sku?: unknown; quantity?: unknown }
      const result =
        typeof sku === 'string' && typeof quantity === 'number'
          ? { value: { sku, quantity } }
          : { issues: [{ message: 'needs a sku', path: ['sku'] }] }
      return isLate ? Promise.resolve(result) : result
    },
  },
})
const events = defineEvents({
  Added: { schema: added(), version: 2, upcast: { 1: (data) => ({ sku: (data['article'] as string).toUpperCase() }) } },
  Late: { schema: added(true) },
  Noted: { schema: typed<{ text: string }>(), version: 3, upcast: { 1: (data) => data, 2: (data) => data } },
})

const invalid = { code: 'invalid-event', message: expect.any(String) as string }
const newer = { code: 'newer-event', message: expect.any(String) as string }

describe('checkEvent', () => {
  test.each([
    { type: 'Added', schema: 2, data: { sku: 'a', quantity: 2 } },
    { type: 'Added', schema: 2, data: { sku: 'a' } },
    { type: 'Added', data: { article: 'a' } },
    { type: 'Late', data: { sku: 'a' } },
    { type: 'Noted', schema: 3, data: { text: 'x' } },
    { type: 'Noted', schema: 1, data: null },
    { type: 'Noted', schema: 3, data: { '~': 1, text: 'x' } },
  ])('N137: finds nothing wrong with %j', async (event) => {
    expect(await checkEvent(events, event)).toBeUndefined()
  })

  test.each([
    [newer, { type: 'Removed', data: {} }],
    [newer, { type: 'toString', data: {} }],
    [newer, { type: 'Added', schema: 3, data: { sku: 'a' } }],
    [newer, { type: 'Noted', schema: 99, data: { text: 'x' } }],
    [invalid, { type: 'Added', schema: 2, data: null }],
    [invalid, { type: 'Added', schema: 2, data: {} }],
    [invalid, { type: 'Added', schema: 2, data: { sku: { a: 1 } } }],
    // The upcaster throws.
    [invalid, { type: 'Added', schema: 1, data: { sku: 'a' } }],
    [invalid, { type: 'Added', data: null }],
    [invalid, { type: 'Late', data: { sku: 1 } }],
    [invalid, { type: 'Noted', schema: 3, data: { '~': 1 } }],
  ])('N137: says %j of %j', async (problem, event) => {
    expect(await checkEvent(events, event)).toEqual(problem)
  })

  test('N137: without definitions any type will do, in its first version', async () => {
    const open = defineEvents<{ type: 'A'; data: null }>()
    expect(await checkEvent(open, { type: 'B', data: { any: 1 } })).toBeUndefined()
    expect(await checkEvent(open, { type: 'A', schema: 2, data: null })).toEqual(newer)
    expect(await checkEvent(open, { type: 'A', data: { '~': 'x' } })).toEqual(invalid)
  })

  test('N137: with a codec, data is what it made, and nothing else', async () => {
    const codec = { codec: true }
    expect(await checkEvent(events, { type: 'Added', schema: 2, data: { '~': 'secret' } }, codec)).toBeUndefined()
    expect(await checkEvent(events, { type: 'Added', schema: 2, data: { sku: 'a' } }, codec)).toEqual(invalid)
    expect(await checkEvent(events, { type: 'Added', schema: 9, data: { '~': 'secret' } }, codec)).toEqual(newer)
  })

  test('a catalogue of another package, and an unknown option, are mistakes of the app', async () => {
    await expect(checkEvent({} as typeof events, { type: 'A', data: 1 })).rejects.toMatchObject({
      code: 'invalid-argument',
    })
    await expect(checkEvent(events, { type: 'A', data: 1 }, { codecs: true } as never)).rejects.toMatchObject({
      code: 'invalid-argument',
    })
  })
})

test('N137: what the creators of the app make passes a server that checks it, and poison does not', async () => {
  const server = served({ accept: (commit) => checkCommit(events, commit) })
  const sent = (id: string, { type, data }: { type: string; data: unknown }, schema?: number) => ({
    events: [
      { stream: `s-${id}`, type: 'Noted', id: `${id}-0`, time: 1, schema: 3, data: { text: 'x' } },
      { stream: `s-${id}`, type, id, time: 1, data, ...(schema && { schema }) },
    ],
  })
  const { body } = await server.push(
    sent('good', events.Added({ sku: 'a' } as never), 2),
    sent('late', { type: 'Late', data: { sku: 'a' } }),
    sent('version', { type: 'Added', data: { sku: 'a' } }, 99),
    sent('type', { type: 'Removed', data: null }),
    sent('mark', { type: 'Added', data: { '~': 1 } }, 2),
    sent('key', { type: 'Added', data: {} }, 2),
  )
  expect(body.answers.map((answer) => ('refused' in answer ? answer.refused.code : 'accepted'))).toEqual([
    'accepted',
    'accepted',
    'newer-event',
    'newer-event',
    'invalid-event',
    'invalid-event',
  ])
  expect(body.answers[4]).toMatchObject({ refused: { message: expect.stringContaining('events[1]') } })
})
