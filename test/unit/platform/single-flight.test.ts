// Work that runs once at a time.
import { expect, test } from 'vitest'
import { singleFlight } from '../../../src/platform/single-flight.js'

/** Work whose runs end when the test says so. */
function manual() {
  const runs: { resolve(value: number): void; reject(error: unknown): void }[] = []
  const ask = singleFlight(() => new Promise<number>((resolve, reject) => runs.push({ resolve, reject })))
  return { runs, ask }
}

test('calls while it runs share one more run, which begins when the first has ended', async () => {
  const { runs, ask } = manual()
  const first = ask()
  const second = ask()
  const third = ask()
  expect(runs).toHaveLength(1)
  runs[0]?.resolve(1)
  expect(await first).toBe(1)
  await Promise.resolve()
  expect(runs).toHaveLength(2)
  runs[1]?.resolve(2)
  expect(await Promise.all([second, third])).toEqual([2, 2])
  expect(runs).toHaveLength(2)
})

test('a call during the second run gets a third', async () => {
  const { runs, ask } = manual()
  void ask()
  const second = ask()
  runs[0]?.resolve(1)
  await expect.poll(() => runs.length).toBe(2)
  const third = ask()
  runs[1]?.resolve(2)
  expect(await second).toBe(2)
  await expect.poll(() => runs.length).toBe(3)
  runs[2]?.resolve(3)
  expect(await third).toBe(3)
})

test('when it rests, a call runs it immediately', async () => {
  const { runs, ask } = manual()
  const first = ask()
  runs[0]?.resolve(1)
  await first
  void ask()
  expect(runs).toHaveLength(2)
})

test('a run that fails rejects its callers only', async () => {
  const { runs, ask } = manual()
  const first = ask()
  const second = ask()
  runs[0]?.reject(new Error('broken'))
  await expect(first).rejects.toThrow('broken')
  await expect.poll(() => runs.length).toBe(2)
  runs[1]?.resolve(2)
  expect(await second).toBe(2)
})

test('a call between the end of one run and the beginning of the next does not begin a second one in parallel', async () => {
  let running = 0
  let most = 0
  const ends: (() => void)[] = []
  const ask = singleFlight(async () => {
    running += 1
    most = Math.max(most, running)
    await new Promise<void>((resolve) => ends.push(resolve))
    running -= 1
  })
  const asked = [ask(), ask()]
  ends.shift()?.()
  // Calls in each of the turns between the two runs.
  for (let turn = 0; turn < 12; turn += 1) {
    await Promise.resolve()
    asked.push(ask())
  }
  let settled = false
  const all = Promise.all(asked).then(() => (settled = true))
  for (let turn = 0; turn < 200 && !settled; turn += 1) {
    ends.shift()?.()
    await Promise.resolve()
  }
  await all
  expect(most).toBe(1)
})
