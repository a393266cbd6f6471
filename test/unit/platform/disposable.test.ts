// `await using`, where the engine has it.
import { expect, test } from 'vitest'
import { disposable } from '../../../src/platform/disposable.js'

interface Thing {
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const there = Object.getOwnPropertyDescriptor(Symbol, 'asyncDispose') as PropertyDescriptor | undefined
const thing = () => {
  let closed = 0
  const made: Thing = disposable<Thing>({ close: async () => void (closed += 1) }, () => made.close())
  return { made, closed: () => closed }
}

test.runIf(there !== undefined)('it closes what it belongs to, and does not show in its keys', async () => {
  const { made, closed } = thing()
  await made[Symbol.asyncDispose]()
  expect([closed(), Object.keys(made), Object.getOwnPropertySymbols({ ...made })]).toEqual([1, ['close'], []])
})

test('without the symbol there is no such method, nor one called undefined', () => {
  const own = globalThis.Symbol
  const without = Object.assign((name: string) => own(name), { iterator: own.iterator })
  globalThis.Symbol = without as never
  try {
    expect(Reflect.ownKeys(thing().made)).toEqual(['close'])
  } finally {
    globalThis.Symbol = own
  }
})
