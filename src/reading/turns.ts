/** What is asked in one turn, in one transaction. */
import { hasCode } from '../errors.js'
import type { Clock } from '../platform/clock.js'
import { getOrMake } from '../platform/get-or-make.js'
import type { Answers, TableQuery } from '../read-model/storage.js'

type Asks = (asked: readonly TableQuery[]) => Promise<Answers>

interface Waiting {
  readonly asked: readonly TableQuery[]
  resolve(answers: Answers): void
  reject(error: unknown): void
}

/** Puts together what is asked until the work at hand is done. */
export function together(ask: Asks): Asks {
  let waiting: Waiting[] = []
  const read = async (batch: readonly Waiting[]): Promise<void> => {
    try {
      const { values, state } = await ask(batch.flatMap(({ asked }) => asked))
      let at = 0
      for (const { asked, resolve } of batch) resolve({ values: values.slice(at, (at += asked.length)), state })
    } catch (error) {
      if (batch.length === 1 || !hasCode(error, 'storage-failed')) {
        for (const { reject } of batch) reject(error)
        return
      }
      // One of them may ask for a row that cannot be read, and the others are not to fail with it.
      const half = batch.length >> 1
      await Promise.all([read(batch.slice(0, half)), read(batch.slice(half))])
    }
  }
  const flush = async () => {
    // As long as more comes: a function may await something before its first read.
    for (let size = 0; size < waiting.length; await Promise.resolve()) size = waiting.length
    const batch = waiting
    waiting = []
    void read(batch)
  }
  return (asked) =>
    new Promise((resolve, reject) => {
      if (waiting.push({ asked, resolve, reject }) === 1) void flush()
    })
}

/** How far apart two timers of a round may be, ms. */
const round = 50

/** The clock, with timers that come together: what runs then reads in one transaction. */
export function inRounds(clock: Clock): Clock {
  const rounds = new Map<number, { readonly calls: Set<() => void>; readonly cancel: () => void }>()
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    random: () => clock.random(),
    schedule(ms, callback) {
      const now = clock.monotonic()
      const due = Math.ceil((now + ms) / round) * round
      const own = () => callback()
      const { calls, cancel } = getOrMake(rounds, due, () => {
        const calls = new Set<() => void>()
        const cancel = clock.schedule(due - now, () => {
          rounds.delete(due)
          // One that a call before it takes back is not called.
          for (const call of calls) call()
        })
        return { calls, cancel }
      })
      calls.add(own)
      return () => {
        if (!calls.delete(own) || calls.size > 0 || rounds.get(due)?.calls !== calls) return
        rounds.delete(due)
        cancel()
      }
    },
  }
}
