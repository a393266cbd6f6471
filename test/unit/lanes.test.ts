// The parts of the suite run several at a time.
import { expect, test } from 'vitest'
import { inLanes } from '../../scripts/lanes.mjs'

/** Tasks that end when they are told to, and what began so far. */
function tasks(count: number) {
  const begun: number[] = []
  const ends: ((result: Promise<number>) => void)[] = []
  const all = Array.from({ length: count }, (_, index) => async () => {
    begun.push(index)
    return await new Promise<number>((resolve) => (ends[index] = resolve))
  })
  const end = async (index: number, result: Promise<number> = Promise.resolve(index)) => {
    ends[index]?.(result)
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
  }
  return { all, begun, end }
}

test('tasks begin in their order, at most two at a time, and the results are in that order', async () => {
  const { all, begun, end } = tasks(4)
  const done = inLanes(all, 2)
  expect(begun).toEqual([0, 1])
  await end(1)
  expect(begun).toEqual([0, 1, 2])
  await end(2)
  await end(3)
  await end(0)
  expect(begun).toEqual([0, 1, 2, 3])
  expect(await done).toEqual([0, 1, 2, 3])
})

test('one lane runs one task at a time, and so does a number below one', async () => {
  for (const lanes of [1, 0]) {
    const { all, begun, end } = tasks(2)
    const done = inLanes(all, lanes)
    expect(begun).toEqual([0])
    await end(0)
    expect(begun).toEqual([0, 1])
    await end(1)
    expect(await done).toEqual([0, 1])
  }
})

test('a task that rejects does not stop the others, and is reported when all have ended', async () => {
  const { all, begun, end } = tasks(3)
  let failed: unknown
  const done = inLanes(all, 1).catch((error: unknown) => (failed = error))
  await end(0, Promise.reject(new Error('first')))
  expect([begun, failed]).toEqual([[0, 1], undefined])
  await end(1, Promise.reject(new Error('second')))
  await end(2)
  await done
  expect([begun, failed]).toEqual([[0, 1, 2], new Error('first')])
})
