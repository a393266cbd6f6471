/** What was left out by hand, and the versions that come after. */
import { describe, expect, test } from 'vitest'
import {
  deleteReadModel,
  openReadModel,
  runProjection,
  startProjection,
  verifyReadModel,
  type ProjectionReport,
} from 'tidemark'
import { added, newName, rowsOf, sums, type Backend, type Store } from './model.js'

const soon = { timeout: 25_000 }

export function carriedContract({ name, open }: Backend): void {
  describe(`skip() and later versions: ${name}`, () => {
    let broken = true
    const asked: number[] = []
    const version = (version: number) =>
      sums({
        version,
        bad: ({ position }) => broken && position === 2,
        onFailure: (retryCount) => (asked.push(retryCount), 'fatal'),
      })
    /** Five events, of which version 1 left out the second by hand. */
    const skipped = async (store?: Store) => {
      broken = true
      const filled = store ?? (await open(newName()))
      await filled.append({ stream: 's', events: [1, 2, 3, 4, 5].map((amount) => added('a', amount)) })
      const projection = startProjection(filled, version(1))
      await expect(projection.caughtUp(5, soon)).rejects.toMatchObject({ position: 2 })
      await projection.skip(2)
      await projection.caughtUp(5, soon)
      await projection.stop()
      asked.length = 0
      return filled
    }
    const run = async (store: Store, of: number) => {
      const reports: ProjectionReport[] = []
      const result = await runProjection(store, version(of), { onReport: (report) => void reports.push(report) })
      return { result, left: reports.filter(({ type }) => type === 'skipped') }
    }
    const without2 = [{ name: 'a', count: 4, total: 13 }]

    test('a new version tries the event, and leaves it out with a report where it fails: its policy is not asked, and nothing stops', async () => {
      const store = await skipped()
      const { result, left } = await run(store, 2)
      expect(result).toMatchObject({ applied: 4, skipped: 1, parked: 0, position: 5, reason: 'caught-up' })
      expect(left).toMatchObject([
        { type: 'skipped', position: 2, eventType: 'Added', attempts: 1, error: { message: 'bad 2' } },
      ])
      expect(asked).toEqual([])
      expect(await rowsOf(store, version(2))).toEqual(without2)
      expect((await verifyReadModel(store, version(2))).defects).toEqual([])
      await store.close()
    })
    test('a new version whose handler does not fail gets the event back', async () => {
      const store = await skipped()
      broken = false
      expect(await run(store, 2)).toMatchObject({ result: { applied: 5, skipped: 0 }, left: [] })
      expect(await rowsOf(store, version(2))).toEqual([{ name: 'a', count: 5, total: 15 }])
      expect((await verifyReadModel(store, version(2))).defects).toEqual([])
      await store.close()
    })
    test('a rebuild of the new version does as its first run did', async () => {
      const store = await skipped()
      const projection = startProjection(store, version(2))
      await projection.caughtUp(5, soon)
      await projection.rebuild()
      expect(await rowsOf(store, version(2))).toEqual(without2)
      broken = false
      await projection.rebuild()
      expect(await rowsOf(store, version(2))).toEqual([{ name: 'a', count: 5, total: 15 }])
      expect(asked).toEqual([])
      await projection.stop()
      await store.close()
    })
    test('it is handed on from version to version, also over one that was only read', async () => {
      const store = await skipped()
      const view = await openReadModel(store, version(2))
      expect(await run(store, 3)).toMatchObject({ result: { position: 5, skipped: 1 } })
      await view.close()
      for (const gone of [1, 2]) await deleteReadModel(store, version(gone))
      expect(await run(store, 10)).toMatchObject({ result: { position: 5, skipped: 1 } })
      expect(asked).toEqual([])
      await store.close()
    })
    test('other events that fail are not left out, nor is it where no earlier version is there', async () => {
      const store = await skipped()
      await expect(
        runProjection(store, sums({ version: 2, bad: ({ position }) => position === 3 })),
      ).rejects.toMatchObject({ position: 3 })
      expect(await rowsOf(store, version(2))).toEqual([{ name: 'a', count: 2, total: 3 }])
      for (const gone of [1, 2]) await deleteReadModel(store, version(gone))
      await expect(run(store, 4)).rejects.toMatchObject({ position: 2 })
      expect(asked).toEqual([0])
      await store.close()
    })
    test('later versions are not asked, nor models of other names', async () => {
      broken = true
      const store = await open(newName())
      await store.append({ stream: 's', events: [1, 2, 3].map((amount) => added('a', amount)) })
      const later = startProjection(store, version(5))
      await expect(later.caughtUp(3, soon)).rejects.toMatchObject({ position: 2 })
      await later.skip(2)
      await later.caughtUp(3, soon)
      await later.stop()
      await expect(run(store, 4)).rejects.toMatchObject({ position: 2 })
      await expect(runProjection(store, { ...version(6), name: 'sum' })).rejects.toMatchObject({ position: 2 })
      expect(await run(store, 6)).toMatchObject({ result: { position: 3, skipped: 1 } })
      await store.close()
    })
    test('what is skipped in the old version after the new one stopped there counts when that is resumed', async () => {
      broken = true
      const store = await open(newName())
      await store.append({ stream: 's', events: [1, 2, 3].map((amount) => added('a', amount)) })
      const [old, next] = [startProjection(store, version(1)), startProjection(store, version(2))]
      for (const each of [old, next]) await expect(each.caughtUp(3, soon)).rejects.toMatchObject({ position: 2 })
      await old.skip(2)
      await next.resume()
      await next.caughtUp(3, soon)
      expect(await rowsOf(store, version(2))).toEqual([{ name: 'a', count: 2, total: 4 }])
      for (const each of [old, next]) await each.stop()
      await store.close()
    })
    test('what is skipped in the old version after the next one looked reaches the one after that', async () => {
      broken = true
      const store = await open(newName())
      await store.append({ stream: 's', events: [1, 2, 3].map((amount) => added('a', amount)) })
      const [old, next] = [startProjection(store, version(1)), startProjection(store, version(2))]
      for (const each of [old, next]) await expect(each.caughtUp(3, soon)).rejects.toMatchObject({ position: 2 })
      await next.stop()
      await old.skip(2)
      await old.stop()
      expect(await run(store, 3)).toMatchObject({ result: { position: 3, skipped: 1 } })
      await store.close()
    })
    test('an event that cannot be decoded is left out again, too', async () => {
      let unlucky = false
      const codec = {
        encode: (data: unknown) => data,
        decode: (stored: unknown) => {
          if (unlucky && (stored as { amount?: number } | null)?.amount === 2) throw new Error('unlucky')
          return stored
        },
      }
      const store = await open(newName(), { codec })
      unlucky = true
      await skipped(store)
      broken = false
      expect(await run(store, 2)).toMatchObject({
        result: { applied: 4, skipped: 1 },
        left: [{ position: 2, error: { code: 'event-unreadable' } }],
      })
      expect(asked).toEqual([])
      await store.close()
    })
  })
}
