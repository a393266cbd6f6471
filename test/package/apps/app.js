// What every tool builds: both entries that an app ships, and one event that is there after its append.
import { defineEvents, defineProjection, openEventStore, openReadModel, startProjection, table } from 'tidemark'
import { openEventStore as openInMemory } from 'tidemark/memory'

const events = defineEvents()
const lines = defineProjection(events, {
  name: 'lines',
  tables: { lines: table({ key: 'sku' }) },
  fold: { lines: { key: ({ data }) => data.sku, evolve: (row, { data }) => ({ sku: data.sku, quantity: (row?.quantity ?? 0) + data.quantity }) } },
})
const store = await openInMemory({ name: 'shop', events })
const projection = startProjection(store, lines)
const view = await openReadModel(store, lines)
const { position } = await store.append({ stream: 'basket-1', events: [events.ItemAdded({ sku: 'A1', quantity: 2 })] })
await projection.caughtUp(position)
const row = await view.lines.get('A1')
// Without IndexedDB the other entry says so, with its code.
const refused = await openEventStore({ name: 'shop', events }).then(() => 'opened', (error) => error.code)
console.log(JSON.stringify({ position, row, refused }))
await projection.stop()
await view.close()
await store.close()
