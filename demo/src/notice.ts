/** One line for the user about what just happened. */
import { byId, h, say } from './dom.js'

type Kind = 'fine' | 'trouble'

/** How long a line stays, ms. Whoever needs longer finds what was stored in the list under the departures. */
const stays = { fine: 12_000, trouble: 30_000 } as const

const text = byId('notice')
const toast = byId('toast')
let clearing: ReturnType<typeof setTimeout> | undefined
let before: EventTarget | null = null

const dismiss = h('button', { type: 'button', class: 'dismiss', 'aria-label': 'Dismiss the message', click: () => clear() }, '×')
dismiss.addEventListener('focus', (event) => {
  before = event.relatedTarget
})
toast.append(dismiss)
addEventListener('keydown', (event) => {
  if (event.key === 'Escape') clear()
})

function clear(): void {
  clearTimeout(clearing)
  // Hiding the button would drop the focus to the top of the page.
  if (document.activeElement === dismiss && before instanceof HTMLElement) before.focus({ preventScroll: true })
  toast.removeAttribute('data-kind')
  say(text, '')
}

/** Shows a line at the foot of the window, and has it read out. */
export function notify(words: string, kind: Kind = 'fine'): void {
  toast.dataset['kind'] = kind
  say(text, words)
  clearTimeout(clearing)
  clearing = setTimeout(clear, stays[kind])
  uncoverFocus()
}

/** The line must not lie over what has the focus. */
function uncoverFocus(): void {
  const focused = document.activeElement
  if (focused === null || focused === document.body || toast.contains(focused)) return
  const { top } = toast.getBoundingClientRect()
  // `scroll-padding` in the style sheet keeps the foot of the window free.
  if (focused.getBoundingClientRect().bottom > top) focused.scrollIntoView({ block: 'nearest' })
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** For what runs on its own: says what went wrong, since nobody awaits it. */
export function inBackground(work: Promise<unknown>): void {
  work.catch((error: unknown) => notify(messageOf(error), 'trouble'))
}
