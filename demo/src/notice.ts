/** One line for the user about what just happened. */
import { byId, h, say } from './dom.js'

type Kind = 'fine' | 'trouble'

/** How long a line stays, ms. A user who needs longer finds what was stored in the list under the departures. */
const stays = { fine: 12_000, trouble: 30_000 } as const

const text = byId('notice')
const toast = byId('toast')
/** What a line is about may still be drawn for so long, ms. */
const grows = 1_500
const growing = new ResizeObserver(([entry]) => place(entry?.target ?? null))
let latest = 0
let clearing: ReturnType<typeof setTimeout> | undefined
let before: EventTarget | null = null

const dismiss = h(
  'button',
  { type: 'button', class: 'dismiss', 'aria-label': 'Dismiss the message', click: () => clear() },
  '×',
)
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

/**
 * Shows a line at the foot of the window, or at its head, and has it read out.
 *
 * @param about what it speaks of, which it must not cover
 */
export function notify(words: string, kind: Kind = 'fine', about?: Element | null): void {
  toast.dataset['kind'] = kind
  say(text, words)
  clearTimeout(clearing)
  clearing = setTimeout(clear, stays[kind])
  place(about ?? null)
  growing.disconnect()
  if (about) growing.observe(about)
  const shown = (latest += 1)
  setTimeout(() => shown === latest && growing.disconnect(), grows)
}

/** Shows what the line is about, and puts it where it lies neither over that nor over what has the focus. */
function place(about: Element | null): void {
  const focused = document.activeElement
  const uncovered = [about, focused].filter(
    (part) => part !== null && part !== document.body && !part.contains(toast) && !toast.contains(part),
  ) as Element[]
  const covers = () => uncovered.some((part) => overlap(part.getBoundingClientRect(), toast.getBoundingClientRect()))
  toast.removeAttribute('data-top')
  about?.scrollIntoView({ block: 'nearest' })
  if (!covers()) return
  toast.toggleAttribute('data-top', true)
  // `scroll-padding` in the style sheet keeps both ends of the window free.
  if (covers()) uncovered[0]?.scrollIntoView({ block: 'nearest' })
}

const overlap = (one: DOMRect, other: DOMRect) =>
  one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** For what runs on its own: says what went wrong, since no code awaits it. */
export function inBackground(work: Promise<unknown>): void {
  work.catch((error: unknown) => notify(messageOf(error), 'trouble'))
}
