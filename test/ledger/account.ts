/** What the contexts told the driver, kept outside the browser: it is all that the driver believes. */

/** Told the moment `append` resolved. */
export interface Acknowledgement {
  readonly batch: string
  /** Of its events, in order. */
  readonly ids: readonly string[]
  readonly firstPosition: number
  readonly position: number
  /** The last version of each stream. */
  readonly versions: Readonly<Record<string, number>>
  /** The versions it was checked against, by stream. */
  readonly expected: Readonly<Record<string, number>>
}

/** A message of a context. `next` announces the append that begins now. */
export type Message = {
  readonly profile: string
  readonly round: number
  readonly context: string
  readonly next?: Announced
} & (
  | { readonly kind: 'announced' }
  | ({ readonly kind: 'acknowledged' } & Acknowledgement)
  /** `append` rejected. */
  | { readonly kind: 'refused'; readonly batch: string; readonly code: string; readonly outcome: string }
  /** A reader or a writer saw what must not be. */
  | { readonly kind: 'contradiction'; readonly invariant: string; readonly detail: string }
  /** The checkpoint that a reader of the read model was shown. */
  | { readonly kind: 'checkpoint'; readonly position: number }
  /** What a turn of the service worker's projection came to: the reason it ended, or the code of its error. */
  | { readonly kind: 'turn'; readonly outcome: string }
)

/** An append that was begun, or was to be the next one. */
export interface Announced {
  readonly batch: string
  /** With the ids of its events, so that it can be appended again. */
  readonly writes: readonly AnnouncedWrite[]
}

export interface AnnouncedWrite {
  readonly stream: string
  readonly events: readonly { readonly type: string; readonly data: unknown; readonly id: string }[]
}

/** The account of one profile, from its first round on. */
export class Account {
  readonly acknowledged: (Acknowledgement & { readonly round: number })[] = []
  readonly announced = new Map<string, Announced & { readonly round: number }>()
  readonly refused = new Map<string, { readonly round: number; readonly code: string; readonly outcome: string }>()
  readonly contradictions: { readonly round: number; readonly invariant: string; readonly detail: string }[] = []
  /** How turns of the service worker's projection ended, and how often. */
  readonly turns = new Map<string, number>()
  /** Batches that the driver appended again because nobody had answered for them, and whether they were in the log by then. */
  readonly repeated = new Map<string, boolean>()
  /** The highest checkpoint that anybody was shown. */
  checkpoint = 0
  readonly #listeners = new Set<() => void>()

  /** Takes a message down. Listeners of {@link onAcknowledged} are called before it returns. */
  add(message: Message): void {
    const { round, next } = message
    if (next !== undefined) this.announced.set(next.batch, { ...next, round })
    switch (message.kind) {
      case 'acknowledged': {
        const { batch, ids, firstPosition, position, versions, expected } = message
        this.acknowledged.push({ round, batch, ids, firstPosition, position, versions, expected })
        for (const listener of this.#listeners) listener()
        break
      }
      case 'refused':
        this.refused.set(message.batch, { round, code: message.code, outcome: message.outcome })
        break
      case 'contradiction':
        this.contradictions.push({
          round,
          invariant: message.invariant,
          detail: `${message.context}: ${message.detail}`,
        })
        break
      case 'checkpoint':
        this.checkpoint = Math.max(this.checkpoint, message.position)
        break
      case 'turn':
        this.turns.set(message.outcome, (this.turns.get(message.outcome) ?? 0) + 1)
        break
      case 'announced':
        break
    }
  }

  /** What was announced in a round and never answered. */
  unansweredOf(round: number): Announced[] {
    const answered = new Set(this.acknowledged.filter((each) => each.round === round).map(({ batch }) => batch))
    return [...this.announced.values()].filter(
      (each) => each.round === round && !answered.has(each.batch) && !this.refused.has(each.batch),
    )
  }

  /** Calls back at the `count`th acknowledgement from now on. Answers how to forget it. */
  onAcknowledged(count: number, then: () => void): () => void {
    let left = count
    const listener = () => {
      left -= 1
      if (left > 0) return
      this.#listeners.delete(listener)
      then()
    }
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}
