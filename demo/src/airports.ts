/** Names and places of airports, from the data set's table. */
import url from 'vega-datasets/data/airports.csv?url'
import { project } from './albers.js'

export interface Place {
  readonly code: string
  readonly name: string
  readonly city: string
  readonly state: string
  readonly at: readonly [x: number, y: number] | null
}

function* rows(csv: string): Generator<string[]> {
  for (const line of csv.split(/\r?\n/).slice(1)) {
    if (line === '') continue
    // Fields are plain, or quoted where they hold a comma.
    yield [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map(([, field = '']) =>
      field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field,
    )
  }
}

export async function loadPlaces(): Promise<ReadonlyMap<string, Place>> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`The table of airports could not be read (${response.status})`)
  const places = new Map<string, Place>()
  for (const [code = '', name = '', city = '', state = '', , latitude, longitude] of rows(await response.text())) {
    places.set(code, { code, name, city, state, at: project(Number(longitude), Number(latitude)) })
  }
  return places
}
