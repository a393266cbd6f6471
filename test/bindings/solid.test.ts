// tidemark/solid in a browser.
import { expect, test } from 'vitest'
import { compiledApp, container, statusContract, type Client } from './compiled-driver.js'
import { bindingContract, type Source } from './contract.js'
import { fakeQuery } from './fake-query.js'

interface Row {
  readonly id?: number
  readonly sku?: string
  readonly text: string
}

interface SolidClient extends Client {
  /** `<For>` with an `<li>` for each row. */
  listAt(target: HTMLElement, props: { source: Source<readonly Row[]>; options?: { key: string } }): () => void
}

const app = await compiledApp<SolidClient>('solid', { name: 'Solid', keepsFormer: true })
const { client, driver } = app

bindingContract(driver)
statusContract(app)

/** The answers of an app in development are frozen: whatever is written to them, throws. */
const frozen = (...rows: Row[]): readonly Row[] => Object.freeze(rows.map((row) => Object.freeze(row)))

test.for([
  ['id', undefined, (id: number, text: string): Row => ({ id, text })],
  ['a key that is named', { key: 'sku' }, (id: number, text: string): Row => ({ sku: `sku-${id}`, text })],
] as const)('a row that changes, moves or leaves keeps the nodes of the others: by %s', async ([, options, row]) => {
  const query = fakeQuery<readonly Row[]>()
  const at = container()
  const unmount = client.listAt(at, { source: query, ...(options && { options }) })
  const first = frozen(row(1, 'one'), row(2, 'two'), row(3, 'three'))
  query.answer(first)
  await driver.flush()
  const [one, two, three] = at.querySelectorAll('li')
  query.answer(frozen(row(3, 'three'), row(1, 'changed'), row(2, 'two')))
  await driver.flush()
  expect([...at.querySelectorAll('li')]).toEqual([three, one, two])
  expect([...at.querySelectorAll('li')].every((li, index) => li === [three, one, two][index])).toBe(true)
  expect([one, two, three].map((li) => li?.textContent)).toEqual(['changed', 'two', 'three'])
  query.answer(frozen(row(2, 'two')))
  await driver.flush()
  expect([...at.querySelectorAll('li')].map((li) => li === two)).toEqual([true])
  // Others who follow the query have the same rows.
  expect(first.map(({ text }) => text)).toEqual(['one', 'two', 'three'])
  unmount()
  expect(query.subscribers).toBe(0)
  at.remove()
})

test('rows that hold themselves are shown, without the cycle', async () => {
  const row: Row & { self?: unknown; parts?: unknown[] } = { id: 1, text: 'round' }
  row.self = row
  row.parts = [{ of: row }]
  const query = fakeQuery<readonly Row[]>()
  const at = container()
  const unmount = client.listAt(at, { source: query })
  query.answer([row, { id: 2, text: 'flat' }])
  await driver.flush()
  expect([...at.querySelectorAll('li')].map((li) => li.textContent)).toEqual(['round', 'flat'])
  unmount()
  at.remove()
})
