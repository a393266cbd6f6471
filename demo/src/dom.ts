/** The few helpers that hand-made pages need. */

type Child = Node | string | null | undefined | false
type Attributes = Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>

function fill<T extends Element>(element: T, attributes: Attributes, children: readonly Child[]): T {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value)
    else if (value === true) element.setAttribute(name, '')
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value))
  }
  element.append(...children.filter((child): child is Node | string => typeof child === 'string' || child instanceof Node))
  return element
}

/** An HTML element. An attribute that is a function listens to the event of that name. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]) {
  return fill(document.createElement(tag), attributes, children)
}

/** An SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children)
}

export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`The page has no #${id}`)
  return element as T
}

/** Sets text only where it differs, so that assistive technology hears changes and nothing else. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

/** Calls `render` at most once per frame. */
export function perFrame(render: () => void): () => void {
  let asked = false
  return () => {
    if (asked) return
    asked = true
    const run = () => {
      asked = false
      render()
    }
    // A hidden tab draws no frames, and must not fall behind when it is shown again.
    if (document.visibilityState === 'visible') requestAnimationFrame(run)
    else setTimeout(run, 200)
  }
}

let clearing: ReturnType<typeof setTimeout> | undefined

/** One line for the user about what just happened. It stays at the top of the window for a while, then goes. */
export function notify(text: string, kind: 'fine' | 'trouble' = 'fine'): void {
  const notice = byId('notice')
  notice.dataset['kind'] = kind
  say(notice, text)
  clearTimeout(clearing)
  clearing = setTimeout(() => say(notice, ''), kind === 'fine' ? 12_000 : 30_000)
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/* ---- Numbers ----------------------------------------------------------------------------------------------------------- */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const tenth = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
const signed = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: 'exceptZero' })
const typographic = (text: string) => text.replace('-', '\u2212')

export const count = (value: number) => typographic(whole.format(value))
export const decimal = (value: number) => typographic(tenth.format(value))
export const minutes = (value: number) => typographic(signed.format(value))

/** Five steps of average delay, for colour; the legend names them. */
export const steps = [
  { below: 0, name: 'early' },
  { below: 5, name: 'under 5' },
  { below: 10, name: 'under 10' },
  { below: 15, name: 'under 15' },
  { below: Infinity, name: '15 or more' },
] as const
export const stepOf = (delay: number) => steps.findIndex((step) => delay < step.below)
