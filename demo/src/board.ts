/** The figures of all airports and the table of the twelve that stand out. */
import type { Place } from './airports.js'
import { byId, count, decimal, h, messageOf, minutes, perFrame, say, stepOf } from './dom.js'
import { enoughLandings, nowhere, type Airport, type Totals } from './flights.js'
import { watch } from './live.js'
import type { View } from './session.js'

type Order = 'byDelay' | 'byLanded'

const rowsShown = 12

export function mountBoard(places: ReadonlyMap<string, Place>, onPoint: (code: string | null) => void) {
  let order: Order = 'byDelay'
  let view: View | undefined
  let stop: (() => void)[] = []

  const figures = {
    landed: figure('Landings'),
    average: figure('Average delay', 'min'),
    late: figure('15 min late or more', '%'),
    miles: figure('Miles flown', 'M'),
  }

  byId('order').append(
    h('fieldset', { class: 'segments' },
      h('legend', { class: 'hidden' }, 'Order by'),
      ...([['byDelay', 'Most delayed'], ['byLanded', 'Busiest']] as const).flatMap(([value, label]) => [
        h('input', {
          type: 'radio', name: 'order', id: `order-${value}`, value, checked: value === order,
          change: () => {
            order = value
            query()
          },
        }),
        h('label', { for: `order-${value}` }, label),
      ]),
    ),
  )

  const body = h('tbody')
  const empty = h('p', { class: 'empty' }, 'No landings yet.')
  const caption = h('caption')
  byId('table').append(
    h('table', {},
      caption,
      h('thead', {}, h('tr', {},
        h('th', { scope: 'col' }, 'Airport'),
        h('th', { scope: 'col', class: 'number' }, 'Landed'),
        h('th', { scope: 'col', class: 'number' }, h('abbr', { title: 'Average delay in minutes' }, 'Avg'), h('span', { class: 'unit' }, ' min')),
        h('th', { scope: 'col', class: 'number worst' }, 'Worst'),
      )),
      body,
    ),
    empty,
  )
  body.addEventListener('pointerover', (event) => {
    onPoint((event.target as Element).closest('tr')?.dataset['code'] ?? null)
  })
  body.addEventListener('pointerleave', () => onPoint(null))

  /** The twelve first of an index, busy airports only. Runs again when a commit touches the airports. */
  function query(): void {
    for (const end of stop) end()
    stop = []
    if (view === undefined) return
    const by = order
    say(caption, by === 'byDelay' ? `By average delay, of airports with ${enoughLandings} landings or more` : 'By landings')
    stop.push(
      watch(
        view.live(async ({ airports }) => {
          const all = await airports.getAll({ index: by, direction: 'prev' })
          return all.filter((airport) => airport.landed >= enoughLandings && airport.code !== nowhere).slice(0, rowsShown)
        }),
        (snapshot) => {
          if (snapshot.state === 'ready') render(snapshot.value)
          else if (snapshot.state === 'error') say(empty, messageOf(snapshot.error))
        },
        perFrame,
      ),
      watch(
        view.live(({ totals }) => totals.get('all')),
        (snapshot) => snapshot.state === 'ready' && renderTotals(snapshot.value),
        perFrame,
      ),
    )
  }

  function render(airports: readonly Airport[]): void {
    empty.hidden = airports.length > 0
    const longest = Math.max(1, ...airports.map((airport) => airport.averageDelay))
    const known = new Map([...body.rows].map((row) => [row.dataset['code'], row]))
    const rows = airports.map((airport) => {
      const row = known.get(airport.code) ?? newRow(airport.code)
      const [, landed, average, worst] = row.cells
      if (landed) say(landed, count(airport.landed))
      const value = average?.querySelector('.value')
      if (value) say(value, minutes(airport.averageDelay))
      if (worst) say(worst, count(airport.worstDelay))
      row.style.setProperty('--share', String(Math.max(0, airport.averageDelay) / longest))
      row.dataset['step'] = String(stepOf(airport.averageDelay))
      return row
    })
    // Touch the document only where the order changed: a hover or a screen reader's place survives.
    rows.forEach((row, index) => {
      if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null)
    })
    while (body.rows.length > rows.length) body.lastElementChild?.remove()
  }

  function newRow(code: string): HTMLTableRowElement {
    const place = places.get(code)
    return h('tr', { 'data-code': code },
      h('th', { scope: 'row' }, h('span', { class: 'code' }, code), h('span', { class: 'city' }, place ? `${place.city}, ${place.state}` : 'Unknown')),
      h('td', { class: 'number' }),
      h('td', { class: 'number average' }, h('span', { class: 'bar', 'aria-hidden': 'true' }), h('span', { class: 'value' })),
      h('td', { class: 'number worst' }),
    )
  }

  function renderTotals(totals: Totals | undefined): void {
    say(figures.landed, count(totals?.landed ?? 0))
    say(figures.average, totals ? minutes(totals.delay / totals.landed) : '–')
    say(figures.late, totals ? decimal((totals.late / totals.landed) * 100) : '–')
    say(figures.miles, totals ? decimal(totals.miles / 1e6) : '–')
    for (const value of Object.values(figures)) value.parentElement?.toggleAttribute('data-known', totals !== undefined)
  }

  return {
    show(next: View | undefined): void {
      if (next === view) return
      view = next
      query()
    },
  }
}

function figure(name: string, unit?: string): HTMLElement {
  const value = h('span', {}, '–')
  byId('figures').append(h('div', {}, h('dt', {}, name), h('dd', {}, value, unit ? h('span', { class: 'unit' }, ` ${unit}`) : null)))
  return value
}
