/** The board as this device has it, and what a visitor can do with it. */
import { tidemark, type OwnCommit, type SyncStatus } from 'tidemark/sync'
import { commands } from './commands.js'
import { board, boardEvents, flightStream, gateStream, type BoardEvent, type GateRow } from './flight-board.js'
import type { Line } from './line.js'
import { boardUrl } from './operator.js'

export type { OwnCommit, SyncStatus }
export type Device = ReturnType<typeof openDevice>

/** The name of the store of a device: each has its own, also where several share a browser. */
export const deviceName = (boardId: string, device: number): string => `board-for-two/${boardId}/${device}`

export function openDevice(name: string, boardId: string, line: Line) {
  const app = tidemark({
    name,
    events: boardEvents,
    models: { board },
    sync: { url: boardUrl(boardId), fetch: line.fetch, commands },
  })
  return {
    app,
    delay: (flight: string, minutes: number) =>
      app.append(flightStream(flight), boardEvents.FlightDelayed({ flight, minutes })),
    cancel: (flight: string) => app.append(flightStream(flight), boardEvents.FlightCancelled({ flight })),
    /** @param seen the version of the gate that the board showed, so that it is refused if another device was first */
    giveGate: (gate: string, flight: string, seen: number) =>
      app.append(gateStream(gate), boardEvents.GateGiven({ gate, flight }), { expectedVersion: seen }),
    /** A gate that is free when it is decided: now, and again if another device was first. */
    giveAnyGate: (flight: string) => app.execute(commands.giveAnyGate(flight)),
    freeGates: (rows: readonly GateRow[], flight: string) =>
      app.append(
        rows.map(({ gate, version }) => ({
          stream: gateStream(gate),
          expectedVersion: version,
          events: [{ type: 'GateFreed', data: { gate, flight } } satisfies BoardEvent],
        })),
      ),
  }
}
