// tidemark/svelte in a browser.
import { expect, test } from 'vitest'
import { compiledApp, container, statusContract, type Client } from './compiled-driver.js'
import { bindingContract, textOf, type Source } from './contract.js'
import { fakeQuery } from './fake-query.js'

interface SvelteClient extends Client {
  /** A component that shows `$rows` of `store(source)`. */
  storedAt(target: HTMLElement, props: { source: Source<number>; textOf: typeof textOf }): () => unknown
}

const app = await compiledApp<SvelteClient>('svelte', { name: 'Svelte', keepsFormer: true, correctsHtml: true })
const { client, driver } = app

bindingContract(driver)
statusContract(app)

test('a store shows the snapshot, and is followed until the component goes', async () => {
  const query = fakeQuery<number>()
  const at = container()
  const unmount = client.storedAt(at, { source: query, textOf })
  await driver.flush()
  expect([at.textContent, query.subscribers]).toEqual(['loading', 1])
  query.answer(1)
  await driver.flush()
  expect(at.textContent).toBe('ready: 1')
  await unmount()
  await driver.flush()
  expect(query.subscribers).toBe(0)
  at.remove()
})

test('a store without a query is off', async () => {
  const at = container()
  const unmount = client.storedAt(at, { source: undefined, textOf })
  await driver.flush()
  expect(at.textContent).toBe('off')
  await unmount()
  at.remove()
})
