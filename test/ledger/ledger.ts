/** Rounds over an engine, a new profile now and then, and a line for each. */
import { seedFor } from '../../src/testing/random.js'
import type { LedgerEngine } from './browser.js'
import { limited } from './limit.js'
import { planRound, type Kill, type Moment, type RoundPlan } from './plan.js'
import { playRound, type RoundResult } from './round.js'
import { Stage } from './stage.js'

/** Rounds that share a profile, so that its history grows. */
const roundsPerProfile = 15
/** Of a whole round, ms. */
const roundLimit = 300_000

/** How often a browser is started before its engine counts as one that does not run here. */
const startTries = 3

export interface LedgerOptions {
  readonly engine: LedgerEngine
  /** A page of the harness. */
  readonly url: string
  readonly seed: number
  readonly rounds: number
  /** No round begins once it is aborted. */
  readonly signal: AbortSignal
  /** Called with each line as it is made. */
  readonly record: (line: LedgerLine, evidence: RoundResult['evidence']) => void
}

/** A line of the ledger. */
export type LedgerLine = Omit<RoundResult, 'evidence'> & {
  readonly engine: string
  readonly version: string
  readonly seed: number
  readonly profile: number
  readonly round: number
  readonly kill: Kill
  readonly moment: Moment
  readonly contexts: readonly string[]
  readonly ms: number
}

/** An engine that was asked for, and was not run, or not to its end. */
export interface NotRun {
  readonly engine: string
  readonly reason: string
  /** It is here, and broke. */
  readonly failed: boolean
}

/**
 * Plays the rounds of several engines, side by side: while one waits for its kill another may have the processor. Returns the engines that
 * were not run, each with the reason, so that none is left out of the table without a word. `whyMissing` tells what an engine lacks here.
 */
export async function keepLedgers(
  engines: readonly LedgerEngine[],
  whyMissing: (engine: string) => string | undefined,
  options: Omit<LedgerOptions, 'engine'>,
): Promise<NotRun[]> {
  const results = await Promise.all(
    engines.map(async (engine): Promise<NotRun[]> => {
      const not = (reason: string, failed: boolean): NotRun[] => [{ engine: engine.name, reason, failed }]
      const missing = whyMissing(engine.name)
      if (missing !== undefined) return not(missing, false)
      let rounds = 0
      const record: LedgerOptions['record'] = (line, evidence) => {
        rounds += 1
        options.record(line, evidence)
      }
      try {
        await keepLedger({ ...options, engine, record })
        return rounds === 0 ? not('it was told to end before its first round', false) : []
      } catch (error) {
        return not(error instanceof Error ? error.message : String(error), true)
      }
    }),
  )
  return results.flat()
}

/** Plays the rounds one after another. The same seed plans the same rounds; what the engine makes of the time between is its own. */
async function keepLedger(options: LedgerOptions): Promise<void> {
  const { engine, url, rounds, signal } = options
  let left = rounds
  for (let profile = 0; left > 0 && !signal.aborted; profile += 1) {
    const stage = await openStage(engine, url)
    try {
      left -= await playProfile(options, stage, profile, Math.min(left, roundsPerProfile))
    } finally {
      await stage.close()
    }
  }
}

async function openStage(engine: LedgerEngine, url: string): Promise<Stage> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await Stage.open(engine, url)
    } catch (cause) {
      if (tries === startTries)
        throw new Error(`it did not start, ${tries} times: ${cause instanceof Error ? cause.message : String(cause)}`, {
          cause,
        })
    }
  }
}

/** Answers how many rounds it was. */
async function playProfile(
  { engine, url, seed, signal, record }: LedgerOptions,
  stage: Stage,
  profile: number,
  rounds: number,
): Promise<number> {
  let round = 0
  for (; round < rounds && !signal.aborted; round += 1) {
    const plan = planRound(seedFor(seed, `${engine.name} ${profile}`), round, engine.kills)
    const { kill, moment } = plan
    const began = performance.now()
    const played = await limited(playRound(stage, plan), roundLimit)
    const { evidence, ...result } =
      played.state === 'done'
        ? played.value
        : unplayed(played.state === 'failed' ? played.error : `longer than ${roundLimit} ms`)
    const ms = Math.round(performance.now() - began)
    record(
      {
        engine: engine.name,
        version: stage.browser.version,
        seed,
        profile,
        round,
        kill,
        moment,
        contexts: contextsOf(plan),
        ...result,
        ms,
      },
      evidence,
    )
    // What such a browser is up to nobody knows; and damage once done would be found again in every later round.
    if (played.state !== 'done' || result.violations.length > 0) return round + 1
  }
  await engine.assertStorage(stage.profile, url)
  return round
}

function contextsOf({ contexts }: RoundPlan): string[] {
  return contexts.map(({ page, realm, projects, reads, batches }) => {
    const roles = [batches.length > 0 && 'appends', projects && 'projects', reads && 'reads']
    return `${page}/${realm}: ${roles.filter(Boolean).join(', ')}`
  })
}

function unplayed(reason: unknown): RoundResult {
  return {
    how: '',
    late: false,
    acknowledged: { batches: 0, events: 0 },
    unacknowledged: { whole: 0, absent: 0 },
    refused: {},
    turns: {},
    head: 0,
    checkpoint: 0,
    letters: 0,
    violations: [],
    unplayed: reason instanceof Error ? (reason.stack ?? reason.message) : String(reason),
  }
}
