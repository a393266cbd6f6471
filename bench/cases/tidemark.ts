/** tidemark as an app uses it: the projection runs from the start, and a view is open. */
import { deleteEventStore, openEventStore, openReadModel, startProjection } from 'tidemark'
import { forms } from './projections.js'
import type { System, SystemStore } from './system.js'
import { events } from './workload.js'

export const tidemark: System = {
  name: 'tidemark',
  async open(name): Promise<SystemStore> {
    const projection = forms.fold('customers')
    const store = await openEventStore({ name, events, durability: 'relaxed' })
    const running = startProjection(store, projection)
    const view = await openReadModel(store, projection)
    let appended = 0
    const close = async () => {
      await view.close()
      await running.stop()
      await store.close()
    }
    return {
      async append(deposits) {
        const { position } = await store.append(
          deposits.map(({ stream, type, data }) => ({ stream, events: [{ type, data }] })),
        )
        appended = position
      },
      async settled() {
        await running.caughtUp(appended)
      },
      rows: () => view.customers.getAll(),
      count: () => store.head(),
      close,
      async destroy() {
        await close()
        await deleteEventStore(name)
      },
    }
  },
}
