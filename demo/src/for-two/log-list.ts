/** The end of the log: what the server has said, and on top of it what this device did and the server has not stored yet. */
import { liveProjection, type RecordedEvent } from 'tidemark'
import { byId, h } from '../dom.js'
import { watch } from '../live.js'
import { count, counted } from '../numbers.js'
import type { Device, OwnCommit } from './device.js'
import { wordsOf, type BoardEvent } from './flight-board.js'

interface Confirmed {
  readonly count: number
  /** Newest first. */
  readonly latest: readonly RecordedEvent<BoardEvent>[]
}

const shown = 8

/** What the outbox lays over the log is listed by itself. */
const enter = (log: Confirmed, event: RecordedEvent<BoardEvent> & { readonly pending?: boolean }): Confirmed =>
  event.pending ? log : { count: log.count + 1, latest: [event, ...log.latest].slice(0, shown) }

export function mountLogList() {
  const empty = h('p', { class: 'hint' }, 'Nothing has happened yet.')
  const list = h('ol', { class: 'entries' })
  byId('log').append(h('h2', { id: 'log-title' }, 'The log on this device'), empty, list)

  let confirmed: Confirmed = { count: 0, latest: [] }
  let outbox: readonly OwnCommit[] = []

  function render(): void {
    const waiting = outbox
      .filter(({ status }) => status === 'pending' || status === 'accepted')
      .flatMap(({ events, behind }) =>
        (events as readonly BoardEvent[]).map((event) => line(behind === undefined ? 'waits' : 'behind', event, true)),
      )
      .reverse()
    const rest = confirmed.count - confirmed.latest.length
    empty.hidden = waiting.length + confirmed.count > 0
    list.replaceChildren(
      ...waiting,
      ...confirmed.latest.map((event) => line(count(event.position), event, false)),
      ...(rest > 0 ? [h('li', { class: 'earlier' }, `and ${counted(rest, 'earlier one')}`)] : []),
    )
  }

  return {
    async open({ app }: Device): Promise<void> {
      const log = liveProjection(await app.ready(), {
        initial: confirmed,
        on: { GateGiven: enter, GateFreed: enter, FlightDelayed: enter, FlightCancelled: enter },
      })
      watch(log, (snapshot) => {
        if (snapshot.status !== 'ready') return
        confirmed = snapshot.data
        render()
      })
    },
    showOutbox(commits: readonly OwnCommit[]): void {
      outbox = commits
      render()
    },
  }
}

const line = (place: string, event: BoardEvent, isWaiting: boolean) =>
  h('li', { 'data-unsettled': isWaiting }, h('span', { class: 'place' }, place), h('span', {}, wordsOf(event)))
