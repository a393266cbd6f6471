// What an app with types writes; compiled by several versions of TypeScript, the declarations of the package included.
import { defineEvents, defineProjection, openEventStore, openReadModel, startProjection, VersionConflictError, type LiveQuery, type StatusStore } from 'tidemark'
import { openEventStore as openInMemory } from 'tidemark/memory'
import { LiveController } from 'tidemark/lit'
import { useLiveQuery, useLiveSuspenseQuery, useStatus, type Live } from 'tidemark/react'
import { given, virtualClock } from 'tidemark/testing'

type ShopEvent =
  | { type: 'ItemAdded'; data: { sku: string; quantity: number } }
  | { type: 'OrderPlaced'; data: { total: number } }
const events = defineEvents<ShopEvent>()
const lines = defineProjection(events, {
  name: 'lines',
  tables: { lines: { key: 'sku' } },
  on: { ItemAdded: ({ data }, { lines }) => lines.put({ sku: data.sku, quantity: data.quantity }) },
})

export async function run(): Promise<LiveQuery<number>> {
  const store = await openEventStore({ name: 'shop', events })
  const other = await openInMemory({ name: 'shop', events})
  const projection = startProjection(store, lines)
  const view = await openReadModel(store, lines)
  try {
    const { position } = await other.append({ stream: 'basket-1', events: [events.OrderPlaced({ total: 3 })], expectedVersion: 'no-stream' })
    await projection.caughtUp(position)
  } catch (error) {
    if (error instanceof VersionConflictError) console.log(error.actual)
  }
  // @ts-expect-error: the data does not fit
  events.OrderPlaced({ total: 'three' })
  void given<ShopEvent>([], events)
  void virtualClock()
  return view.live(({ lines }) => lines.count())
}

export function useLines(live: LiveQuery<number>, status: { readonly status: StatusStore<{ readonly phase: string }> }): string {
  const lines: Live<number> = useLiveQuery(live)
  const total: number = useLiveSuspenseQuery(live)
  void new LiveController({ addController() {}, requestUpdate() {} }, () => live).value.stale
  return `${useStatus(status).phase}: ${lines.status === 'ready' ? lines.data : total}`
}
