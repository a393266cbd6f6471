/** The few helpers that hand-made pages need. */

type Child = Node | string | null | undefined | false
type Attributes = Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>

function fill<T extends Element>(element: T, attributes: Attributes, children: readonly Child[]): T {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value)
    else if (value === true) element.setAttribute(name, '')
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value))
  }
  element.append(
    ...children.filter((child): child is Node | string => typeof child === 'string' || child instanceof Node),
  )
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

/** Sets text only where it differs, so that assistive technology announces changes and nothing else. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

/** A frame that did not come by then is not waited for: hidden and covered windows draw none. ms */
const frameless = 250

/** Calls `render` at most once per frame, and at most once per `gap` ms. */
export function perFrame(render: () => void, gap = 0): () => void {
  let asked = false
  let last = -Infinity
  return () => {
    if (asked) return
    asked = true
    const run = () => {
      clearTimeout(timer)
      cancelAnimationFrame(frame)
      asked = false
      last = performance.now()
      render()
    }
    let frame = 0
    const wait = Math.max(0, last + gap - performance.now())
    const timer = setTimeout(run, wait + frameless)
    if (wait === 0) frame = requestAnimationFrame(run)
    else setTimeout(() => asked && (frame = requestAnimationFrame(run)), wait)
  }
}

/** Several choices of which one holds, as radio buttons side by side. */
export function segments<V extends string>(
  legend: string,
  name: string,
  choices: readonly (readonly [value: V, label: string])[],
  chosen: V,
  choose: (value: V) => void,
): HTMLFieldSetElement {
  return h(
    'fieldset',
    { class: 'segments' },
    h('legend', { class: 'hidden' }, legend),
    ...choices.flatMap(([value, label]) => [
      h('input', {
        type: 'radio',
        name,
        id: `${name}-${value}`,
        value,
        checked: value === chosen,
        change: () => choose(value),
      }),
      h('label', { for: `${name}-${value}` }, label),
    ]),
  )
}
