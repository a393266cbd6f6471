/** Read models give their room back: they can be folded again, and the log stays (H46). */
import { describe, expect, test } from 'vitest'
import { deleteReadModel, openReadModel, runProjection, startProjection } from 'tidemark'
import { databaseNames, databaseOf } from '../../support/raw-database.js'
import { added, folded, rowsOf, sums, type Backend } from './model.js'

const soon = { timeout: 20_000 }

export function deleteContract({ name: backend, open, shared, onDevice = shared }: Backend): void {
  describe(`deleting a read model: ${backend}`, () => {
    test('H46: its rows and its checkpoint go, the log stays, and the next run folds it again', async () => {
      const { name, store } = await folded(open)
      const before = await rowsOf(store, sums())
      await deleteReadModel(store, sums())
      if (onDevice)
        expect((await databaseNames()) ?? [], 'the room is free').not.toContain(`${databaseOf(name)}:sums@1`)
      expect(await store.head()).toBe(3)
      expect(await rowsOf(store, sums())).toEqual([])
      expect(await runProjection(store, sums())).toMatchObject({ applied: 3, position: 3 })
      expect(await rowsOf(store, sums())).toEqual(before)
      await store.close()
    })

    test('one that was never made, and one that was deleted already, are nothing to complain about; other versions stay', async () => {
      const { store } = await folded(open)
      await deleteReadModel(store, sums({ version: 2 }))
      expect(await rowsOf(store, sums())).toHaveLength(2)
      await deleteReadModel(store, sums())
      await deleteReadModel(store, sums())
      await store.close()
    })

    test('a projection that runs begins again, and what watches its rows sees them go and come', async () => {
      const { store } = await folded(open)
      const view = await openReadModel(store, sums())
      const live = view.live(({ sums }) => sums.getAll())
      const stop = live.subscribe(() => {})
      const projection = startProjection(store, sums())
      await projection.caughtUp(3)
      await expect.poll(() => live.getSnapshot(), soon).toMatchObject({ status: 'ready' })
      await deleteReadModel(store, sums())
      await store.append({ stream: 's', events: [added('b', 5)] })
      await expect.poll(() => view.sums.get('b'), soon).toEqual({ name: 'b', count: 2, total: 7 })
      await expect
        .poll(() => live.getSnapshot(), soon)
        .toMatchObject({
          data: [
            { name: 'a', count: 2, total: 4 },
            { name: 'b', count: 2, total: 7 },
          ],
        })
      await expect.poll(() => projection.status.getSnapshot(), soon).toMatchObject({ phase: 'live', position: 4 })
      stop()
      await projection.stop()
      await view.close()
      await store.close()
    })

    test('what is no projection, and a store that was closed, are refused', async () => {
      const { store } = await folded(open)
      await expect(deleteReadModel(store, { name: 'sums', version: 1, on: {} } as never)).rejects.toMatchObject({
        code: 'invalid-argument',
      })
      await store.close()
      await expect(deleteReadModel(store, sums())).rejects.toMatchObject({ code: 'closed' })
    })
  })
}
