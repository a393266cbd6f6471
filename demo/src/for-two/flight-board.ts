/** The domain of the shared board: six departures, four gates, and what may happen to them. Shared by page and server. */
import { defineEvents, defineProjection, table } from 'tidemark'

export type BoardEvent =
  /** Only one flight can have a gate: the commit says which version of the gate its device had seen. */
  | { type: 'GateGiven'; data: { gate: string; flight: string } }
  | { type: 'GateFreed'; data: { gate: string; flight: string } }
  /** Delays add up, whichever device reports them, in whatever order. */
  | { type: 'FlightDelayed'; data: { flight: string; minutes: number } }
  | { type: 'FlightCancelled'; data: { flight: string } }

export const boardEvents = defineEvents<BoardEvent>()

export const departures: readonly { flight: string; city: string; at: string }[] = [
  { flight: 'TM 114', city: 'Las Vegas', at: '07:10' },
  { flight: 'TM 208', city: 'Seattle', at: '07:35' },
  { flight: 'TM 331', city: 'Boston', at: '08:05' },
  { flight: 'TM 417', city: 'Palm Beach', at: '08:20' },
  { flight: 'TM 520', city: 'Ontario', at: '09:00' },
  { flight: 'TM 606', city: 'Chicago', at: '09:45' },
]
export const gates = ['1', '2', '3', '4'] as const

/** The server refuses longer ones: see demo/server/accept.ts. Minutes. */
export const longestDelay = 180

export const gateStream = (gate: string) => `gate-${gate}`
export const flightStream = (flight: string) => `flight-${flight.replace(' ', '')}`

export interface GateRow {
  gate: string
  /** The flight that has it. */
  flight: string | null
  /** Of the gate's stream: what the next to give it expects. */
  version: number
}

export interface FlightRow {
  flight: string
  /** Minutes. */
  delay: number
  cancelled: boolean
}

const onTime = (flight: string): FlightRow => ({ flight, delay: 0, cancelled: false })

export const board = defineProjection(boardEvents, {
  name: 'board',
  version: 1,
  tables: { gates: table<GateRow>({ key: 'gate' }), flights: table<FlightRow>({ key: 'flight' }) },
  fold: {
    gates: {
      key: ({ type, data }) => (type === 'GateGiven' || type === 'GateFreed' ? data.gate : undefined),
      evolve: (row, { type, data, version }) =>
        type === 'GateGiven'
          ? { gate: data.gate, flight: data.flight, version }
          : type === 'GateFreed'
            ? // A gate that went to another flight meanwhile stays with that one.
              { gate: data.gate, flight: row?.flight === data.flight ? null : (row?.flight ?? null), version }
            : (row ?? null),
    },
    flights: {
      key: ({ type, data }) => (type === 'FlightDelayed' || type === 'FlightCancelled' ? data.flight : undefined),
      evolve: (row, { type, data }) => {
        const before = row ?? onTime(data.flight)
        return type === 'FlightDelayed'
          ? { ...before, delay: before.delay + data.minutes }
          : type === 'FlightCancelled'
            ? { ...before, cancelled: true }
            : before
      },
    },
  },
})

/** What an event says, in words. */
export function wordsOf(event: BoardEvent): string {
  switch (event.type) {
    case 'GateGiven':
      return `Gate ${event.data.gate} to ${event.data.flight}`
    case 'GateFreed':
      return `Gate ${event.data.gate} free again`
    case 'FlightDelayed':
      return `${event.data.flight}, ${event.data.minutes} min later`
    case 'FlightCancelled':
      return `${event.data.flight} cancelled`
  }
}
