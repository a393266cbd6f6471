/** Appends of a synced store: each is decided on what this device knows, and goes to the outbox. */
import type { AppendOptions, AppendResult, Durability } from '../log/event-store.js'
import { decidedOn } from '../log/decided-on.js'
import type { Codec } from '../log/encode.js'
import type { PreparedAppend } from '../log/prepared-append.js'
import type { EventText } from '../log/record/record-text.js'
import { wallTime, type Clock } from '../platform/clock.js'
import { decideOwn, type OwnVerdict } from './decide-own.js'
import type { CommandRow } from './define-commands.js'
import type { ConfirmedFacts } from './device-storage.js'
import { assertFits } from './limits.js'
import type { OutboxCopy } from './outbox-copy.js'
import type { OutboxKeeper } from './outbox-keeper.js'
import type { OwnCommits } from './own-commits.js'

export interface OwnAppendsOptions {
  readonly keeper: OutboxKeeper
  readonly own: OwnCommits
  readonly codec: Codec | undefined
  readonly durability: Durability
  readonly clock: Clock
  /** What is kept of a command that was made by name. */
  commandRow(command: object | undefined): Promise<CommandRow | undefined>
}

export function ownAppends({ keeper, own, codec, durability, clock, commandRow }: OwnAppendsOptions) {
  /** What the last look at the log found; true as long as the turn is the same. */
  let kept: ConfirmedFacts | undefined
  let heldUntil: (() => Promise<unknown>) | undefined

  /** What the append needs of the log, as it is in the turn of the snapshot; nothing if that is over. */
  async function factsAt({ state }: OutboxCopy, prepared: PreparedAppend): Promise<ConfirmedFacts | undefined> {
    const before = kept?.turn === state.turn ? kept : undefined
    if (before !== undefined && isEnough(before, prepared)) return before
    const facts = await keeper.facts(prepared)
    if (facts.turn !== state.turn) return undefined
    kept = {
      ...facts,
      known: new Map(),
      match: undefined,
      ids: facts.ids.with(before?.ids),
      ends: new Map([...(before?.ends ?? []), ...facts.ends]),
      looked: new Set([...(before?.looked ?? []), ...prepared.expected.keys()]),
    }
    return facts
  }

  /** The result of an append that adds nothing. */
  async function known(
    verdict: Exclude<OwnVerdict, { kind: 'row' }>,
    { events }: PreparedAppend,
  ): Promise<AppendResult> {
    const { result } = verdict
    const commit =
      verdict.kind === 'known'
        ? own.of(verdict.row)
        : result.duplicate
          ? await own.find((events[0] as EventText).id)
          : undefined
    return { ...result, ...(commit !== undefined && { commit }) } as AppendResult
  }

  return {
    /** Appends wait for this from now on. */
    holdAppends(until: () => Promise<unknown>): void {
      heldUntil = until
    },

    async append(prepared: PreparedAppend, options: AppendOptions): Promise<AppendResult> {
      assertFits(prepared)
      await heldUntil?.()
      const decided = decidedOn.get(options)
      const command = await commandRow(decided?.command)
      const time = wallTime(clock)
      // Only a fresh copy may refuse an append: with an older one it is tried again.
      let isFresh = keeper.current === undefined
      let snapshot = keeper.current ?? (await keeper.fresh())
      for (;;) {
        let verdict: OwnVerdict | undefined
        try {
          const facts = await factsAt(snapshot, prepared)
          if (facts !== undefined)
            verdict = decideOwn(prepared, {
              snapshot,
              index: keeper.indexOf(snapshot),
              facts,
              isPlain: codec === undefined,
              last: decided?.last,
              command,
              // Of a copy: see `ownCondition`.
              filter: options.condition?.failIfEventsMatch,
              time,
            })
        } catch (error) {
          if (isFresh) throw error
        }
        if (verdict?.kind === 'row') {
          const { row, result } = verdict
          if ((await keeper.append(row, snapshot.state, options.durability ?? durability)) === 'stored')
            return { ...result, commit: own.of(row) } as AppendResult
        } else if (verdict !== undefined && isFresh) return known(verdict, prepared)
        snapshot = await keeper.fresh()
        isFresh = true
      }
    },
  }
}

/** Whether an append can be decided without another look at the log. */
function isEnough({ ids, looked }: ConfirmedFacts, { expected, events, condition }: PreparedAppend): boolean {
  if (condition !== undefined) return false
  for (const stream of expected.keys()) if (looked?.has(stream) !== true) return false
  return events.every(({ id, idGiven }) => !idGiven || ids.isNew(id))
}
