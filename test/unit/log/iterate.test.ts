// Iterating over pages: what a generator would answer, whoever asks when.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EventIterator } from '../../../src/log/iterate.js'

async function* pagesOf(
  pages: readonly (readonly number[])[],
  fails: boolean,
): AsyncGenerator<readonly number[], void, undefined> {
  for (const page of pages) yield page
  if (fails) throw new Error('no further')
}

async function* oneByOne(
  pages: readonly (readonly number[])[],
  fails: boolean,
): AsyncGenerator<number, undefined, undefined> {
  for await (const page of pagesOf(pages, fails)) yield* page
  return undefined
}

const told = (answer: Promise<IteratorResult<number, undefined>>) =>
  answer.then(
    ({ done = false, value }) => ({ done, value }),
    (error: unknown) => ({ error: (error as Error).message }),
  )

test('it answers as a generator does, in any order of asking, waiting and giving up', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.integer(), { maxLength: 4 }), { maxLength: 5 }),
      fc.boolean(),
      fc.array(fc.constantFrom('next', 'next', 'next', 'wait for one', 'wait for all', 'return'), { maxLength: 30 }),
      async (pages, fails, steps) => {
        const answers = async (iterator: AsyncIterator<number, undefined, undefined>) => {
          const asked: Promise<unknown>[] = []
          let waitedFor = 0
          for (const step of steps) {
            if (step === 'wait for all') await asked.at(-1)
            else if (step === 'wait for one') await asked[waitedFor++]
            else if (step === 'next') asked.push(told(iterator.next()))
            else if (iterator.return !== undefined) asked.push(told(iterator.return(undefined)))
          }
          return Promise.all(asked)
        }
        expect(await answers(new EventIterator(pagesOf(pages, fails), undefined))).toEqual(
          await answers(oneByOne(pages, fails)),
        )
      },
    ),
    { seed: 20261126, numRuns: 500 },
  )
})

test('whoever leaves the loop closes what the pages come from', async () => {
  let closed = 0
  async function* pages() {
    try {
      yield [1, 2]
      yield [3]
    } finally {
      closed += 1
    }
  }
  for await (const n of new EventIterator(pages(), undefined)) if (n === 1) break
  expect(closed).toBe(1)
  await expect(
    (async () => {
      for await (const n of new EventIterator(pages(), undefined)) throw new Error(`stop at ${n}`)
    })(),
  ).rejects.toThrow('stop at 1')
  expect(closed).toBe(2)
})

test('N39: an abort ends it in the middle of a page, with the reason, for good', async () => {
  const abort = new AbortController()
  let closed = false
  async function* pages() {
    try {
      yield [1, 2, 3]
    } finally {
      closed = true
    }
  }
  const iterator = new EventIterator(pages(), abort.signal)
  expect(await iterator.next()).toEqual({ done: false, value: 1 })
  abort.abort(new Error('enough'))
  await expect(iterator.next()).rejects.toThrow('enough')
  expect([closed, await iterator.next()]).toEqual([true, { done: true, value: undefined }])
})
