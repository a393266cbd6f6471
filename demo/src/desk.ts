/** The user's own events: delays, cancellations and gate swaps, with or without a network. */
import { CaughtUpTimeoutError, VersionConflictError } from 'tidemark'
import type { Place } from './airports.js'
import { button } from './button.js'
import { byId, h, say } from './dom.js'
import {
  flightStream,
  gateStream,
  timetable,
  type Departure,
  type FlightEvent,
  type Gate,
  type Store,
} from './flights.js'
import { watch } from './live.js'
import { messageOf, notify } from './notice.js'
import { count } from './numbers.js'
import type { Session, View } from './session.js'

interface Line {
  readonly flight: string
  readonly to: string
  readonly gate: string
  readonly gateVersion: number
  readonly version: number
  readonly delay: number
  readonly cancelled: boolean
}

/** The timetable with what the board knows on top. */
function lines(departures: readonly Departure[], gates: readonly Gate[]): Line[] {
  const assigned = new Map(gates.map((gate) => [gate.gate, gate]))
  const gateOf = new Map<string, string>()
  for (const { gate, flight } of timetable) gateOf.set(assigned.get(gate)?.flight ?? flight, gate)
  return timetable.map(({ flight, to, gate: planned }) => {
    const departure = departures.find((row) => row.flight === flight)
    const gate = gateOf.get(flight) ?? planned
    return {
      flight,
      to,
      gate,
      gateVersion: assigned.get(gate)?.version ?? 0,
      version: departure?.version ?? 0,
      delay: departure?.delay ?? 0,
      cancelled: departure?.cancelled ?? false,
    }
  })
}

export function mountDesk(store: Store, session: Session, places: ReadonlyMap<string, Place>) {
  let view: View | undefined
  let stop: (() => void) | undefined
  let current: readonly Line[] = lines([], [])

  const rows = timetable.map(({ flight, to, at }) => {
    const box = h('input', { type: 'checkbox', id: `pick-${to}`, value: flight, change: enable })
    const gate = h('span', { class: 'gate' })
    const state = h('span', { class: 'state' })
    const item = h(
      'li',
      {},
      box,
      h(
        'label',
        { for: `pick-${to}` },
        h('span', { class: 'time' }, at),
        h('span', { class: 'flight' }, flight),
        h('span', { class: 'city' }, places.get(to)?.city ?? to),
        h('span', { class: 'hidden' }, ', gate '),
        gate,
        state,
      ),
    )
    return { box, gate, state, item }
  })

  const late = h('input', {
    type: 'number',
    id: 'late',
    min: 1,
    max: 999,
    step: 1,
    value: 25,
    inputmode: 'numeric',
    required: true,
  })
  const report = button({ label: 'Report delay', action: reportDelay })
  const cancel = button({ label: 'Cancel flight', action: cancelFlight })
  const swap = button({ label: 'Swap gates', action: swapGates })
  const hint = h('p', { class: 'hint', id: 'desk-hint' })
  const form = h(
    'form',
    {
      class: 'orders',
      'aria-describedby': 'desk-hint',
      submit: (event) => {
        event.preventDefault()
        report.click()
      },
    },
    h('label', { for: 'late', class: 'hidden' }, 'Minutes late'),
    h('span', { class: 'joined' }, late, h('span', { class: 'unit', 'aria-hidden': 'true' }, 'min'), report),
    cancel,
    swap,
  )
  byId('desk').append(
    h('h2', { id: 'desk-title' }, 'Your departures'),
    h('ul', { class: 'departures' }, ...rows.map((row) => row.item)),
    form,
    hint,
  )

  const picked = () => current.filter((_, index) => rows[index]?.box.checked)

  function enable(): void {
    const flights = picked()
    const [first] = flights
    const cancelled = first !== undefined && flights.length === 1 && first.cancelled
    const one =
      flights.length === 0
        ? 'Choose a flight first.'
        : flights.length > 1
          ? 'Choose one flight only.'
          : cancelled
            ? `${first.flight} is cancelled already.`
            : null
    report.allow(one)
    cancel.allow(one)
    swap.allow(flights.length === 2 ? null : 'Choose two flights to swap their gates.')
    say(
      hint,
      first === undefined
        ? 'Choose one flight to delay or cancel it, or two to swap their gates.'
        : cancelled
          ? `${first.flight} is cancelled. Choose another to swap gates with it.`
          : flights.length === 1
            ? `${first.flight} is chosen. Choose another to swap gates with it.`
            : flights.length === 2
              ? 'The swap is one append to two streams: both gates change, or neither does.'
              : 'A swap takes two flights.',
    )
  }

  function render(): void {
    current.forEach((line, index) => {
      const row = rows[index]
      if (row === undefined) return
      say(row.gate, line.gate)
      say(row.state, line.cancelled ? 'Cancelled' : line.delay > 0 ? `+${count(line.delay)} min` : 'On time')
      row.item.dataset['state'] = line.cancelled ? 'cancelled' : line.delay > 0 ? 'late' : 'fine'
    })
    enable()
  }

  /** Appends, says so, and says when the board shows it. */
  async function record(what: string, write: () => ReturnType<Store['append']>): Promise<void> {
    const about = byId('desk')
    let stored: string
    let position: number
    try {
      ;({ position } = await write())
      stored = `${what} Stored at position ${count(position)}`
    } catch (error) {
      notify(
        error instanceof VersionConflictError ? conflict(error) : `Nothing was stored. ${messageOf(error)}`,
        'trouble',
        about,
      )
      return
    }
    for (const row of rows) row.box.checked = false
    enable()
    const { running } = session
    if (running === undefined) {
      notify(
        `${stored}. The projection is stopped in this tab; the board shows it as soon as another tab or the service worker projects.`,
        'fine',
        about,
      )
      return
    }
    const began = performance.now()
    try {
      await running.caughtUp(position, { timeout: 3000 })
      notify(`${stored}, on the board ${Math.max(1, Math.round(performance.now() - began))} ms later.`, 'fine', about)
    } catch (error) {
      const { phase } = running.status.getSnapshot()
      notify(
        error instanceof CaughtUpTimeoutError
          ? `${stored}. The board is behind and will show it later.`
          : phase === 'paused'
            ? `${stored}. The board is paused and will show it when it continues.`
            : phase === 'faulted'
              ? `${stored}. The board stopped at an event before it, and will show it when it continues.`
              : `${stored}, not on the board yet: ${messageOf(error)}`,
        'fine',
        about,
      )
    }
  }

  function conflict({ stream, expected, actual }: VersionConflictError): string {
    const seen = typeof expected === 'number' && expected > 0 ? `version ${expected}` : 'no event'
    return `Nothing was stored. ${stream} is at version ${actual}, and this board had seen ${seen} of it: another tab was faster, or the board is behind.`
  }

  const one = (event: FlightEvent) => [event]

  async function reportDelay(): Promise<void> {
    const [line] = picked()
    if (line === undefined || !form.reportValidity()) return
    const minutes = late.valueAsNumber
    await record(`${line.flight} is ${count(minutes)} minutes late.`, () =>
      store.append(flightStream(line.flight), {
        type: 'DelayReported',
        data: { flight: line.flight, airport: line.to, minutes },
      }),
    )
  }

  async function cancelFlight(): Promise<void> {
    const [line] = picked()
    if (line === undefined) return
    await record(`${line.flight} is cancelled.`, () =>
      store.append(
        flightStream(line.flight),
        { type: 'FlightCancelled', data: { flight: line.flight, airport: line.to } },
        { expectedVersion: line.version },
      ),
    )
  }

  async function swapGates(): Promise<void> {
    const [first, second] = picked()
    if (first === undefined || second === undefined) return
    await record(`${first.flight} goes to ${second.gate}, ${second.flight} to ${first.gate}.`, () =>
      store.append([
        {
          stream: gateStream(first.gate),
          expectedVersion: first.gateVersion,
          events: one({ type: 'GateAssigned', data: { gate: first.gate, flight: second.flight } }),
        },
        {
          stream: gateStream(second.gate),
          expectedVersion: second.gateVersion,
          events: one({ type: 'GateAssigned', data: { gate: second.gate, flight: first.flight } }),
        },
      ]),
    )
  }

  render()
  return {
    show(next: View | undefined): void {
      if (next === view) return
      stop?.()
      view = next
      stop =
        view &&
        watch(
          view.live(async ({ departures, gates }) => lines(await departures.getAll(), await gates.getAll())),
          (snapshot) => {
            if (snapshot.status !== 'ready') return
            current = snapshot.data
            render()
          },
        )
    },
  }
}
