/** The public record: the first quarter of 2001, a stream and a commit for each day. */
import url from 'vega-datasets/data/flights-20k.json?url'
import type { FlightEvent, Store } from './flights.js'

interface FlightRecord {
  /** 'yyyy/mm/dd hh:mm'; the record is in this order. */
  readonly date: string
  readonly delay: number
  readonly distance: number
  readonly origin: string
  readonly destination: string
}

export const flightsInRecord = 20_000

const firstDay = Date.UTC(2001, 0, 1)
const daysInRecord = 90
const dayLength = 86_400_000

/** The days of the record, 'yyyy-mm-dd'. */
const days = Array.from({ length: daysInRecord }, (_, index) =>
  new Date(firstDay + index * dayLength).toISOString().slice(0, 10),
)
const streamOf = (day: string) => `landings-${day}`

const longDate = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' })

/** How much of the record is in the log. */
export interface Loaded {
  readonly flights: number
  readonly days: number
  /** The last day that is there, in words. */
  readonly until: string | undefined
}

export const isComplete = (loaded: Loaded) => loaded.days === daysInRecord
const upTo = (flights: number, count: number): Loaded => {
  const last = days[count - 1]
  return { flights, days: count, until: last === undefined ? undefined : longDate.format(Date.parse(last)) }
}

/** Looks how much of the record is in the log, going on from what was known. A day's commit is there as a whole or not at all. */
export async function lookUp(store: Store, known: Loaded = upTo(0, 0)): Promise<Loaded> {
  // All together: a read waits for the writes before it, so that one after the other would run behind a tab that loads.
  const versions = await Promise.all(days.slice(known.days).map((day) => store.streamVersion(streamOf(day))))
  const missing = versions.indexOf(0)
  const found = missing === -1 ? versions : versions.slice(0, missing)
  return found.length === 0
    ? known
    : upTo(
        found.reduce((sum, version) => sum + version, known.flights),
        known.days + found.length,
      )
}

/**
 * The same id at every load, so that a day which is in the log already is recognised and not stored twice: loading again after a
 * stop, a reload or a crash continues where it ended. A UUID of version 7 that grows with the flight's place in the record, since
 * an id above every id in the log needs no look for a duplicate.
 */
function idOf(place: number): string {
  const time = (firstDay + place).toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${String(place).padStart(12, '0')}`
}

/** What a load did. */
export interface LoadResult {
  readonly stored: number
  /** Flights that an earlier load had stored already. */
  readonly already: number
}

/** Appends the record, a commit a day, from the last day on that is known to be there; all of it if it is complete. */
export async function loadRecord(
  store: Store,
  known: Loaded,
  signal: AbortSignal,
  onProgress: (loaded: Loaded) => void,
): Promise<LoadResult> {
  const response = await fetch(url, { signal })
  if (!response.ok) throw new Error(`The flights could not be read (${response.status})`)
  const record = (await response.json()) as FlightRecord[]

  const byDay = new Map<string, (FlightEvent & { id: string })[]>(days.map((day) => [day, []]))
  for (const [index, { date, delay, distance, origin, destination }] of record.entries()) {
    const event = {
      type: 'FlightLanded',
      id: idOf(index + 1),
      data: { origin, destination, distance, delay, date },
    } as const
    byDay.get(date.slice(0, 10).replaceAll('/', '-'))?.push(event)
  }

  const from = isComplete(known) ? 0 : Math.max(0, known.days - 1)
  let flights = 0
  const result = { stored: 0, already: 0 }
  for (const [index, [day, events]] of [...byDay].entries()) {
    flights += events.length
    if (index < from) continue
    // Relaxed: what a power cut takes away can be loaded again.
    const { duplicate } = await store.append(streamOf(day), events, { signal, durability: 'relaxed' })
    result[duplicate ? 'already' : 'stored'] += events.length
    onProgress(upTo(flights, index + 1))
  }
  return result
}
