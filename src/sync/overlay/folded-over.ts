/** A `liveProjection` of a synced store: the log is folded once, and the own events that are not in it over a copy of that. */
import { freshCopy } from '../../events/fresh-copy.js'
import { compileFilter } from '../../log/filter.js'
import { RecordsAhead } from '../../log/records-ahead.js'
import type { Clock } from '../../platform/clock.js'
import { lookOut } from '../../platform/lookout.js'
import { Slices } from '../../platform/slices.js'
import { Folding, nextState } from '../../events/folding.js'
import type { FoldedModel } from '../../reading/laid-over.js'
import type { LiveSource } from '../../reading/live-query.js'
import type { LiveAnswer } from '../../reading/live-snapshot.js'
import type { OutboxCopy } from '../outbox-copy.js'
import { pendingEvents, Versions, type PendingPlace } from './own-reading.js'
import { planOf } from './plan.js'
import type { OverlayParts } from './rows-overlay.js'

const pageSize = 4096
/** How often the log is read although no hint came, ms. */
const slowPoll = 5_000

interface Folded<S> {
  /** Of the log. */
  readonly identity: string
  /** The log as far as it is folded … */
  readonly log: Folding<S>
  /** … and pending events over a copy of that: the next ones may change the state in place. */
  laid?: { readonly pending: readonly PendingPlace[]; readonly state: S } | undefined
}

export function foldedOver<S>(
  parts: OverlayParts,
  model: FoldedModel<S>,
  clock: Clock,
  end: () => unknown,
): LiveSource<S> {
  const filter = compileFilter(model.filter)
  /** Counts evaluations: one that was given up must not fold in parallel with the next. */
  let latest = 0
  const nothingFolded = (identity: string): Folded<S> => ({ identity, log: new Folding(model.on, model.initial) })
  let folded = nothingFolded('')
  /** Folds the rest of the log. Returns false if another evaluation began. */
  const readOn = async (isLatest: () => boolean, progress: () => void): Promise<boolean> => {
    const ahead = new RecordsAhead()
    const mine = folded.log
    folded.laid = undefined
    for (;;) {
      await ahead.slices.turn()
      const page = await parts.readPage({ filter: model.filter, after: mine.position, limit: pageSize }, { ahead })
      progress()
      for (const event of page.events) {
        if (!isLatest()) return false
        mine.fold(event)
        if (ahead.slices.isOver) {
          progress()
          await ahead.slices.turn()
        }
      }
      if (!isLatest()) return false
      mine.position = Math.max(mine.position, page.scannedTo)
      if (mine.position >= page.head) return true
    }
  }
  const versions = new Versions(parts)
  /** Own events for which the fold threw: it may have changed the state before, so a copy is made for each of them. */
  const failed = new Set<string>()
  /** The pending events folded over a copy of the state, or the new ones over what the others made of that. */
  const withPending = async (copy: OutboxCopy, isLatest: () => boolean): Promise<LiveAnswer<S> | undefined> => {
    const { identity, cursor } = copy.state
    const slices = new Slices(() => clock.monotonic())
    for (;;) {
      const plan = planOf(copy, { log: identity, position: cursor.at }, filter, undefined)
      await versions.at(plan)
      if (!isLatest()) return undefined
      const { pending } = plan
      const before = folded.laid
      const last =
        before?.pending.every(({ text }, at) => text.id === pending[at]?.text.id) === true ? before : undefined
      // Its state is changed from now on, and kept only once all of it succeeded.
      folded.laid = undefined
      let state = last === undefined ? freshCopy(folded.log.state) : last.state
      let isSpoilt = false
      for await (const own of pendingEvents(parts, pending.slice(last?.pending.length ?? 0), versions))
        for (const { event, error } of own) {
          await slices.turn()
          if (!isLatest()) return undefined
          const isKnown = failed.has(event.id)
          const before = isKnown ? freshCopy(state) : state
          try {
            if (error === undefined) state = nextState(model.on, state, event)
          } catch {
            // Left out, as a read model leaves it out, with what it changed in place.
            state = before
            isSpoilt ||= !isKnown
            failed.add(event.id)
          }
        }
      // Or a fold looked at the version of a stream that was not read yet.
      if (isSpoilt || versions.isLacking) continue
      if (!isLatest()) return undefined
      const answer = { data: state, position: cursor.at }
      if (pending.length === 0) return answer
      folded.laid = { pending, state }
      return { ...answer, data: freshCopy(state), pending: true }
    }
  }
  return {
    end,
    async evaluate(progress) {
      const mine = (latest += 1)
      const isLatest = () => mine === latest
      for (;;) {
        // The log first, and then a copy that is as new: what was confirmed in between would count twice.
        const copy = await parts.source.copy({ cursor: folded.log.position, after: folded.log.position })
        if (!isLatest()) return undefined
        const { identity, cursor } = copy.state
        // Another log, or one whose tail was taken back.
        if (identity !== folded.identity) folded = nothingFolded(identity)
        if (folded.log.position === cursor.at) return withPending(copy, isLatest)
        if (!(await readOn(isLatest, progress))) return undefined
      }
    },
    watch(changed, ended) {
      const stops = [parts.source.subscribe(changed), lookOut(clock, slowPoll, changed), parts.signals.listen(ended)]
      return () => {
        for (const stop of stops) stop()
      }
    },
  }
}
