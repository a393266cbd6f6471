/** Rounds of sync over an engine, a new profile now and then, and a line for each. */
import { seedFor } from '../../src/testing/random.js'
import type { LedgerEngine } from '../ledger/browser.js'
import { limited } from '../ledger/limit.js'
import type { FaultKind } from './fault-proxy.js'
import type { ServerKind, ServerOptions } from './ledger-server.js'
import { planSyncRound, type SyncRoundPlan } from './sync-plan.js'
import { playSyncRound, type SyncRoundResult } from './sync-round.js'
import { SyncStage } from './sync-stage.js'

const roundsPerProfile = 50
const roundLimit = 180_000
/** Pages that are open at a time. */
const pages = 4

export interface SyncLedgerOptions extends ServerOptions {
  readonly engine: LedgerEngine
  readonly url: string
  readonly seed: number
  readonly rounds: number
  readonly signal: AbortSignal
  readonly server: ServerKind
  /** Happens to every third request. */
  readonly fault?: FaultKind | undefined
  readonly record: (line: SyncLine, evidence: unknown) => void
}

/** A line of the ledger. */
export type SyncLine = Partial<Omit<SyncRoundResult, 'evidence'>> & {
  readonly engine: string
  readonly server: ServerKind
  readonly version: string
  readonly seed: number
  readonly round: number
  readonly planned: string
  readonly violations: SyncRoundResult['violations']
  readonly ms: number
  /** Why it could not be played. */
  readonly unplayed?: string
}

/** Plays the rounds one after another. The same seed plans the same rounds; what happens between is the engine's own. */
export async function keepSyncLedger(options: SyncLedgerOptions): Promise<void> {
  const { engine, url, rounds, seed, signal, server, record } = options
  let stage: SyncStage | undefined
  try {
    for (let round = 0; round < rounds && !signal.aborted; round += 1) {
      stage ??= await SyncStage.open(engine, url, options)
      const roundSeed = seedFor(seed, `${engine.name} ${round}`)
      const plan = planSyncRound(roundSeed, { kills: engine.kills, pages, fault: options.fault })
      const began = performance.now()
      const played = await limited(playSyncRound(stage, plan, `r${seed}-${round}`), roundLimit)
      const ms = Math.round(performance.now() - began)
      const about = {
        engine: engine.name,
        server,
        version: stage.browser.version,
        seed,
        round,
        planned: describePlan(plan),
        ms,
      }
      if (played.state === 'done') {
        const { evidence, ...result } = played.value
        record({ ...about, ...result }, evidence)
      } else record({ ...about, violations: [], unplayed: reasonOf(played) }, undefined)
      if (played.state !== 'done' || stage.isWorn || (round + 1) % roundsPerProfile === 0) {
        await stage.close()
        stage = undefined
      }
    }
  } finally {
    await stage?.close()
  }
}

function reasonOf(played: { state: 'late' } | { state: 'failed'; error: unknown }): string {
  if (played.state === 'late') return `longer than ${roundLimit} ms`
  return played.error instanceof Error ? (played.error.stack ?? played.error.message) : String(played.error)
}

function describePlan({ devices, server, kill }: SyncRoundPlan): string {
  const parts = [
    `${devices.length} devices`,
    `${devices.reduce((sum, { tabs }) => sum + tabs.length, 0)} tabs`,
    server.killAt && `server killed ${server.killAt.when} commit ${server.killAt.commit}`,
    server.killed !== undefined && 'server killed',
    server.restoreAt !== undefined && 'server restored',
    kill && `${kill.kill} killed`,
  ]
  return parts.filter(Boolean).join(', ')
}
