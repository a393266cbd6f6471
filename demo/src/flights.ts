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

export const events = defineEvents<FlightEvent>()

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

/* ---- The projection ---------------------------------------------------------------------------------------------------- */

const newAirport = (code: string): Airport => ({
  code, landed: 0, cancelled: 0, measured: 0, totalDelay: 0, averageDelay: 0, worstDelay: 0,
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

/**
 * The board at a version. A new version is built beside the old one, from the first event on.
 *
 * @param isFixed whether the handler copes with a landing without a destination; until then it throws on one
 */
export function defineBoard(version: number, isFixed: () => boolean) {
  return defineProjection(events, {
    name: 'airport-board',
    version,
    tables: {
      airports: table<Airport>({ key: 'code', indexes: { byDelay: 'averageDelay', byLanded: 'landed' } }),
      totals: table<Totals>({ key: 'name' }),
      departures: table<Departure>({ key: 'flight' }),
      gates: table<Gate>({ key: 'gate' }),
    },
    on: {
      FlightLanded: async (event, { airports, totals }) => {
        const { destination, delay, distance } = event.data
        const code = isFixed() ? (destination ?? nowhere) : destination!.toUpperCase()

        const airport = (await airports.get(code)) ?? newAirport(code)
        airports.put({ ...measure(airport, delay), landed: airport.landed + 1 })

        const all = (await totals.get('all')) ?? { name: 'all', landed: 0, late: 0, delay: 0, miles: 0 }
        totals.put({
          name: 'all',
          landed: all.landed + 1,
          late: all.late + (delay >= lateFrom ? 1 : 0),
          delay: all.delay + delay,
          miles: all.miles + distance,
        })
      },

      DelayReported: async (event, { airports, departures }) => {
        const { airport: code, flight, minutes } = event.data
        airports.put(measure((await airports.get(code)) ?? newAirport(code), minutes))
        const cancelled = (await departures.get(flight))?.cancelled ?? false
        departures.put({ flight, delay: minutes, cancelled, version: event.version })
      },

      FlightCancelled: async (event, { airports, departures }) => {
        const { airport: code, flight } = event.data
        const airport = (await airports.get(code)) ?? newAirport(code)
        airports.put({ ...airport, cancelled: airport.cancelled + 1 })
        const delay = (await departures.get(flight))?.delay ?? 0
        departures.put({ flight, delay, cancelled: true, version: event.version })
      },

      GateAssigned: (event, { gates }) => {
        gates.put({ gate: event.data.gate, flight: event.data.flight, version: event.version })
      },
    },
    // A handler that throws TypeError will throw it again: keep the event aside and go on with the others.
    onError: ({ error, retryCount }) => (error instanceof TypeError ? 'park' : retryCount < 3 ? 'retry' : 'fatal'),
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

export interface ProjectRequest {
  readonly type: 'project'
  readonly version: number
  readonly fixed: boolean
}

export type ProjectAnswer = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly text: string }
