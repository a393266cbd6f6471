/** Pulls pages: the next one while this one is stored, smaller ones where bodies are cut off, and none on a full disk. */
import { isBy } from './rules/contact.js'
import { abortWith } from '../platform/abort-with.js'
import { storageUsage, type StorageUsage } from '../platform/storage-manager.js'
import { optional } from '../platform/promises.js'
import type { AnsweredBy, PullReply } from './sync-effects.js'
import type { Cursor } from './sync-state.js'
import type { Transport } from './transport.js'

/** From this share of what the origin may store on, nothing is pulled: appends need space, too. */
const fullAt = 0.9
/** Below this share, the usage is read at the same time as the page. Above it, the usage is read first. */
const spaceBelow = 0.8

interface Asked {
  readonly after: Cursor
  readonly limit: number
  readonly as: AnsweredBy
}

export class Puller {
  readonly #transport: Transport
  readonly #usage: () => Promise<StorageUsage>
  #ahead:
    | { readonly asked: Asked; readonly controller: AbortController; readonly reply: Promise<PullReply> }
    | undefined
  /** The most events of a page: fewer where bodies were cut off before their first cursor, and then more again. */
  #most = Infinity
  #hasSpace = false

  constructor(transport: Transport, usage = storageUsage) {
    this.#transport = transport
    this.#usage = usage
  }

  async pull(asked: Asked, signal: AbortSignal): Promise<PullReply> {
    const limit = Math.min(asked.limit, this.#most)
    const reply = (await this.#early({ ...asked, limit }, signal)) ?? (await this.#fresh({ ...asked, limit }, signal))
    if (reply.kind === 'page') {
      this.#most = Math.min(this.#most * 4, Number.MAX_SAFE_INTEGER)
      if (reply.cursor.at < reply.head && reply.cursor.at > reply.after.at) this.#readAhead(reply, asked.limit, signal)
    } else if (reply.kind === 'offline' && reply.isCut === true) this.#most = Math.max(1, Math.floor(limit / 4))
    return reply
  }

  /** Drops the page that was read ahead. */
  forget(): void {
    this.#ahead?.controller.abort()
    this.#ahead = undefined
  }

  async #fresh(asked: Asked, signal: AbortSignal): Promise<PullReply> {
    // The page of a hint is short, so the usage is not read for it.
    const hint = this.#hasSpace ? this.#transport.hintPage(asked) : undefined
    if (hint !== undefined) return hint
    const full: PullReply = { kind: 'full' }
    const isFull = this.#isFull()
    if (!this.#hasSpace && (await isFull)) return full
    signal.throwIfAborted()
    const reply = await this.#transport.pull(asked, signal)
    return (await isFull) ? full : reply
  }

  async #isFull(): Promise<boolean> {
    const { usage = 0, quota = Infinity } = await this.#usage()
    this.#hasSpace = usage < quota * spaceBelow
    return usage >= quota * fullAt
  }

  /** The page that was read ahead, if that is the one that is asked for. */
  async #early(asked: Asked, signal: AbortSignal): Promise<PullReply | undefined> {
    const ahead = this.#ahead
    this.#ahead = undefined
    if (ahead === undefined) return undefined
    const { after, as: remote } = ahead.asked
    if (after.at !== asked.after.at || after.chain !== asked.after.chain || !isBy({ remote }, asked.as)) {
      ahead.controller.abort()
      return undefined
    }
    const undo = abortWith(ahead.controller, signal)
    try {
      return await ahead.reply
    } catch (error) {
      signal.throwIfAborted()
      throw error
    } finally {
      undo()
    }
  }

  #readAhead(page: PullReply & { kind: 'page' }, limit: number, signal: AbortSignal): void {
    const asked: Asked = { after: page.cursor, limit: Math.min(limit, this.#most), as: page.by }
    const controller = new AbortController()
    const reply = optional(this.#fresh(asked, controller.signal).finally(abortWith(controller, signal)))
    this.#ahead = { asked, controller, reply }
  }
}
