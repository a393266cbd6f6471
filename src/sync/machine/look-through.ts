/** Conditions of commits that were decided long ago: the server looks back only so far, and this device has the log. */
import { compileFilter } from '../../log/filter.js'
import { conditionReach } from '../../wire/protocol.js'
import { lookedThrough, type LookedThrough } from '../rules/looked-through.js'
import { ask, type SyncSteps } from '../sync-effects.js'
import type { OutboxRow } from '../sync-state.js'
import { again, isStorageFailure, type Session } from './session.js'
import { storageTrouble, type Trouble } from './trouble.js'

/** Half of what a server looks through: its log grows meanwhile. */
const mostLeft = conditionReach / 2
const pageSize = 1000

/** `'done'`: the outbox changed, look at it again. */
export function* lookThrough(session: Session, rows: readonly OutboxRow[]): SyncSteps<Trouble | 'done' | undefined> {
  const upTo = session.at.state.cursor.at
  const row = rows.find(({ condition }) => condition !== undefined && upTo - condition.at > mostLeft)
  if (row === undefined) return undefined
  const found = yield* look(row, upTo)
  if ('status' in found) return found
  const ended = yield* session.storeOnce((snapshot) => lookedThrough(snapshot, row, found))
  return ended === undefined || ended === again ? 'done' : ended
}

function* look({ condition }: OutboxRow, upTo: number): SyncSteps<LookedThrough | Trouble> {
  const { failIfEventsMatch, except, at } = condition as NonNullable<OutboxRow['condition']>
  const filter = compileFilter(failIfEventsMatch)
  const own = new Set(except)
  let last: { readonly after: string; readonly at: number } = { after: '', at }
  while (last.at < upTo) {
    const reply = yield* ask({ kind: 'confirmed', after: last.at, limit: pageSize })
    if (isStorageFailure(reply)) return storageTrouble(reply)
    for (const event of reply.events) {
      if (filter.matches(event) && !own.has(event.id)) return { match: event.position }
      last = { after: event.id, at: event.position }
    }
    if (reply.events.length === 0) break
  }
  return last
}
