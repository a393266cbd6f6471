/** A `liveProjection` of a synced store: the log is folded once, and the own events that are not in it over a copy of that. */
import { InvalidArgumentError } from '../../errors.js'
import type { RecordedEvent } from '../../events/event.js'
import { freshCopy } from '../../events/fresh-copy.js'
import { compileFilter } from '../../log/filter.js'
import { RecordsAhead } from '../../log/records-ahead.js'
import { say } from '../../messages.js'
import type { Clock } from '../../platform/clock.js'
import { lookOut } from '../../platform/lookout.js'
import { isRefusedPromise } from '../../platform/promises.js'
import { Slices } from '../../platform/slices.js'
import type { FoldedModel } from '../../reading/laid-over.js'
import type { LiveSource } from '../../reading/live-query.js'
import type { LiveAnswer } from '../../reading/live-snapshot.js'
import type { OutboxCopy } from '../outbox-copy.js'
import { pendingEvents, Versions } from './own-reading.js'
import { planOf } from './plan.js'
import type { OverlayParts } from './rows-overlay.js'

const pageSize = 4096
/** How often the log is read although no hint came, ms. */
const slowPoll = 5_000

/** The log as far as it is folded. */
interface Folded<S> {
  readonly identity: string
  state: S
  position: number
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
  const nothingFolded = (identity: string): Folded<S> => ({ identity, state: freshCopy(model.initial), position: 0 })
  let folded = nothingFolded('')
  const fold = (state: S, event: RecordedEvent): S => {
    const step = Object.hasOwn(model.on, event.type) ? model.on[event.type] : undefined
    if (step === undefined) return state
    const next = step(state, event)
    if (!isRefusedPromise(next)) return next
    throw new InvalidArgumentError(`on.${event.type}`, say`must not return a promise: a fold returns the next state.`)
  }
  /** Folds the rest of the log. Returns false if another evaluation began. */
  const readOn = async (isLatest: () => boolean, progress: () => void): Promise<boolean> => {
    const ahead = new RecordsAhead()
    const mine = folded
    for (;;) {
      await ahead.slices.turn()
      const page = await parts.readPage({ filter: model.filter, after: mine.position, limit: pageSize }, { ahead })
      progress()
      for (const event of page.events) {
        if (!isLatest()) return false
        try {
          mine.state = fold(mine.state, event)
        } catch (error) {
          // It may have changed the state in place before: the log is folded again.
          folded = nothingFolded('')
          throw error
        }
        mine.position = event.position
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
  /** The pending events folded over a copy of the state. */
  const withPending = async (copy: OutboxCopy, isLatest: () => boolean): Promise<LiveAnswer<S> | undefined> => {
    const { identity, cursor } = copy.state
    const slices = new Slices(() => clock.monotonic())
    for (;;) {
      const plan = planOf(copy, { log: identity, position: cursor.at }, filter, undefined)
      await versions.at(plan)
      let state = freshCopy(folded.state)
      for await (const own of pendingEvents(parts, plan.pending, versions))
        for (const { event, error } of own) {
          await slices.turn()
          if (!isLatest()) return undefined
          try {
            if (error === undefined) state = fold(state, event)
          } catch {
            // Left out, as a read model leaves it out.
          }
        }
      // A fold looked at the version of a stream that was not read yet.
      if (!versions.isLacking)
        return { data: state, position: cursor.at, ...(plan.pending.length > 0 && { pending: true as const }) }
    }
  }
  return {
    end,
    async evaluate(progress) {
      const mine = (latest += 1)
      const isLatest = () => mine === latest
      for (;;) {
        // The log first, and then a copy that is as new: what was confirmed in between would count twice.
        const copy = await parts.source.copy({ cursor: folded.position, after: folded.position })
        if (!isLatest()) return undefined
        const { identity, cursor } = copy.state
        // Another log, or one whose tail was taken back.
        if (identity !== folded.identity) folded = nothingFolded(identity)
        if (folded.position === cursor.at) return withPending(copy, isLatest)
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
