/** A context that syncs: the real machine, stepped by the schedule. A zombie is one that is stepped late. */
import { syncMachine, type MachineOptions } from '../../../src/sync/machine/sync-machine.js'
import type { DecisionReply, SyncEffect, SyncReplies, Woken } from '../../../src/sync/sync-effects.js'
import type { OutboxRow, SyncSnapshot } from '../../../src/sync/sync-state.js'
import { codeOf } from './book.js'
import type { SyncReport } from '../../../src/sync/sync-status.js'
import type { Changed, SyncStorage } from '../../../src/sync/sync-storage.js'
import type { Reply, Request } from './service.js'

export interface RunnerHost {
  readonly storage: SyncStorage
  decide(row: OutboxRow, from: SyncSnapshot): Promise<DecisionReply>
  stored(changed: Changed, before: SyncSnapshot): void
  reported(report: SyncReport): void
  fail(what: string): never
}

/** Of a push: which log it was about. */
interface Asked {
  readonly epoch: string
  readonly identity: string
}

export class Runner {
  readonly #host: RunnerHost
  readonly #steps: ReturnType<typeof syncMachine>
  #effect: SyncEffect | undefined
  /** Of the request that is under way: what belongs to another one is not for this machine. */
  #asked = 0
  #isAsking = false
  /** What this context knows of the storage. */
  #known: SyncSnapshot | undefined
  /** The push whose reply is being taken. */
  #taken: Asked | undefined

  constructor(host: RunnerHost, options: MachineOptions) {
    this.#host = host
    this.#steps = syncMachine(options)
    this.#take(this.#steps.next())
  }

  get isOver(): boolean {
    return this.#effect === undefined
  }

  get isAsking(): boolean {
    return this.#isAsking
  }

  /** Why it waits, if it does. */
  get waits(): (SyncEffect & { kind: 'wait' }) | undefined {
    return this.#effect?.kind === 'wait' ? this.#effect : undefined
  }

  /** A request that is to leave, once. Returns what is to be called with the reply. */
  request(): { readonly request: Request; readonly resume: (reply: Reply) => void } | undefined {
    const effect = this.#effect
    if (this.#isAsking || !isRequest(effect)) return undefined
    this.#isAsking = true
    const asked = (this.#asked += 1)
    const identity = this.#known?.state.identity ?? ''
    return {
      request: structuredClone(effect),
      resume: (reply) => {
        if (asked !== this.#asked || !this.#isAsking) return
        this.#taken = reply.kind === 'pushed' ? { epoch: reply.by.epoch, identity } : undefined
        this.#resume(structuredClone(reply))
      },
    }
  }

  /** Without a reply, such as after a timeout. */
  giveUp(reply: Reply): void {
    if (this.#isAsking) this.#resume(reply)
  }

  wake(woken: Woken): void {
    if (this.waits !== undefined) this.#resume(woken)
  }

  /** Does what needs no server, one effect. Returns whether there was one. */
  async step(): Promise<boolean> {
    const effect = this.#effect
    if (effect === undefined || effect.kind === 'wait' || isRequest(effect)) return false
    this.#resume(await this.#perform(effect))
    return true
  }

  async #perform(effect: SyncEffect): Promise<SyncReplies[keyof SyncReplies]> {
    const { storage } = this.#host
    if (effect.kind !== 'load' && effect.kind !== 'store' && effect.kind !== 'confirmed') this.#taken = undefined
    switch (effect.kind) {
      case 'load':
        // What it knows may be old: then what is made of it is not stored.
        if (effect.isKnown === true && this.#known !== undefined) return this.#known
        return (this.#known = await storage.load())
      case 'own':
        return storage.loadOwn(effect.after)
      case 'confirmed':
        return storage.confirmed(effect.after, effect.limit)
      case 'decide':
        return this.#host.decide(effect.row, effect.from)
      case 'report':
        this.#host.reported(effect.report)
        return undefined
      case 'store': {
        const before = await storage.load()
        const changed = await storage.change(effect.from, effect.rule)
        this.#host.stored(changed, before)
        if (changed.kind === 'stored') this.#assertInTime(changed, before)
        if (changed.kind === 'stored' || changed.kind === 'unchanged') this.#known = changed.snapshot
        return changed
      }
      default:
        throw new Error(effect.kind)
    }
  }

  /** What a server said before it went back, or before this device did, is not stored any more. */
  #assertInTime({ change, snapshot }: Changed & { kind: 'stored' }, before: SyncSnapshot): void {
    const asked = this.#taken
    this.#taken = undefined
    if (asked === undefined) return
    const { identity, remote } = snapshot.state
    if (remote?.epoch === asked.epoch && identity === asked.identity) return
    const old = new Map(before.outbox.map((row) => [row.n, row]))
    for (const row of change.put ?? []) {
      const was = old.get(row.n)
      if (row.accepted !== was?.accepted || row.behind !== was?.behind || codeOf(row) !== (was && codeOf(was)))
        if ((row.accepted ?? row.behind ?? codeOf(row)) !== undefined)
          this.#host.fail(`no late verdicts: what was said of ${row.name} before a restore was stored after it`)
    }
  }

  #resume(reply: SyncReplies[keyof SyncReplies]): void {
    this.#isAsking = false
    this.#take(this.#steps.next(reply as never))
  }

  #take(result: IteratorResult<SyncEffect, unknown>): void {
    this.#effect = result.done === true ? undefined : result.value
  }
}

const isRequest = (effect: SyncEffect | undefined): effect is Request =>
  effect?.kind === 'info' || effect?.kind === 'pull' || effect?.kind === 'push'
