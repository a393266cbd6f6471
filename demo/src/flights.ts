/** The domain: which events there are and what the board makes of them. Shared by the page and the service worker. */
import { defineEvents, defineProjection, openEventStore, table } from 'tidemark'

export type FlightEvent =
  /** A flight of the public record. `destination` is null in the one event that the desk sends to break the handler. */
  | {
      type: 'FlightLanded'
      data: { origin: string; destination: string | null; distance: number; delay: number; date: string }
    }
  /** From here on: what the user of the desk does. */
  | { type: 'DelayReported'; data: { flight: string; airport: string; minutes: number } }
  | { type: 'FlightCancelled'; data: { flight: string; airport: string } }
  | { type: 'GateAssigned'; data: { gate: string; flight: string } }

const events = defineEvents<FlightEvent>()

export const openStore = () => openEventStore({ name: 'flight-desk', events })
export type Store = Awaited<ReturnType<typeof openStore>>

/* ---- What the board keeps ---------------------------------------------------------------------------------------------- */

export interface Airport {
  code: string
  landed: number
  cancelled: number
  /** Landings and reported delays: what the average is taken over. */
  measured: number
  totalDelay: number
  averageDelay: number
  worstDelay: number
}

export interface Totals {
  name: 'all'
  landed: number
  late: number
  delay: number
  miles: number
}

export interface Departure {
  flight: string
  delay: number
  cancelled: boolean
  /** Of the flight's stream, as the board last saw it: what the next cancellation expects. */
  version: number
}

export interface Gate {
  gate: string
  flight: string
  /** Of the gate's stream, as the board last saw it: what the next swap expects. */
  version: number
}

/** A landing counts as late from here, as the US Department of Transportation counts. */
export const lateFrom = 15
/** An average over fewer landings says little. */
export const enoughLandings = 30
/** Where landings without a destination go, once the handler knows how. */
export const nowhere = 'ZZZ'

const noTotals: Totals = { name: 'all', landed: 0, late: 0, delay: 0, miles: 0 }

/* ---- The projection ---------------------------------------------------------------------------------------------------- */

const newAirport = (code: string): Airport => ({
  code,
  landed: 0,
  cancelled: 0,
  measured: 0,
  totalDelay: 0,
  averageDelay: 0,
  worstDelay: 0,
})

/** One more delay at an airport, by a landing or by a report. */
function measure(airport: Airport, minutes: number): Airport {
  const measured = airport.measured + 1
  const totalDelay = airport.totalDelay + minutes
  return {
    ...airport,
    measured,
    totalDelay,
    averageDelay: totalDelay / measured,
    worstDelay: airport.measured === 0 ? minutes : Math.max(airport.worstDelay, minutes),
  }
}

function addUp(all: Totals, delay: number, distance: number): Totals {
  return {
    ...all,
    landed: all.landed + 1,
    late: all.late + (delay >= lateFrom ? 1 : 0),
    delay: all.delay + delay,
    miles: all.miles + distance,
  }
}

/** How the board deals with a landing without a destination, as the user set it. Asked at every event. */
export interface Handling {
  /** The handler copes with it; until then it throws. */
  readonly fixed: boolean
  /** What becomes of an event at which the handler throws: set aside alone, or with those of its stream that follow, or the projection stops there. */
  readonly policy: 'park' | 'hold' | 'stop'
}

export const boardName = 'airport-board'

/** The board at a version. A new version is built next to the old one, from the first event on. */
export function defineBoard(version: number, handling: () => Handling) {
  return defineProjection(events, {
    name: boardName,
    version,
    tables: {
      airports: table<Airport>()({ key: 'code', indexes: { byDelay: 'averageDelay', byLanded: 'landed' } }),
      totals: table<Totals>({ key: 'name' }),
      departures: table<Departure>({ key: 'flight' }),
      gates: table<Gate>({ key: 'gate' }),
    },

    // Events that touch one row of a table.
    fold: {
      totals: {
        key: ({ type }) => (type === 'FlightLanded' ? 'all' : undefined),
        evolve: (all = noTotals, { type, data }) =>
          type === 'FlightLanded' ? addUp(all, data.delay, data.distance) : all,
      },
      gates: {
        key: ({ type, data }) => (type === 'GateAssigned' ? data.gate : undefined),
        evolve: (row, { type, data, version }) =>
          type === 'GateAssigned' ? { gate: data.gate, flight: data.flight, version } : (row ?? null),
      },
    },

    // Events that touch several.
    on: {
      FlightLanded: async ({ data: { destination, delay } }, { airports }) => {
        const code = handling().fixed ? (destination ?? nowhere) : destination!.toUpperCase()
        await airports.update(code, (airport = newAirport(code)) => ({
          ...measure(airport, delay),
          landed: airport.landed + 1,
        }))
      },

      DelayReported: async ({ data: { airport: code, flight, minutes }, version }, { airports, departures }) => {
        await airports.update(code, (airport = newAirport(code)) => measure(airport, minutes))
        await departures.update(flight, (row) => ({
          flight,
          delay: minutes,
          cancelled: row?.cancelled ?? false,
          version,
        }))
      },

      FlightCancelled: async ({ data: { airport: code, flight }, version }, { airports, departures }) => {
        await airports.update(code, (airport = newAirport(code)) => ({ ...airport, cancelled: airport.cancelled + 1 }))
        await departures.update(flight, (row) => ({ flight, delay: row?.delay ?? 0, cancelled: true, version }))
      },
    },

    onFailure: ({ error, retryCount }) => {
      // A handler that throws TypeError will throw it again.
      if (error instanceof TypeError)
        return ({ park: 'park', hold: 'park-stream', stop: 'fatal' } as const)[handling().policy]
      return retryCount < 3 ? 'retry' : 'fatal'
    },
  })
}
export type Board = ReturnType<typeof defineBoard>

/* ---- The day's departures ---------------------------------------------------------------------------------------------- */

/** What the desk starts the day with; events change it. */
export const timetable: readonly { flight: string; to: string; at: string; gate: string }[] = [
  { flight: 'TM 114', to: 'LAS', at: '07:10', gate: 'A1' },
  { flight: 'TM 208', to: 'SEA', at: '07:35', gate: 'A4' },
  { flight: 'TM 331', to: 'BOS', at: '08:05', gate: 'B2' },
  { flight: 'TM 417', to: 'PBI', at: '08:20', gate: 'B7' },
  { flight: 'TM 520', to: 'ONT', at: '09:00', gate: 'C3' },
  { flight: 'TM 606', to: 'ORD', at: '09:45', gate: 'C8' },
]

export const flightStream = (flight: string) => `flight-${flight.replace(' ', '')}`
export const gateStream = (gate: string) => `gate-${gate}`

/* ---- What page and service worker say to each other -------------------------------------------------------------------- */

export interface ProjectRequest extends Handling {
  readonly type: 'project'
  readonly version: number
}

export type ProjectAnswer = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly text: string }
