// What is easily written wrong with an app says what is wrong.
import { expect, test, vi } from 'vitest'
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

test('a single key that is too short for an index of a list is warned of once', async () => {
  const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
  const own = makeCards('short')
  const app = tidemark({ name: 'short', events, models: { own }, open: openEventStore })
  await app.append('s', [move('a', 'x', 1), move('b', 'x', 2), move('c', 'y', 1)], { until: 'visible' })
  const ids = async (range: object | string | (string | number)[]) =>
    (await app.own.cards.getAll({ index: 'byPlace', range: range as never })).map(({ id }) => id)
  expect(await ids(['x', 2])).toEqual(['b'])
  expect(await ids({ lower: ['x'], upper: ['x', []] })).toEqual(['a', 'b'])
  expect(warned).not.toHaveBeenCalled()
  expect([await ids('x'), await ids(['x'])]).toEqual([[], []])
  expect(warned.mock.calls.map(String)).toEqual([expect.stringContaining(`index 'byPlace' of 'cards'`)])
  warned.mockRestore()
  await app.close()
})
