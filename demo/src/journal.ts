/** The user's own events, as the log has them: a fold over the log that this tab keeps in memory, without any storage. */
import { liveProjection, type RecordedEvent } from 'tidemark'
import { byId, h } from './dom.js'
import type { FlightEvent, Store } from './flights.js'
import { watch } from './live.js'
import { count, counted } from './numbers.js'

interface Journal {
  readonly count: number
  /** Newest first. */
  readonly latest: readonly RecordedEvent<FlightEvent>[]
}

const shown = 6

const enter = ({ count, latest }: Journal, event: RecordedEvent<FlightEvent>): Journal => ({
  count: count + 1,
  latest: [event, ...latest].slice(0, shown),
})

function words(event: RecordedEvent<FlightEvent>): string {
  switch (event.type) {
    case 'DelayReported':
      return `${event.data.flight}, ${counted(event.data.minutes, 'minute')} late`
    case 'FlightCancelled':
      return `${event.data.flight} cancelled`
    case 'GateAssigned':
      return `${event.data.gate} to ${event.data.flight}`
    case 'FlightLanded':
      return `landed at ${event.data.destination ?? 'an unknown place'}`
  }
}

export function mountJournal(store: Store): void {
  const journal = liveProjection(store, {
    initial: { count: 0, latest: [] } as Journal,
    on: { DelayReported: enter, FlightCancelled: enter, GateAssigned: enter },
  })
  const list = h('ol', { class: 'entries' })
  const section = h('div', { class: 'journal', hidden: true }, h('h3', {}, 'Your events in the log'), list)
  byId('desk').append(section)

  watch(journal, (snapshot) => {
    if (snapshot.status !== 'ready') return
    const { count: total, latest } = snapshot.data
    section.hidden = total === 0
    list.replaceChildren(
      ...latest.map((event) =>
        h(
          'li',
          {},
          h('span', { class: 'place' }, count(event.position)),
          h('span', {}, words(event)),
          h('span', { class: 'stream' }, `${event.stream} ${event.version}`),
        ),
      ),
      ...(total > latest.length
        ? [h('li', { class: 'earlier' }, `and ${counted(total - latest.length, 'earlier one')}`)]
        : []),
    )
  })
}
