/** What a user would feel while something runs. */
import type { MainThread, Run } from './case.js'

/** Watches the main thread during a run. An input's delay is from its arrival in the browser to its handler. */
export async function watched(work: () => Promise<Run>): Promise<Run & { readonly mainThread: MainThread }> {
  const longTasks: number[] = []
  const inputDelays: number[] = []
  const observer = new PerformanceObserver((list) =>
    longTasks.push(...list.getEntries().map(({ duration }) => duration)),
  )
  observer.observe({ type: 'longtask' })
  const typed = (event: Event) => inputDelays.push(performance.now() - event.timeStamp)
  addEventListener('keydown', typed)
  const run = await work()
  removeEventListener('keydown', typed)
  longTasks.push(...observer.takeRecords().map(({ duration }) => duration))
  observer.disconnect()
  return { ...run, mainThread: { longTasks, inputDelays } }
}
