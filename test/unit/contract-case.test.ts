// A case of a contract that can test nothing says so, by whatever way the runner has.
import { memoryLogStore } from 'tidemark/server'
import { coordinatorContract, eventStoreContract, logStoreContract, serverContract } from 'tidemark/testing'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

const open = async () => {
  const store = memoryLogStore()
  return { store, dispose: () => store.close() }
}
const cases = logStoreContract(open)
const [lacking] = cases.filter(({ name }) => name === 'what was decided is there after the log was opened again')
const [complete] = cases
const reason = "The subject has no 'reopen'."

let warned: unknown[] = []
beforeEach(() => {
  warned = []
  vi.spyOn(console, 'info').mockImplementation((text) => void warned.push(text))
})
afterEach(() => vi.restoreAllMocks())

describe('N101: a case that can test nothing', () => {
  test('calls skip with the reason, and ends its subject all the same', async () => {
    const seen: string[] = []
    const one = logStoreContract(async () => {
      const subject = await open()
      return { ...subject, dispose: async () => void seen.push('disposed') }
    }).find(({ name }) => name === lacking!.name)!
    await one.run({ skip: (text: string) => seen.push(text) })
    expect(seen).toEqual([reason, 'disposed'])
    expect(warned).toEqual([])
  })

  test('rejects with what a runner throws from skip', async () => {
    const thrown = new Error('skipped')
    await expect(
      lacking!.run({
        skip() {
          throw thrown
        },
      }),
    ).rejects.toBe(thrown)
  })

  test('is shown by the console where nothing is given to it', async () => {
    await lacking!.run()
    await lacking!.run(() => {})
    expect(warned).toEqual(Array(2).fill(`Not tested: ${lacking!.name}. ${reason}`))
  })

  test('is no test that waits for a call of done, in any contract', () => {
    const never = () => Promise.reject(new Error('It is not run.'))
    for (const each of [serverContract, logStoreContract, eventStoreContract, coordinatorContract])
      for (const { name, run } of each(never)) expect(run.length, name).toBe(0)
  })
})

test('a case that tests something skips nothing', async () => {
  const skips: unknown[] = []
  await complete!.run({ skip: (text: string) => skips.push(text) })
  expect([skips, warned]).toEqual([[], []])
})
