// tidemark/lit in a browser.
import { html, LitElement } from 'lit'
import { expect, test } from 'vitest'
import { LiveController, StatusController } from 'tidemark/lit'
import { bindingContract, textOf, type Seen, type Source } from './contract.js'
import { fakeQuery } from './fake-query.js'
import { fakeStatus } from './fake-status.js'

class Shown extends LitElement {
  static override properties = { source: { attribute: false } }
  declare source: Source<unknown>
  readonly seen: Seen<unknown>[] = []
  readonly live = new LiveController(this, () => this.source)
  override render() {
    this.seen.push(this.live.value)
    return html`<p>${textOf(this.live.value)}</p>`
  }
}
customElements.define('tidemark-shown', Shown)

/** Of an element that is not on the page yet. */
function made(source: Source<unknown>): Shown {
  const element = document.createElement('tidemark-shown') as Shown
  element.source = source
  return element
}

/** Lit renders in a microtask; an element that is asked for again meanwhile waits for that, too. */
const flush = async () => {
  for (const element of document.querySelectorAll('tidemark-shown')) await (element as Shown).updateComplete
}

bindingContract({
  name: 'Lit',
  keepsFormer: true,
  flush,
  async mount<V>(source: Source<V>) {
    const element = made(source)
    document.body.append(element)
    await flush()
    return {
      seen: element.seen as Seen<V>[],
      text: () => element.shadowRoot?.textContent?.trim() ?? '',
      async use(next: Source<V>) {
        element.source = next
        await flush()
      },
      async unmount() {
        element.remove()
        await flush()
      },
    }
  },
})

test('an element that is moved follows its query again, and shows what changed meanwhile', async () => {
  const query = fakeQuery<number>()
  const element = made(query)
  document.body.append(element)
  await flush()
  element.remove()
  expect(query.subscribers).toBe(0)
  query.answer(1)
  document.body.append(element)
  await flush()
  expect(query.subscribers).toBe(1)
  expect(element.shadowRoot?.textContent).toBe('ready: 1')
  element.remove()
})

test('a query that changes while the element is away is followed when it is back', async () => {
  const [one, other] = [fakeQuery<number>(), fakeQuery<number>()]
  const element = made(one)
  document.body.append(element)
  await flush()
  element.remove()
  element.source = other
  await element.updateComplete
  expect([one.subscribers, other.subscribers]).toEqual([0, 0])
  document.body.append(element)
  await flush()
  expect([one.subscribers, other.subscribers]).toEqual([0, 1])
  element.remove()
})

test('a query of its own needs no function, and what is read is never older than the query', async () => {
  const query = fakeQuery<number>()
  const live = new LiveController({ addController() {}, requestUpdate() {} }, query)
  expect(live.value.status).toBe('loading')
  query.answer(1)
  expect(live.value).toBe(query.getSnapshot())
  expect(query.subscribers).toBe(0)
})

test('a status renders its element, as long as that is on the page', async () => {
  const status = fakeStatus()
  class StatusElement extends LitElement {
    readonly #status = new StatusController(this, { status })
    override render() {
      return html`<p>${this.#status.value}</p>`
    }
  }
  customElements.define('status-element', StatusElement)
  const element = new StatusElement()
  expect(status.listeners.size).toBe(0)
  document.body.append(element)
  await element.updateComplete
  expect([element.shadowRoot?.textContent, status.listeners.size]).toEqual(['idle', 1])
  status.set('live')
  await element.updateComplete
  expect(element.shadowRoot?.textContent).toBe('live')
  element.remove()
  expect(status.listeners.size).toBe(0)
  status.set('stalled')
  document.body.append(element)
  await element.updateComplete
  expect(element.shadowRoot?.textContent).toBe('stalled')
  element.remove()
})
