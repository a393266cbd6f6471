/** Rows and pages for tests of the rules and of the machine, short to write. */
import type { EventText } from '../../src/log/record/record-text.js'
import { firstState } from '../../src/sync/change-rules.js'
import type { AnsweredBy, PulledPage } from '../../src/sync/sync-effects.js'
import type { Cursor, OutboxRow, SyncSnapshot, SyncState } from '../../src/sync/sync-state.js'

export const by: AnsweredBy = { log: 'log', epoch: 'e1', author: 'anna' }

export const text = (id: string, stream = 's', more: Partial<EventText> = {}): EventText => ({
  type: 'Done',
  stream,
  id,
  idGiven: true,
  time: 1,
  schema: 1,
  data: JSON.stringify(id),
  meta: undefined,
  ...more,
})

/** A commit of one event, which has the name of the commit as its id. */
export const row = (n: number, name: string, more: Partial<OutboxRow> = {}): OutboxRow => ({
  n,
  name,
  time: 1,
  events: [text(name)],
  expect: [],
  ...more,
})

export const chain = (at: number): string => (at === 0 ? '0'.repeat(32) : `chain-${at}`)
export const cursor = (at: number): Cursor => ({ at, chain: chain(at) })

/** A store that is at a position of the log, and pulled there under this epoch. */
export function snapshot(at: number, outbox: readonly OutboxRow[] = [], more: Partial<SyncState> = {}): SyncSnapshot {
  const state = { ...firstState('first'), remote: by, isFresh: true, cursor: cursor(at), head: at }
  return { state: { ...state, ...more }, outbox }
}

/** Events behind a position, each a commit. */
export function page(after: number, events: readonly EventText[], more: Partial<PulledPage> = {}): PulledPage {
  const at = after + events.length
  return {
    kind: 'page',
    by,
    after: cursor(after),
    cursor: cursor(at),
    head: at,
    events: { at: after + 1, events, versions: events.map(() => 1), starts: new Set(events.keys()) },
    ...more,
  }
}
