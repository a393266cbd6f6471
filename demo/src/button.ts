/** Buttons that say why they do nothing. */
import { h } from './dom.js'
import { messageOf, notify } from './notice.js'

/** A button, and whether it may be pressed. */
export interface Button extends HTMLButtonElement {
  /**
   * `null` lets it be pressed. A sentence says why it may not: it stays in the order of focus, and says so when pressed, where a
   * disabled button would lose the focus and keep silent.
   */
  allow(refusal: string | null): void
}

export interface ButtonOptions {
  readonly label: string
  readonly action: () => unknown
  /** The accessible name, if the label alone does not say enough. It begins with the label. */
  readonly name?: string
  readonly class?: string
}

export function button({ label, action, name, class: className }: ButtonOptions): Button {
  let refused: string | null = null
  let busy = false
  const press = async () => {
    if (refused !== null) return notify(refused)
    if (busy) return
    busy = true
    element.setAttribute('aria-busy', 'true')
    try {
      await action()
    } catch (error) {
      notify(messageOf(error), 'trouble')
    } finally {
      busy = false
      element.removeAttribute('aria-busy')
    }
  }
  const element = h(
    'button',
    { type: 'button', 'aria-label': name, class: className, click: () => void press() },
    label,
  )
  return Object.assign(element, {
    allow(refusal: string | null) {
      refused = refusal
      if (refusal === null) element.removeAttribute('aria-disabled')
      else element.setAttribute('aria-disabled', 'true')
    },
  })
}
