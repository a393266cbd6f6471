/** The figures of all airports, and the table of the most delayed or the busiest ones. */
import type { Place } from './airports.js'
import { byId, h, say, segments } from './dom.js'
import { enoughLandings, lateFrom, nowhere, type Airport, type Totals } from './flights.js'
import { watch } from './live.js'
import { messageOf } from './notice.js'
import { count, decimal, minutes, stepOf } from './numbers.js'
import type { View } from './session.js'

type Order = 'byDelay' | 'byLanded'

/** Rows until the user asks for all: as many as fit next to the panel. */
const rowsAtFirst = matchMedia('(min-width: 62rem)').matches ? 18 : 12

export function mountBoard(places: ReadonlyMap<string, Place>, onPoint: (code: string | null) => void) {
  let order: Order = 'byDelay'
  let view: View | undefined
  let stop: (() => void) | undefined
  let busy: readonly Airport[] = []
  let landed = 0
  /** Every row is shown. */
  let all = false

  const figures = {
    landed: figure('Landings'),
    average: figure('Average delay', 'min'),
    late: figure(`${lateFrom} min late or more`, '%'),
    miles: figure('Miles flown', 'million'),
  }

  byId('order').append(
    segments(
      'Order by',
      'order',
      [
        ['byDelay', 'Most delayed'],
        ['byLanded', 'Busiest'],
      ],
      order,
      (chosen) => {
        order = chosen
        query()
      },
    ),
  )

  const body = h('tbody')
  const empty = h('p', { class: 'empty' }, 'Reading the board …')
  const more = h('button', {
    type: 'button',
    hidden: true,
    'aria-expanded': 'false',
    click: () => {
      all = !all
      render()
    },
  })
  const caption = h('caption')
  byId('table').append(
    h(
      'table',
      {},
      caption,
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('th', { scope: 'col' }, 'Airport'),
          h('th', { scope: 'col', class: 'number' }, 'Landed'),
          h('th', { scope: 'col', class: 'number' }, 'Average, min'),
          h('th', { scope: 'col', class: 'number worst' }, 'Worst, min'),
        ),
      ),
      body,
    ),
    empty,
    more,
  )
  body.addEventListener('pointerover', (event) => {
    onPoint((event.target as Element).closest('tr')?.dataset['code'] ?? null)
  })
  body.addEventListener('pointerleave', () => onPoint(null))

  /** Busy airports in the order of an index, and the totals, of one commit. Runs again when a commit touches them. */
  function query(): void {
    stop?.()
    if (view === undefined) return
    const by = order
    say(
      caption,
      by === 'byDelay'
        ? `By average delay, of airports with ${enoughLandings} landings or more`
        : `By landings, from ${enoughLandings} on`,
    )
    const live = view.live(async ({ airports, totals }) => {
      const [every, all] = await Promise.all([airports.getAll({ index: by, direction: 'prev' }), totals.get('all')])
      return {
        totals: all,
        busy: every.filter((airport) => airport.landed >= enoughLandings && airport.code !== nowhere),
      }
    })
    stop = watch(live, (snapshot) => {
      if (snapshot.status === 'ready') {
        busy = snapshot.data.busy
        landed = snapshot.data.totals?.landed ?? 0
        renderTotals(snapshot.data.totals)
        render()
      } else if (snapshot.status === 'error') {
        say(empty, `The board cannot be read: ${messageOf(snapshot.error)}`)
        empty.hidden = false
      }
    })
  }

  function render(): void {
    const airports = all ? busy : busy.slice(0, rowsAtFirst)
    say(empty, landed === 0 ? 'No landings yet.' : `No airport has ${enoughLandings} landings yet.`)
    empty.hidden = airports.length > 0
    more.hidden = busy.length <= rowsAtFirst
    more.setAttribute('aria-expanded', String(all))
    say(more, all ? `Show ${rowsAtFirst} airports` : `Show all ${count(busy.length)} airports`)
    const longest = Math.max(1, ...busy.map((airport) => airport.averageDelay))
    const known = new Map([...body.rows].map((row) => [row.dataset['code'], row]))
    const rows = airports.map((airport) => {
      const row = known.get(airport.code) ?? newRow(airport.code)
      const [, landings, average, worst] = row.cells
      if (landings) say(landings, count(airport.landed))
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
    return h(
      'tr',
      { 'data-code': code },
      h(
        'th',
        { scope: 'row' },
        h('span', { class: 'code' }, code),
        h('span', { class: 'city' }, place ? `${place.city}, ${place.state}` : 'Unknown'),
      ),
      h('td', { class: 'number' }),
      h(
        'td',
        { class: 'number average' },
        h('span', { class: 'bar', 'aria-hidden': 'true' }),
        h('span', { class: 'value' }),
      ),
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
  byId('figures').append(
    h('div', {}, h('dt', {}, name), h('dd', {}, value, unit ? h('span', { class: 'unit' }, ` ${unit}`) : null)),
  )
  return value
}
