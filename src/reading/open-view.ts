/** Opens the storage of a read model for reading, with the live queries over it. */
import { ClosedError } from '../errors.js'
import type { EventShape } from '../events/event.js'
import type { TidemarkStore } from '../log/open.js'
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
import { listenerSet } from '../platform/listeners.js'
import { projectionKey, type Projection, type Tables } from '../read-model/define.js'
import type { ReadModelStorage } from '../read-model/storage.js'
import { openStorage } from '../running/shared-storage.js'
import { engineOf, type QueryEngine } from './engine.js'
import { laidOver } from './laid-over.js'
import { liveQuery } from './live-query.js'
import { modelQuery, type QueryPorts } from './model-query.js'
import { runnerCheck } from './not-run.js'
import type { ViewPorts } from './view-calls.js'

/** A read model that is open for reading: what queries are put to. */
export interface OpenView<T extends Tables> extends ViewPorts<T> {
  position(): Promise<number>
  /**
   * Resolves once the live queries of this context that run or have subscribers show every commit up to a position
   * that touches them, as far as it is stored. Rejects if it cannot be read what is stored.
   */
  published(position: number): Promise<void>
  /** Ends every live query. */
  close(): void
}

/** Opens the read model of a definition. See `openReadModel`. */
export async function openView<E extends EventShape, T extends Tables>(
  store: TidemarkStore<E>,
  definition: Projection<E, T>,
  clock: Clock,
): Promise<OpenView<T>> {
  const { storage, lookout } = await openStorage(store, definition as unknown as Projection<E>)
  try {
    // The app asks: one try immediately, whatever failed before.
    await storage.open({ urgent: true })
  } catch (error) {
    storage.close()
    throw error
  }
  const key = projectionKey(definition)
  const saw = __DEV__ ? runnerCheck(store, key, clock) : undefined
  const plain = lookout(clock)
  const shown = laidOver(store)?.over(plain, definition as unknown as Projection, clock)
  const engine = engineOf(key, shown ?? plain, clock, saw)
  return view(definition.tables, key, storage, engine)
}

function view<T extends Tables>(tables: T, key: string, storage: ReadModelStorage, engine: QueryEngine): OpenView<T> {
  let closed = false
  /** The live queries that have subscribers. */
  const watching = listenerSet()
  const closedError = () => new ClosedError(say`The read model '${key}'`)
  const asking =
    (ask: QueryEngine['ask']): QueryPorts['ask'] =>
    async (table, query) => {
      if (closed) throw closedError()
      const { values, state } = await ask([{ table, query }])
      return { value: values[0], state }
    }
  const ports: QueryPorts = {
    engine,
    ask: asking((asked) => engine.askLive(asked)),
    end: () => (closed ? closedError() : undefined),
    onEnd: watching.add,
  }
  return {
    ask: asking((asked) => engine.ask(asked)),
    make: (query, rested) =>
      liveQuery({ ...modelQuery(tables, query, ports), ...(rested && { rested }) }, engine.clock),
    position: async () => (await storage.state()).position,
    published: (position) => engine.published(position),
    close() {
      closed = true
      watching.tell()
      storage.close()
    },
  }
}
