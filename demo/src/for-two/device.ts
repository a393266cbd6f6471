/** The board as this device has it: its store, what it shows, and how it is synced. */
import { execute, openReadModel, startProjection } from 'tidemark'
import { openSyncedStore, startSync, type OwnCommit, type SyncStatus } from 'tidemark/sync'
import { commands } from './commands.js'
import { board, boardEvents, flightStream, gateStream, type BoardEvent, type GateRow } from './flight-board.js'
import type { Line } from './line.js'
import { boardUrl } from './operator.js'

export type { OwnCommit, SyncStatus }
export type Device = Awaited<ReturnType<typeof openDevice>>

/** The name of the store of a device: each has its own, also where several share a browser. */
export const deviceName = (boardId: string, device: number): string => `board-for-two/${boardId}/${device}`

export async function openDevice(name: string, boardId: string, line: Line) {
  const store = await openSyncedStore({
    name,
    events: boardEvents,
    commands,
    url: boardUrl(boardId),
    fetch: line.fetch,
  })
  const view = await openReadModel(store, board)
  startProjection(store, board, { mode: 'continuous' })
  const sync = startSync(store)

  return {
    store,
    view,
    status: sync.status,
    syncNow: () => sync.now(),
    /** What is not in the log: pending or refused. */
    outbox: () => store.outbox(),

    delay: (flight: string, minutes: number) =>
      store.append(flightStream(flight), { type: 'FlightDelayed', data: { flight, minutes } }),
    cancel: (flight: string) => store.append(flightStream(flight), { type: 'FlightCancelled', data: { flight } }),
    /** @param seen the version of the gate that the board showed, so that it is refused if another device was first */
    giveGate: (gate: string, flight: string, seen: number) =>
      store.append(gateStream(gate), { type: 'GateGiven', data: { gate, flight } }, { expectedVersion: seen }),
    /** Whichever gate is free when the server decides. */
    giveAnyGate: (flight: string) => execute(store, commands.giveAnyGate(flight)),
    freeGates: (rows: readonly GateRow[], flight: string) =>
      store.append(
        rows.map(({ gate, version }) => ({
          stream: gateStream(gate),
          expectedVersion: version,
          events: [{ type: 'GateFreed', data: { gate, flight } } satisfies BoardEvent],
        })),
      ),
  }
}
