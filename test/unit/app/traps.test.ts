// What is easily written wrong with an app says what is wrong.
import { describe, expect, test, vi } from 'vitest'
import { defineCommand, defineEvents, defineProjection, execute, table, tidemark } from 'tidemark'
import { openEventStore } from 'tidemark/memory'

type Told = { type: 'Moved'; data: { id: string; list: string; at: number } }
const events = defineEvents<Told>()
const move = (id: string, list: string, at: number) => events.Moved({ id, list, at })
const makeCards = (name: string) =>
  defineProjection(events, {
    name,
    tables: { cards: table<Told['data']>()({ key: 'id', indexes: { byPlace: ['list', 'at'] } }) },
    on: { Moved: ({ data }, { cards }) => cards.put(data) },
  })
const cards = makeCards('cards')
const make = () => tidemark({ name: 'traps', events, models: { cards }, open: openEventStore })

test('an event that is appended without its stream is refused, with how to name it', async () => {
  const app = make()
  const refused = { code: 'invalid-argument', message: expect.stringContaining(`append('stream', event)`) as string }
  await expect(app.append(move('a', 'x', 1) as never)).rejects.toMatchObject(refused)
  await expect(app.append([move('a', 'x', 1)] as never)).rejects.toMatchObject(refused)
  await expect(app.append(move('a', 'x', 1) as never, { until: 'visible' })).rejects.toMatchObject(refused)
  await app.close()
})

test('an event that a command decides without a stream is named', async () => {
  const store = await openEventStore({ name: 'traps', events })
  const command = defineCommand(events, () => ({
    streams: ['s'],
    initial: 0,
    evolve: (count: number) => count,
    decide: () => [{ stream: 's', ...move('a', 'x', 1) }, move('b', 'x', 2)] as never,
  }))
  await expect(execute(store, command())).rejects.toMatchObject({
    code: 'invalid-name',
    message: expect.stringMatching(/decide\[1\].*must be the name of a stream that the command reads/) as string,
  })
  await store.close()
})

test('models is an object by name', () => {
  expect(() => tidemark({ name: 'traps', events, models: [cards] as never })).toThrow('must be an object by name')
})

test.for(['put', 'update', 'get'])(
  'a handler that does not wait leaves no rejection in addition to its error: %s',
  async (how) => {
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    const hasty = defineProjection(events, {
      name: `hasty-${how}`,
      tables: { cards: table<Told['data']>({ key: 'id' }) },
      on: {
        Moved: ({ data }, { cards }) => {
          if (how === 'update') void cards.update(data.id, () => data)
          else if (how === 'get') void cards.get(data.id).then(() => cards.get('another'))
          else void cards.get(data.id).then(() => cards.put(data))
        },
      },
    })
    const errors: unknown[] = []
    const app = tidemark({
      name: 'traps',
      events,
      models: { hasty },
      open: openEventStore,
      onError: (error) => errors.push(error),
    })
    await app.append('s', move('a', 'x', 1), { until: 'visible' })
    await expect.poll(() => errors).toMatchObject([{ code: 'projection-failed', cause: { code: 'invalid-argument' } }])
    // A rejection counts as unhandled only after the tasks that are due.
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0))
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
    await app.close()
  },
)

test('what a handler leaves behind that ended well is heard of when it uses a table', async () => {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  let release = () => {}
  const later = new Promise<void>((resolve) => (release = resolve))
  const model = defineProjection(events, {
    name: 'left-behind',
    tables: { cards: table<Told['data']>({ key: 'id' }) },
    on: {
      Moved: async ({ data }, { cards }) => {
        await cards.get(data.id)
        void later.then(() => cards.get(data.id))
      },
    },
  })
  const app = tidemark({ name: 'left-behind', events, models: { model }, open: openEventStore })
  await app.append('s', move('a', 'x', 1), { until: 'visible' })
  release()
  await expect.poll(() => unhandled).toMatchObject([{ message: expect.stringMatching(/used after its handler ended/) }])
  process.off('unhandledRejection', note)
  await app.close()
})

describe('a range whose type fits no key is warned of once', () => {
  const days = (name: string) =>
    defineProjection(events, {
      name,
      tables: {
        [`${name}Keyed`]: table<Told['data']>({ key: ['list', 'at'] }),
        [`${name}Cards`]: table<Told['data']>()({
          key: 'id',
          indexes: { byPlace: ['list', 'at'], unique: { path: ['list', 'at', 'id'], unique: true }, byList: 'list' },
        }),
      },
      on: {
        Moved({ data }, tables) {
          for (const each of ['Keyed', 'Cards'])
            (tables as unknown as Record<string, { put(row: object): void }>)[`${name}${each}`]?.put(data)
        },
      },
    })
  type Asked = (range: unknown, index?: string) => Promise<readonly { readonly id: string }[]>
  const asking = async (
    name: string,
    table: 'Keyed' | 'Cards',
    work: (ask: Asked, warnings: () => string[]) => Promise<void>,
  ) => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const app = tidemark({ name, events, models: { own: days(name) }, open: openEventStore })
    await app.append('s', [move('a', 'x', 1), move('b', 'x', 2), move('c', 'y', 1)], { until: 'visible' })
    const tables = app.own.tables as unknown as Record<string, { getAll(asked: object): ReturnType<Asked> }>
    await work(
      async (range, index) =>
        (tables[`${name}${table}`] as (typeof tables)[string]).getAll({ range, ...(index !== undefined && { index }) }),
      () => warned.mock.calls.map(String),
    )
    warned.mockRestore()
    await app.close()
  }
  /** Whatever selects rows here is meant. */
  const right: readonly [range: unknown, count: number][] = [
    [['x', 2], 1],
    [{ lower: ['x'], upper: ['x', []] }, 2],
    [{ lower: ['x'] }, 3],
    [{ upper: ['x', []], lowerOpen: true }, 2],
    [undefined, 3],
  ]
  const wrong: readonly [range: unknown, count: number][] = [
    ['x', 0],
    [['x'], 0],
    [['x', 2, 'a', 3], 0],
    [{ lower: 'w', upper: 'z' }, 0],
    [{ upper: 'z' }, 0],
    [{ lower: 'z' }, 3],
  ]

  test.each([
    ['Keyed', undefined, 'the key of'],
    ['Cards', 'byPlace', "index 'byPlace' of"],
  ] as const)('lists: %s, %s', async (table, index, label) => {
    for (const [at, [range, count]] of wrong.entries())
      await asking(`${table}${index}${at}`, table, async (ask, warnings) => {
        for (const [good, found] of right) expect(await ask(good, index)).toHaveLength(found)
        expect(warnings()).toEqual([])
        for (const _ of [1, 2]) expect(await ask(range, index)).toHaveLength(count)
        expect(warnings()).toEqual([expect.stringContaining(`${label} '${table}${index}${at}${table}'`)])
      })
  })

  test('an index of a list that has options', () =>
    asking('options', 'Cards', async (ask, warnings) => {
      expect(await ask(['x', 1], 'unique')).toEqual([])
      expect(warnings()).toEqual([expect.stringContaining("index 'unique' of")])
    }))

  test('keys that are no lists, and properties that may be', () =>
    asking('values', 'Cards', async (ask, warnings) => {
      expect(await ask({ lower: 'a', upper: [] })).toHaveLength(3)
      expect(await ask('b')).toHaveLength(1)
      expect(await ask(['x'], 'byList')).toEqual([])
      expect(warnings()).toEqual([])
      expect(await ask(['b'])).toEqual([])
      expect(await ask({ lower: ['a'] })).toEqual([])
      expect(warnings()).toEqual([expect.stringContaining('the key of')])
    }))

  test('a range that is refused is refused, and not warned of', () =>
    asking('refused', 'Keyed', async (ask, warnings) => {
      for (const range of [null, true, { lower: {} }, { lower: Number.NaN }])
        await expect(ask(range)).rejects.toMatchObject({ code: 'invalid-argument' })
      expect(warnings().filter((each) => !each.includes('refused'))).toEqual([])
    }))
})
