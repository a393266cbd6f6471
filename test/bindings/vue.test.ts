// tidemark/vue in a browser.
import { expect, test, vi } from 'vitest'
import { compiledApp, container, statusContract, type Client, type Server } from './compiled-driver.js'
import { bindingContract, type Source } from './contract.js'
import { fakeQuery } from './fake-query.js'

interface VueClient extends Client {
  /** A component that awaits its query in `setup`, inside of a `Suspense` that shows 'Wait' until then. */
  suspendedAt(target: HTMLElement, source: Source<number>): () => void
  takeOverSuspended(target: HTMLElement, source: Source<number>): () => void
}

interface VueServer extends Server {
  renderedSuspended(source: Source<number>): Promise<string>
}

const app = await compiledApp<VueClient, VueServer>('vue', { name: 'Vue', keepsFormer: true })
const { client, server, driver } = app

bindingContract(driver)
statusContract(app)

test.for([
  ['has an answer', (query: ReturnType<typeof fakeQuery<number>>) => query.answer(1), 'ready: 1'],
  ['failed', (query: ReturnType<typeof fakeQuery<number>>) => query.fail(new Error('once')), 'error:'],
] as const)('an async setup waits until its query %s', async ([, settle, text]) => {
  const query = fakeQuery<number>()
  const at = container()
  const unmount = client.suspendedAt(at, query)
  await driver.flush()
  expect([at.textContent, query.subscribers]).toEqual(['Wait', 1])
  settle(query)
  await expect.poll(() => at.textContent?.trim()).toBe(text)
  query.answer(2)
  await driver.flush()
  expect(at.textContent).toBe('ready: 2')
  unmount()
  expect(query.subscribers).toBe(0)
})

test('an async setup without a query waits for nothing', async () => {
  const at = container()
  const unmount = client.suspendedAt(at, null)
  await expect.poll(() => at.textContent?.trim()).toBe('off:')
  unmount()
})

test('an async setup waits for nothing on a server, and neither does the one that takes over', async () => {
  const said = vi.spyOn(console, 'warn')
  const query = fakeQuery<number>()
  const at = container()
  at.innerHTML = await server.renderedSuspended(query)
  expect([at.textContent?.trim(), query.subscribers]).toEqual(['loading:', 0])
  query.answer(1)
  const unmount = client.takeOverSuspended(at, query)
  await expect.poll(() => at.textContent).toBe('ready: 1')
  unmount()
  expect(query.subscribers).toBe(0)
  // Vue calls Suspense experimental, once.
  expect(said.mock.calls.filter(([text]) => !/Suspense/.test(String(text)))).toEqual([])
  said.mockRestore()
})
