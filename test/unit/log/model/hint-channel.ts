/** A BroadcastChannel whose messages wait until the test delivers them, or never arrive (H66). */
export class HintChannel {
  static readonly open = new Set<HintChannel>()
  static readonly posted: { readonly from: HintChannel; readonly message: unknown }[] = []

  onmessage: ((event: { data: unknown }) => void) | null = null
  readonly name: string

  constructor(name: string) {
    this.name = name
    HintChannel.open.add(this)
  }

  postMessage(message: unknown): void {
    if (!HintChannel.open.has(this)) throw new DOMException('The channel is closed', 'InvalidStateError')
    HintChannel.posted.push({ from: this, message: structuredClone(message) })
  }

  close(): void {
    HintChannel.open.delete(this)
  }

  /** Hands over what waits, the newest first: senders are not in step, and only the largest head counts. */
  static deliver(): void {
    for (const { from, message } of HintChannel.posted.splice(0).reverse()) {
      for (const channel of HintChannel.open)
        if (channel !== from && channel.name === from.name) channel.onmessage?.({ data: message })
    }
  }

  static lose(): void {
    HintChannel.posted.length = 0
  }

  /** Forgets what a failed run left behind. */
  static reset(): void {
    HintChannel.lose()
    HintChannel.open.clear()
  }
}
