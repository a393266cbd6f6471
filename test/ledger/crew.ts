/** The contexts of one round, at work. */
import type { LedgerPage } from './browser.js'
import { limited } from './limit.js'
import type { PlannedContext, RoundPlan } from './plan.js'
import type { Stage } from './stage.js'
import { enter, entered, leave, project, projectTurn, read, write, type Body } from './workload.js'

/** Many times what the slowest takes on a busy machine, ms. */
const leaveLimit = 90_000
const turnLimit = 30_000
const turnEndLimit = 2_000
const pingLimit = 2_000
/** Batches that a service worker appends in one turn. */
const turnBatches = 6

export class Crew {
  readonly #stage: Stage
  readonly #plan: RoundPlan
  readonly #pages: readonly LedgerPage[]
  /** By context; what is killed meanwhile may never settle. */
  readonly #starting = new Map<PlannedContext, Promise<unknown>>()
  readonly #turns: Promise<void>[] = []
  #abandonTurn: (() => void) | undefined
  #stopping = false
  #terminated: string | undefined

  /** Sends everybody to work. `prepare` names what a context runs before, as source. */
  constructor(stage: Stage, plan: RoundPlan, prepare?: (context: PlannedContext) => Body | undefined) {
    this.#stage = stage
    this.#plan = plan
    this.#pages = stage.pages.slice(0, plan.pages)
    for (const context of plan.contexts) {
      if (context.realm === 'service') this.#turns.push(this.#service(context))
      else
        this.#starting.set(
          context,
          this.#start(context, prepare?.(context)).catch(() => {}),
        )
    }
  }

  /** Ends what is still there. Answers what did not end. */
  async leave(): Promise<string[]> {
    this.#stopping = true
    const stuck: string[] = []
    const unwell = new Set<LedgerPage>()
    await Promise.all(
      this.#plan.contexts.map(async (context) => {
        const { realm } = context
        const page = this.#pageOf(context)
        if (this.#stage.isDead(page) || realm === this.#terminated) return
        if (!(await this.#stillThere(context))) {
          if (realm === 'shared') return this.#stage.sharedWorkerDied()
          // Of a service worker whose process went while it was installed the page that registered it hears nothing more (WebKit).
          unwell.add(page)
          return
        }
        const end = await limited(
          (async () => {
            await this.#starting.get(context)
            await this.#runner(context)(leave, undefined)
            if (realm.startsWith('dedicated')) await page.terminate(realm)
          })(),
          leaveLimit,
        )
        if (end.state === 'done' || this.#stage.isDead(page)) return
        unwell.add(page)
        if (realm === 'service' && !(await this.#isEntered(context))) return
        stuck.push(
          `${realm} of page ${context.page} did not leave: ${end.state === 'late' ? `${leaveLimit} ms` : String(end.error)}`,
        )
      }),
    )
    // A turn that was cut off with its worker is never answered.
    await limited(Promise.all(this.#turns), turnEndLimit)
    await this.#stage.dropPages(unwell)
    return stuck
  }

  /** Whether a service worker has a store open. One that the browser stopped, or cannot start, has nothing to leave, and the question may be lost with it. */
  async #isEntered(context: PlannedContext): Promise<boolean> {
    const answer = await limited(this.#runner(context)(entered, undefined), pingLimit)
    return answer.state === 'done' && answer.value
  }

  /** The dedicated worker that a kill of that kind is meant for; prepares its end. */
  killWorker(): { readonly how: string; readonly kill: () => void } {
    const workers = this.#plan.contexts.filter(({ realm }) => realm.startsWith('dedicated'))
    const victim = workers[this.#plan.victim % workers.length]
    if (victim === undefined) throw new Error('The round has no dedicated worker')
    return {
      how: `terminate() of ${victim.realm}`,
      kill: () => {
        this.#terminated = victim.realm
        void limited(this.#pageOf(victim).terminate(victim.realm), leaveLimit)
      },
    }
  }

  /** Nobody is left to answer for the turn under way: the next one starts the worker anew. */
  serviceWorkerStopped(): void {
    this.#abandonTurn?.()
  }

  async #start(context: PlannedContext, prepare: Body | undefined): Promise<void> {
    const run = this.#runner(context)
    await run(enter, this.#entering(context))
    if (prepare !== undefined) await run(prepare, undefined)
    if (context.projects) await run(project, { rebuild: this.#plan.rebuild })
    if (context.reads) await run(read, undefined)
    await run(write, { batches: context.batches, way: 'loop' })
  }

  #pageOf({ page }: PlannedContext): LedgerPage {
    return this.#pages[page] as LedgerPage
  }

  #runner(context: PlannedContext) {
    const page = this.#pageOf(context)
    const realm = this.#stage.realmOf(context.realm)
    return <Result, Arg>(
      body: (tidemark: any, arg: Arg, state: Record<string, any>) => Result | Promise<Result>,
      arg: Arg,
    ): Promise<Result> => page.run(realm, body, arg)
  }

  #entering({ realm, page, durability }: PlannedContext) {
    const { receiver, profile } = this.#stage
    return {
      store: 'ledger',
      durability,
      receiver: receiver.url,
      profile,
      round: this.#plan.round,
      context: `${page}/${realm}`,
    }
  }

  /** A service worker lives from event to event: it is sent one turn after another, and may lose its memory in between. */
  async #service(context: PlannedContext): Promise<void> {
    const run = this.#runner(context)
    for (let turn = 0; turn * turnBatches < context.batches.length && !this.#stopping; turn += 1) {
      const abandoned = new Promise<void>((resolve) => (this.#abandonTurn = resolve))
      const work = async () => {
        if (!(await run(entered, undefined))) await run(enter, this.#entering(context))
        await run(write, { batches: context.batches.slice(turn * turnBatches, (turn + 1) * turnBatches), way: 'turn' })
        await run(projectTurn, { budget: this.#plan.budget })
      }
      await limited(Promise.race([work(), abandoned]), turnLimit)
      if (this.#stage.isDead(this.#pageOf(context))) return
    }
  }

  /** Whether a worker that may have gone with a renderer answers at all: a page does not learn of that. */
  async #stillThere(context: PlannedContext): Promise<boolean> {
    if (this.#plan.kill !== 'renderer' || !['shared', 'service'].includes(context.realm)) return true
    return (await limited(this.#runner(context)(entered, undefined), pingLimit)).state === 'done'
  }
}
