/** The board: six departures, and what a visitor can do with them. */
import { CommandRefusedError, VersionConflictError } from 'tidemark'
import { button } from '../button.js'
import { byId, h, say } from '../dom.js'
import { messageOf, notify } from '../notice.js'
import { count } from '../numbers.js'
import type { Device, OwnCommit } from './device.js'
import { departures, flightStream, gates, gateStream, type FlightRow, type GateRow } from './flight-board.js'

export interface BoardRows {
  readonly gates: readonly GateRow[]
  readonly flights: readonly FlightRow[]
}

/** The choice of a gate that leaves it to the command. */
const anyFree = 'any'

export function mountDepartures() {
  let device: Device | undefined
  let rows: BoardRows = { gates: [], flights: [] }
  /** Streams with something on them that is not settled. */
  let unsettled: ReadonlySet<string> = new Set()

  const items = departures.map(({ flight, city, at }, index) => {
    const radio = h('input', { type: 'radio', name: 'flight', id: `flight-${index}`, value: flight, change: render })
    const gate = h('span', { class: 'gate' })
    const state = h('span', { class: 'state' })
    const item = h(
      'li',
      {},
      radio,
      h(
        'label',
        { for: `flight-${index}` },
        h('span', { class: 'time' }, at),
        h('span', { class: 'flight' }, flight),
        h('span', { class: 'city' }, city),
        gate,
        state,
      ),
    )
    return { flight, radio, gate, state, item }
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
  const choice = h('select', { id: 'gate' }, h('option', { value: anyFree }, 'Any free gate'))
  for (const gate of gates) choice.append(h('option', { value: gate }, `Gate ${gate}`))
  const give = button({ label: 'Give gate', action: giveGate })
  const free = button({ label: 'Free its gate', action: freeGates })
  const cancel = button({ label: 'Cancel flight', action: cancelFlight })
  const hint = h('p', { class: 'hint', id: 'board-hint' })
  const form = h(
    'form',
    {
      class: 'orders',
      'aria-describedby': 'board-hint',
      submit: (event) => {
        event.preventDefault()
        report.click()
      },
    },
    h('label', { for: 'late', class: 'hidden' }, 'Minutes late'),
    h('span', { class: 'joined' }, late, h('span', { class: 'unit', 'aria-hidden': 'true' }, 'min'), report),
    h('label', { for: 'gate', class: 'hidden' }, 'Gate'),
    h('span', { class: 'joined' }, choice, give),
    free,
    cancel,
  )
  byId('board').append(
    h('h2', { id: 'board-title' }, 'Departures'),
    h('ul', { class: 'departures' }, ...items.map(({ item }) => item)),
    form,
    hint,
  )

  const chosen = () => items.find(({ radio }) => radio.checked)?.flight
  const gatesOf = (flight: string) => rows.gates.filter((row) => row.flight === flight)
  const flightRow = (flight: string) => rows.flights.find((row) => row.flight === flight)

  function render(): void {
    for (const { flight, gate, state, item } of items) {
      const given = gatesOf(flight)
      const { delay = 0, cancelled = false } = flightRow(flight) ?? {}
      mark(
        gate,
        given.length > 0 ? `Gate ${given.map((row) => row.gate).join(', ')}` : '',
        given.some((row) => unsettled.has(gateStream(row.gate))),
      )
      mark(
        state,
        cancelled ? 'Cancelled' : delay > 0 ? `+${count(delay)} min` : 'On time',
        unsettled.has(flightStream(flight)),
      )
      item.dataset['state'] = cancelled ? 'cancelled' : delay > 0 ? 'late' : 'fine'
    }
    for (const option of choice.options) {
      const holder = rows.gates.find((row) => row.gate === option.value)?.flight
      if (option.value !== anyFree) say(option, `Gate ${option.value}${holder ? `, ${holder}` : ''}`)
    }
    allow()
  }

  /** Text, and whether the server has the last word on it still to say. */
  function mark(element: HTMLElement, text: string, isUnsettled: boolean): void {
    const key = `${text}|${isUnsettled}`
    if (element.dataset['shown'] === key) return
    element.dataset['shown'] = key
    element.toggleAttribute('data-unsettled', isUnsettled)
    element.replaceChildren(text, ...(isUnsettled ? [h('span', { class: 'hidden' }, ' (not settled)')] : []))
  }

  function allow(): void {
    const flight = chosen()
    const none = flight === undefined ? 'Choose a flight first.' : null
    const cancelled = flight !== undefined && flightRow(flight)?.cancelled ? `${flight} is cancelled.` : null
    const has = flight === undefined ? [] : gatesOf(flight)
    report.allow(none ?? cancelled)
    cancel.allow(none ?? cancelled)
    give.allow(none ?? cancelled ?? (has.length > 0 ? `${flight} has a gate. Free it first.` : null))
    free.allow(none ?? (has.length === 0 ? `${flight} has no gate.` : null))
    say(
      hint,
      flight === undefined
        ? 'Choose a flight to delay or cancel it, or to give it a gate.'
        : 'A ring marks what is not settled: on this device only, until the server has stored it.',
    )
  }

  async function record(what: string, write: (device: Device) => Promise<unknown>): Promise<void> {
    if (device === undefined) return notify('The board is still opening.')
    const about = byId('board')
    try {
      await write(device)
      notify(`${what} Stored on this device.`, 'fine', about)
    } catch (error) {
      notify(`Nothing was stored. ${whyNot(error)}`, 'trouble', about)
    }
  }

  async function reportDelay(): Promise<void> {
    const flight = chosen()
    if (flight === undefined || !form.reportValidity()) return
    const minutes = late.valueAsNumber
    await record(`${flight} leaves ${count(minutes)} minutes later.`, (device) => device.delay(flight, minutes))
  }

  async function cancelFlight(): Promise<void> {
    const flight = chosen()
    if (flight !== undefined) await record(`${flight} is cancelled.`, (device) => device.cancel(flight))
  }

  async function giveGate(): Promise<void> {
    const flight = chosen()
    if (flight === undefined) return
    const gate = choice.value
    if (gate === anyFree) return record(`${flight} gets a gate.`, (device) => device.giveAnyGate(flight))
    const row = rows.gates.find((row) => row.gate === gate)
    if (row?.flight) return notify(`Gate ${gate} is taken by ${row.flight}.`, 'fine', byId('board'))
    await record(`Gate ${gate} goes to ${flight}.`, (device) => device.giveGate(gate, flight, row?.version ?? 0))
  }

  async function freeGates(): Promise<void> {
    const flight = chosen()
    if (flight === undefined) return
    await record(`The gate of ${flight} is free.`, (device) => device.freeGates(gatesOf(flight), flight))
  }

  render()
  return {
    open: (opened: Device) => (device = opened),
    show(next: BoardRows): void {
      rows = next
      render()
    },
    showOutbox(commits: readonly OwnCommit[]): void {
      unsettled = new Set(
        commits
          .filter(({ status }) => status !== 'refused')
          .flatMap(({ events }) => events.map(({ stream }) => stream)),
      )
      render()
    },
  }
}

function whyNot(error: unknown): string {
  if (error instanceof VersionConflictError) return 'The board has moved on in another window. Look again.'
  if (error instanceof CommandRefusedError) return String(error.reason)
  return messageOf(error)
}
