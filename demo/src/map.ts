/** The map: a circle per airport, as large as its landings, coloured by its average delay. */
import outlines from 'virtual:us-states'
import type { Place } from './airports.js'
import { viewBox } from './albers.js'
import { byId, h, say, svg } from './dom.js'
import type { Airport } from './flights.js'
import { watch } from './live.js'
import { count, minutes, stepOf, steps } from './numbers.js'
import type { View } from './session.js'

/** Told to a finger, or to a mouse and its keyboard. */
const byFinger = matchMedia('(pointer: coarse)')

/** So far from a circle it is still meant, in CSS pixels. */
const reach = 16

export function mountMap(places: ReadonlyMap<string, Place>) {
  const circles = svg('g', { class: 'circles' })
  const ring = svg('circle', { class: 'ring', r: 0 })
  const chart = svg(
    'svg',
    {
      viewBox: `${viewBox.x} ${viewBox.y} ${viewBox.width} ${viewBox.height}`,
      tabindex: 0,
      role: 'application',
      'aria-roledescription': 'map',
      'aria-label': byFinger.matches
        ? 'Map of airports'
        : 'Map of airports. Arrow keys go from the busiest to the quietest.',
      'aria-describedby': 'readout',
    },
    svg('path', { class: 'states', d: outlines }),
    circles,
    ring,
  )
  const readout = h('p', { id: 'readout', class: 'readout', 'aria-live': 'polite' })
  const legend = h(
    'ul',
    { class: 'legend', 'aria-label': 'Average delay in minutes, by colour' },
    ...steps.map((step, index) => h('li', { 'data-step': index }, step.name)),
  )
  byId('map').append(chart, h('div', { class: 'below' }, readout, legend))

  let view: View | undefined
  let stop: (() => void) | undefined
  /** Busiest first. */
  let airports: readonly Airport[] = []
  let chosen: string | null = null
  const known = new Map<string, SVGCircleElement>()

  /** The circle under a pointer, or the nearest one: many are smaller than a fingertip. */
  function codeNear({ target, clientX, clientY }: MouseEvent): string | null {
    const under = (target as Element).getAttribute('data-code')
    const matrix = chart.getScreenCTM()
    if (under !== null || matrix === null) return under
    const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(matrix.inverse())
    let nearest: string | null = null
    let least = reach / matrix.a
    for (const [code, circle] of known) {
      const distance = Math.hypot(x - circle.cx.baseVal.value, y - circle.cy.baseVal.value) - circle.r.baseVal.value
      if (distance < least) [nearest, least] = [code, distance]
    }
    return nearest
  }
  chart.addEventListener('pointermove', (event) => choose(codeNear(event)))
  chart.addEventListener('pointerleave', ({ pointerType }) => {
    // A finger leaves with the tap that chose.
    if (pointerType === 'mouse') choose(null)
  })
  chart.addEventListener('click', (event) => choose(codeNear(event)))
  chart.addEventListener('blur', () => choose(null))
  chart.addEventListener('keydown', (event) => {
    const shown = airports.filter((airport) => known.has(airport.code))
    const at = shown.findIndex((airport) => airport.code === chosen)
    const to =
      event.key === 'ArrowRight' || event.key === 'ArrowDown'
        ? Math.min(at + 1, shown.length - 1)
        : event.key === 'ArrowLeft' || event.key === 'ArrowUp'
          ? Math.max(at - 1, 0)
          : event.key === 'Home'
            ? 0
            : event.key === 'End'
              ? shown.length - 1
              : undefined
    if (event.key === 'Escape') choose(null)
    if (to === undefined) return
    event.preventDefault()
    choose(shown[to]?.code ?? null)
  })

  function choose(code: string | null): void {
    if (code === chosen) return
    chosen = code
    describe()
  }

  function describe(): void {
    const airport = airports.find(({ code }) => code === chosen)
    const circle = chosen === null ? undefined : known.get(chosen)
    ring.setAttribute(
      'r',
      circle ? String((parseFloat(getComputedStyle(circle).r) || Number(circle.getAttribute('r'))) + 3) : '0',
    )
    if (circle) {
      ring.setAttribute('cx', circle.getAttribute('cx') ?? '0')
      ring.setAttribute('cy', circle.getAttribute('cy') ?? '0')
    }
    if (airport === undefined) {
      say(
        readout,
        airports.length === 0
          ? 'Circles appear as flights land.'
          : byFinger.matches
            ? 'Tap an airport to read its figures.'
            : 'Point at an airport, or use the arrow keys.',
      )
      return
    }
    const place = places.get(airport.code)
    say(
      readout,
      `${airport.code} ${place ? `${place.city}, ${place.state}` : ''}: ${count(airport.landed)} landed, ` +
        `${minutes(airport.averageDelay)} min on average, worst ${count(airport.worstDelay)} min` +
        (airport.cancelled > 0 ? `, ${count(airport.cancelled)} cancelled` : ''),
    )
  }

  function render(next: readonly Airport[]): void {
    airports = next
    const seen = new Set<string>()
    for (const airport of next) {
      const at = places.get(airport.code)?.at
      if (!at || airport.measured === 0) continue
      seen.add(airport.code)
      let circle = known.get(airport.code)
      if (circle === undefined) {
        circle = svg('circle', { cx: at[0].toFixed(1), cy: at[1].toFixed(1), 'data-code': airport.code })
        known.set(airport.code, circle)
      }
      // An attribute for the ring and for engines without the property, the property so that a small screen can enlarge it.
      const radius = (1.6 + Math.sqrt(airport.landed) * 0.62).toFixed(2)
      circle.setAttribute('r', radius)
      circle.style.setProperty('--r', radius)
      circle.setAttribute('data-step', String(stepOf(airport.averageDelay)))
    }
    for (const [code, circle] of known) {
      if (seen.has(code)) continue
      circle.remove()
      known.delete(code)
    }
    // Large ones first, so that none hides a small one.
    const order = next.flatMap(({ code }) => known.get(code) ?? [])
    order.forEach((circle, index) => {
      if (circles.children[index] !== circle) circles.insertBefore(circle, circles.children[index] ?? null)
    })
    describe()
  }

  return {
    choose,
    show(next: View | undefined): void {
      if (next === view) return
      stop?.()
      view = next
      stop =
        view &&
        watch(
          view.live(({ airports: table }) => table.getAll({ index: 'byLanded', direction: 'prev' })),
          (snapshot) => snapshot.status === 'ready' && render(snapshot.data),
        )
    },
  }
}
