/** One round: everybody works, something is killed, and what is found is held against the account. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Account } from './account.js'
import { audit, type Audit, type Violation } from './audit.js'
import type { LedgerPage } from './browser.js'
import { Crew } from './crew.js'
import { collectEvidence, type Evidence } from './evidence.js'
import { limited } from './limit.js'
import type { Moment, PlannedContext, RoundPlan } from './plan.js'
import { databases, type Stage } from './stage.js'
import { enter, leave, recover, retry, type Body, type Unanswered } from './workload.js'

/** When a round's moment does not come, ms. */
const momentLimit = 15_000
const aftermathLimit = 1_500
const crashLimit = 1_000
const recoveryLimit = 90_000

/** Does harm on purpose, at the edge of the harness, to see that the ledger notices. */
export interface Sabotage {
  /** Run in each context before it works; sent as source. */
  readonly contexts?: (context: PlannedContext) => Body | undefined
  /** Run in a page between the end of everybody and the audit; sent as source. */
  readonly databases?: (tidemark: any, arg: typeof databases) => Promise<void>
}

/** What a round came to: a line of the ledger. */
export interface RoundResult {
  readonly how: string
  /** The moment did not come, so the kill came after 15 s. */
  readonly late: boolean
  readonly acknowledged: { readonly batches: number; readonly events: number }
  /** Announced and never answered, by what was found of them. Then they are appended again (H17). */
  readonly unacknowledged: { readonly whole: number; readonly absent: number }
  /** Rejected, by code of the error. */
  readonly refused: Readonly<Record<string, number>>
  /** How turns of the service worker's projection ended, since the profile was made. */
  readonly turns: Readonly<Record<string, number>>
  readonly head: number
  /** As found, before anything was opened. */
  readonly checkpoint: number
  readonly letters: number
  readonly violations: readonly (Violation & { readonly when: 'in the round' | 'as found' | 'after recovery' })[]
  /** Why there is nothing to count: the machinery failed. Never a good round, and never counted as one. */
  readonly unplayed?: string
  /** What was found, where it is wrong. */
  readonly evidence?: {
    readonly found: Evidence
    readonly recovered: Evidence
    readonly told: Pick<Account, 'acknowledged' | 'contradictions'> & { readonly refused: readonly unknown[] }
  }
}

export async function playRound(stage: Stage, plan: RoundPlan, sabotage: Sabotage = {}): Promise<RoundResult> {
  const { account } = stage
  const before = account.contradictions.length
  await stage.ensurePages(plan.pages)
  const { crew, how, late } = await workUntilKilled(stage, plan, sabotage)
  const stuck = await endRound(stage, plan, crew)

  const page = stage.pages[0] ?? (await stage.openPage())
  if (sabotage.databases !== undefined) await page.run('page', sabotage.databases, databases)
  const found = await examine(page, account)
  const unanswered = account.unansweredOf(plan.round).map((each) => ({ ...each, whole: found.batches.has(each.batch) }))
  for (const { batch, whole } of unanswered) account.repeated.set(batch, whole)
  const counts = accountOf(account, plan.round, unanswered)
  const problems = await goOn(stage, page, plan, unanswered)
  const recovered = await examine(page, account)

  const violations: RoundResult['violations'][number][] = [
    ...stuck.map((detail) => ({ when: 'in the round', kind: 'stuck', detail }) as const),
    ...account.contradictions.slice(before).map(
      ({ invariant, detail }) =>
        ({
          when: 'in the round',
          kind: invariant === 'I8' ? 'uncaught' : 'contradiction',
          detail: `${invariant}: ${detail}`,
        }) as const,
    ),
    ...found.violations.map((violation) => ({ when: 'as found', ...violation }) as const),
    ...recovered.violations.map((violation) => ({ when: 'after recovery', ...violation }) as const),
    ...problems.map((detail) => ({ when: 'after recovery', kind: 'contradiction', detail }) as const),
  ]
  const { model } = found.evidence
  const { acknowledged, contradictions } = account
  return {
    how,
    late,
    ...counts,
    turns: Object.fromEntries(account.turns),
    head: found.head,
    checkpoint: model?.shown.checkpoint ?? 0,
    letters: model?.shown.letters.length ?? 0,
    violations,
    ...(violations.length === 0
      ? {}
      : {
          evidence: {
            found: found.evidence,
            recovered: recovered.evidence,
            told: { acknowledged, contradictions, refused: [...account.refused] },
          },
        }),
  }
}

async function workUntilKilled(stage: Stage, plan: RoundPlan, { contexts }: Sabotage) {
  const { browser, pages } = stage
  // Prepared before anybody works: the kill itself must not wait for anything.
  const prepared =
    plan.kill === 'process tree'
      ? { how: 'SIGKILL of the process group', kill: await browser.killTree() }
      : plan.kill === 'renderer'
        ? await browser.killRenderer(pages.slice(0, plan.pages), plan.victim)
        : plan.kill === 'service worker'
          ? await browser.stopServiceWorker(pages[1] as LedgerPage)
          : undefined
  const crew = new Crew(stage, plan, contexts)
  const { how, kill } = prepared ?? crew.killWorker()
  const act = () => {
    kill()
    if (plan.kill === 'service worker') crew.serviceWorkerStopped()
  }
  return { crew, how, late: await atMoment(stage.account, plan.moment, act) }
}

/** Acts in the very call that takes the acknowledgement down, if there is no delay. Answers whether the moment did not come in time. */
async function atMoment(account: Account, moment: Moment, act: () => void): Promise<boolean> {
  let forget = () => {}
  const reached = new Promise<void>((resolve) => {
    const now = () => {
      act()
      resolve()
    }
    const later = () => void (moment.delay === 0 ? now() : setTimeout(now, moment.delay))
    if (moment.after === 'start') later()
    else forget = account.onAcknowledged(moment.count, later)
  })
  const late = (await limited(reached, momentLimit)).state === 'late'
  forget()
  if (late) act()
  return late
}

/** Lets the survivors go on for a while and ends them. Answers what did not end. */
async function endRound(stage: Stage, plan: RoundPlan, crew: Crew): Promise<string[]> {
  if (plan.kill === 'process tree') {
    const ended = await limited(stage.browser.gone, recoveryLimit)
    if (ended.state !== 'done') throw new Error('The browser did not end')
    await stage.restart()
    return []
  }
  if (plan.kill === 'renderer') await limited(Promise.race(stage.pages.map(({ crashed }) => crashed)), crashLimit)
  if (stage.pages.some((page) => !stage.isDead(page)) && plan.aftermath > 0) {
    const more = new Promise<void>((resolve) => void stage.account.onAcknowledged(plan.aftermath, resolve))
    await limited(more, aftermathLimit)
  }
  return crew.leave()
}

/** Opens everything again, appends again what nobody answered for, and goes on to the head. Answers what went wrong. */
async function goOn(
  stage: Stage,
  page: LedgerPage,
  { round }: RoundPlan,
  unanswered: readonly Unanswered[],
): Promise<string[]> {
  const entering = {
    store: 'ledger',
    durability: 'strict',
    receiver: stage.receiver.url,
    profile: stage.profile,
    round,
    context: 'recovery',
  } as const
  const recovery = await limited(
    (async () => {
      await page.run('page', enter, entering)
      await page.run('page', retry, unanswered)
      const problems = await page.run('page', recover, undefined)
      await page.run('page', leave, undefined)
      return problems
    })(),
    recoveryLimit,
  )
  if (recovery.state === 'done') return [...recovery.value]
  return [
    recovery.state === 'late'
      ? `the recovery took longer than ${recoveryLimit} ms`
      : `the recovery failed: ${String(recovery.error)}`,
  ]
}

async function examine(page: LedgerPage, account: Account): Promise<Audit & { readonly evidence: Evidence }> {
  // What was said in the last moment before a kill may still lie in the driver's own socket.
  await sleep(20)
  const evidence = await page.run('page', collectEvidence, databases)
  return { ...audit(evidence, account), evidence }
}

function accountOf(
  account: Account,
  round: number,
  unanswered: readonly Unanswered[],
): Pick<RoundResult, 'acknowledged' | 'unacknowledged' | 'refused'> {
  const acknowledged = account.acknowledged.filter((each) => each.round === round)
  const whole = unanswered.filter((each) => each.whole).length
  const refused: Record<string, number> = {}
  for (const each of account.refused.values())
    if (each.round === round) refused[each.code] = (refused[each.code] ?? 0) + 1
  return {
    acknowledged: { batches: acknowledged.length, events: acknowledged.reduce((sum, { ids }) => sum + ids.length, 0) },
    unacknowledged: { whole, absent: unanswered.length - whole },
    refused,
  }
}
