/** What a handler does not wait for must not be lost without a word: its event fails, at its position. */
import { describe, expect, test } from 'vitest'
import { defineProjection, openReadModel, runProjection, startProjection, table, type TableWriter } from 'tidemark'
import { added, events, newName, type Backend } from './model.js'

interface Sum {
  readonly id: string
  readonly n: number
}
const tables = { sums: table<Sum>({ key: 'id' }), others: table<Sum>({ key: 'id' }) }

export function awaitedContract({ name, open }: Backend): void {
  describe(`handlers that do not wait: ${name}`, () => {
    /** The outcome of some events, each applied by a run of its own, so that its row has to be read; and what is stored then. */
    const outcome = async (handler: (sums: TableWriter<Sum>, n: number) => unknown, count = 1, apart = false) => {
      const store = await open(newName())
      const projection = defineProjection(events, {
        name: 'sums',
        tables,
        on: { Added: ({ data }, { sums }) => handler(sums, data.amount) as void | Promise<void> },
      })
      const results: unknown[] = []
      for (let at = 1; at <= count; at += 1) {
        await store.append({ stream: 's', events: [added('a', at)] })
        if (apart || at === count) results.push(await runProjection(store, projection).catch((error: unknown) => error))
      }
      const view = await openReadModel(store, projection)
      const rows = await view.sums.getAll()
      await view.close()
      await store.close()
      return { result: results.at(-1), rows }
    }
    const plus = (n: number) => (row: Sum | undefined) => ({ id: 'a', n: (row?.n ?? 0) + n })
    /** Its promise is the app's to handle; here nothing does. */
    const dropped = (promise: Promise<unknown>): void => void promise.catch(() => {})

    const wrong: Record<string, (sums: TableWriter<Sum>, n: number) => unknown> = {
      'an update that nothing waits for': (sums, n) => dropped(sums.update('a', plus(n))),
      'a patch that nothing waits for': (sums, n) => dropped(sums.patch('a', { n })),
      'a read whose rest comes later': (sums, n) => dropped(sums.get('a').then((row) => sums.put(plus(n)(row)))),
      'a loop of asynchronous functions': (sums, n) =>
        [n].forEach((each) => dropped((async () => sums.put(plus(each)(await sums.get('a'))))())),
      'an update at the end of an asynchronous handler': async (sums, n) => dropped(sums.update('a', plus(n))),
    }
    const failed = {
      code: 'projection-failed',
      cause: {
        code: 'invalid-argument',
        message: expect.stringContaining("Table 'sums' was asked by a handler that did not wait"),
      },
    }
    test.for(Object.keys(wrong))('%s fails its event', async (which) => {
      const handler = wrong[which] as (sums: TableWriter<Sum>, n: number) => unknown
      // The row is known without being read, since no rows were ever stored. Only the development build notices it then.
      const { result, rows } = await outcome(handler)
      expect(result).toMatchObject({ ...failed, position: 1 })
      expect(rows).toEqual([])
    })

    test.for(Object.keys(wrong))('%s fails its event, also if its row has to be read', async (which) => {
      const handler = wrong[which] as (sums: TableWriter<Sum>, n: number) => unknown
      const first = { id: 'a', n: 1 }
      const { result, rows } = await outcome((sums, n) => (n === 1 ? sums.put(first) : handler(sums, n)), 2, true)
      expect(result).toMatchObject({ ...failed, position: 2 })
      expect(rows).toEqual([first])
    })

    test.for<[string, (sums: TableWriter<Sum>, n: number) => unknown]>([
      [
        'awaited',
        async (sums, n) => {
          await sums.update('a', plus(n))
        },
      ],
      ['returned', (sums, n) => sums.update('a', plus(n))],
      ['all of a loop', (sums, n) => Promise.all([0, n].map((each) => sums.update('a', plus(each))))],
      ['a read that is chained and returned', (sums, n) => sums.get('a').then((row) => sums.put(plus(n)(row)))],
      ['a put alone', (sums, n) => sums.put({ id: 'a', n: [0, 1, 3, 6][n] as number })],
    ])('%s is what it should be', async ([, handler]) => {
      expect((await outcome(handler, 3, true)).rows).toEqual([{ id: 'a', n: 6 }])
    })

    test.for<[string, (row: Sum | undefined) => unknown, RegExp]>([
      ['another key', () => ({ id: 'b', n: 1 }), /update\(\) or patch\(\) of 'sums' made a row with another key/],
      ['nothing', () => undefined, /update\(\) of 'sums' must return a row, or null to delete it/],
    ])('an update that returns %s fails its event', async ([, change, message]) => {
      const { result, rows } = await outcome(async (sums) => sums.update('a', change as () => Sum), 1)
      expect(result).toMatchObject({ cause: { code: 'invalid-argument', message: expect.stringMatching(message) } })
      expect(rows).toEqual([])
    })

    test('a projection that runs is faulted, and says at which event', async () => {
      const store = await open(newName())
      const projection = defineProjection(events, {
        name: 'sums',
        tables,
        on: { Added: ({ data }, { sums }) => dropped(sums.update('a', plus(data.amount))) },
      })
      const running = startProjection(store, projection)
      const { position } = await store.append({ stream: 's', events: [added('a', 1)] })
      await expect(running.caughtUp(position, { timeout: 20_000 })).rejects.toMatchObject({
        position: 1,
        message: expect.stringContaining('Await every get(), getMany(), getAll(), update() and patch()'),
      })
      await running.stop()
      await store.close()
    })
  })
}
