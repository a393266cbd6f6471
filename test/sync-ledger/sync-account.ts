/** What devices said, by the token of what they wanted: a token is in the data of every event that came of it. */

/** A message of a tab. `tab` names one life of it. */
export type SyncMessage = {
  readonly round: string
  readonly device: string
  readonly tab: string
} & (
  | { readonly kind: 'announced'; readonly token: string; readonly act: string; readonly of: number }
  | { readonly kind: 'acknowledged'; readonly token: string; readonly id?: string }
  /** The append threw. */
  | { readonly kind: 'rejected'; readonly token: string; readonly code: string; readonly outcome: string }
  /** A command said no, and appended nothing. */
  | { readonly kind: 'declined'; readonly token: string }
  | { readonly kind: 'discarding'; readonly token: string }
  | { readonly kind: 'retrying'; readonly token: string }
  /** `settled()` resolved. */
  | { readonly kind: 'settled'; readonly token: string; readonly status: string }
  | { readonly kind: 'looked'; readonly times: number }
  | { readonly kind: 'contradiction'; readonly rule: string; readonly detail: string }
)

/** All that is known of what was wanted. */
export interface Wanted {
  readonly token: string
  readonly device: string
  readonly act: string
  readonly of: number
  acknowledged?: true
  rejected?: { readonly code: string; readonly outcome: string }
  declined?: true
  discarding?: true
  retrying?: true
  /** The last word of `settled()`. */
  settled?: string
  /** It waited for the server when its device was copied: then two devices have it, and each decides for itself. */
  copied?: true
  /** The storage of its device was deleted since. */
  cleared?: true
}

export class SyncAccount {
  readonly wanted = new Map<string, Wanted>()
  readonly contradictions: { readonly rule: string; readonly detail: string }[] = []
  /** How often a view was looked at. */
  looks = 0
  /** What was announced after the acts were ended: none of it may be found anywhere. */
  readonly late = new Set<string>()
  #isFenced = false

  add(message: SyncMessage): void {
    if (message.kind === 'contradiction') {
      this.contradictions.push({ rule: message.rule, detail: `${message.tab}: ${message.detail}` })
      return
    }
    if (message.kind === 'looked') {
      this.looks += message.times
      return
    }
    const { token } = message
    if (message.kind === 'announced') {
      if (this.#isFenced) this.late.add(token)
      this.wanted.set(token, { token, device: message.device, act: message.act, of: message.of })
      return
    }
    const wanted = this.wanted.get(token)
    if (wanted === undefined) {
      this.contradictions.push({ rule: 'ledger', detail: `${message.kind} before it was announced: ${token}` })
      return
    }
    if (message.kind === 'acknowledged') wanted.acknowledged = true
    else if (message.kind === 'rejected') wanted.rejected = { code: message.code, outcome: message.outcome }
    else if (message.kind === 'declined') wanted.declined = true
    else if (message.kind === 'discarding') wanted.discarding = true
    else if (message.kind === 'retrying') wanted.retrying = true
    else wanted.settled = message.status
  }

  /** From now on nothing is to be appended. */
  fence(): void {
    this.#isFenced = true
  }

  /** The databases of its device were copied while these waited for the server. */
  copy(tokens: readonly string[]): void {
    for (const token of tokens) {
      const wanted = this.wanted.get(token)
      if (wanted !== undefined) wanted.copied = true
    }
  }

  /** What a device was told before its storage was deleted: some of it may be nowhere. */
  clear(device: string): void {
    for (const wanted of this.wanted.values()) if (wanted.device === device) wanted.cleared = true
  }
}
