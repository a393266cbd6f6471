/** Performs what the machine asks for: the only part between the rules and the world. */
import { TidemarkError, hasCode, messageOf } from '../errors.js'
import { sleep, timeTold } from '../platform/clock.js'
import { abortable } from '../platform/promises.js'
import { isForNewerBuilds } from '../projection/target.js'
import { aged } from './rules/retention.js'
import type { Puller } from './puller.js'
import type { PulledPage, PullReply, StorageFailure, SyncEffect, SyncReplies } from './sync-effects.js'
import type { SyncParts } from './sync-parts.js'
import type { SyncSnapshot } from './sync-state.js'
import type { SyncReport } from './sync-status.js'
import type { Transport } from './transport.js'

export type SyncMachine = Generator<SyncEffect, SyncReport | undefined, never>

export interface RunPorts {
  readonly parts: Pick<SyncParts, 'storage' | 'decide' | 'clock' | 'current'>
  readonly transport: Transport
  readonly puller: Puller
  readonly report: (report: SyncReport) => void
  readonly wait: (effect: SyncEffect & { readonly kind: 'wait' }) => Promise<SyncReplies['wait']>
}

/** With more pending events than these, pages with events of others are stored at most once in this time, ms. */
const heldBack = { events: 1_000, pause: 1_000 }

/**
 * Runs a machine to its end.
 *
 * @throws the reason of the signal; ClosedError
 */
export async function runSync(
  machine: SyncMachine,
  ports: RunPorts,
  signal: AbortSignal,
): Promise<SyncReport | undefined> {
  const run = new Run(ports, signal)
  try {
    let step = machine.next()
    while (step.done !== true) {
      signal.throwIfAborted()
      // Not past the signal, as the app's code may never return: what it was about is loaded again by the next run.
      step = machine.next((await abortable(run.perform(step.value), signal)) as never)
    }
    return step.value
  } finally {
    ports.puller.forget()
  }
}

class Run {
  readonly #ports: RunPorts
  readonly #signal: AbortSignal
  #at: SyncSnapshot | undefined
  #lastForeign = -Infinity

  constructor(ports: RunPorts, signal: AbortSignal) {
    this.#ports = ports
    this.#signal = signal
  }

  async perform(effect: SyncEffect): Promise<SyncReplies[SyncEffect['kind']]> {
    const { parts, transport } = this.#ports
    const { storage } = parts
    switch (effect.kind) {
      case 'load':
        return this.#seen((effect.isKnown === true && parts.current?.()) || (await stored(storage.load())))
      case 'own':
        return stored(storage.loadOwn(effect.after))
      case 'confirmed':
        return stored(storage.confirmed(effect.after, effect.limit))
      case 'store': {
        const changed = await stored(storage.change(effect.from, effect.rule))
        if ('snapshot' in changed) this.#seen(changed.snapshot)
        return changed
      }
      case 'decide':
        return stored(parts.decide(effect.row, effect.from), effect.isMore)
      case 'info':
        return transport.info(this.#signal)
      case 'pull':
        return this.#pull(effect)
      case 'push':
        return transport.push(effect, this.#signal)
      case 'report':
        return this.#ports.report(effect.report) as undefined
      case 'wait': {
        this.#ports.puller.forget()
        const woken = await this.#ports.wait(effect)
        // Nothing is about to be sent or shown.
        if (woken === 'time' && effect.why === 'idle') await this.#age()
        return woken
      }
    }
  }

  /** Once a day: what is old is forgotten. */
  async #age(): Promise<void> {
    const { storage, clock } = this.#ports.parts
    const now = Math.trunc(timeTold(clock))
    if (this.#at === undefined || aged(this.#at, now) === undefined) return
    // If it fails, or something else was stored meanwhile, the next time will do.
    const changed = await stored(storage.change(this.#at, (snapshot) => aged(snapshot, now)))
    if ('snapshot' in changed) this.#seen(changed.snapshot)
  }

  #seen<T extends SyncSnapshot | StorageFailure>(reply: T): T {
    if ('outbox' in reply) this.#at = reply
    return reply
  }

  async #pull(effect: SyncEffect & { readonly kind: 'pull' }): Promise<PullReply> {
    const reply = await this.#ports.puller.pull(effect, this.#signal)
    // A page that is followed by another one is stored immediately: otherwise a long way would take a second a page.
    if (reply.kind !== 'page' || reply.cursor.at < reply.head || !this.#isForeign(reply)) return reply
    const { clock } = this.#ports.parts
    await sleep(clock, this.#lastForeign + heldBack.pause - clock.monotonic(), this.#signal)
    this.#lastForeign = clock.monotonic()
    return reply
  }

  /** Whether views have to lay very many pending events over rows again because of this page. */
  #isForeign({ events: { events } }: PulledPage): boolean {
    if (events.length === 0 || this.#at === undefined) return false
    const own = new Set<string>()
    for (const row of this.#at.outbox) if (row.refused === undefined) for (const { id } of row.events) own.add(id)
    return own.size > heldBack.events && events.some(({ id }) => !own.has(id))
  }
}

/** @param always also for what is no failure of the storage, such as that of a codec */
async function stored<T>(work: Promise<T>, always = false): Promise<T | StorageFailure> {
  try {
    return await work
  } catch (error) {
    // A store that is closed or gone ends the run, and so do rows of a newer build, and what is no failure of the storage.
    if (
      hasCode(error, 'closed', 'storage-lost', 'unsupported-format') ||
      (!always && !(error instanceof TidemarkError))
    )
      throw error
    const isFull = hasCode(error, 'storage-full')
    return { kind: 'storage-failed', isFull, isNewer: isForNewerBuilds(error), message: messageOf(error) }
  }
}
