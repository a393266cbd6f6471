/** A context that syncs: the real machine, stepped by the schedule. A zombie is one that is stepped late. */
import { syncMachine, type MachineOptions } from '../../../src/sync/machine/sync-machine.js'
import type { DecisionReply, SyncEffect, SyncReplies, Woken } from '../../../src/sync/sync-effects.js'
import type { OutboxRow, SyncSnapshot } from '../../../src/sync/sync-state.js'
import type { SyncReport } from '../../../src/sync/sync-status.js'
import type { Changed, SyncStorage } from '../../../src/sync/sync-storage.js'
import type { Reply, Request } from './service.js'

export interface RunnerHost {
  readonly storage: SyncStorage
  decide(row: OutboxRow, from: SyncSnapshot): Promise<DecisionReply>
  stored(changed: Changed, before: SyncSnapshot): void
  reported(report: SyncReport): void
}

export class Runner {
  readonly #host: RunnerHost
  readonly #steps: ReturnType<typeof syncMachine>
  #effect: SyncEffect | undefined
  /** Of the request that is under way: what belongs to another one is not for this machine. */
  #asked = 0
  #isAsking = false

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
    return {
      request: structuredClone(effect),
      resume: (reply) => {
        if (asked === this.#asked && this.#isAsking) this.#resume(structuredClone(reply))
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
    switch (effect.kind) {
      case 'load':
        return storage.load()
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
        return changed
      }
      default:
        throw new Error(effect.kind)
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
