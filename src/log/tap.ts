/** The one tap of a store: tells listeners what happens, as long as there are any. */
import { systemClock, timeTold } from '../platform/clock.js'
import { listenerSet } from '../platform/listeners.js'
import { soon, tell } from '../platform/tasks.js'
import type { ProjectionReport, StoreOccurrence, StoreReport } from '../reports.js'

/** The time line of all reports. */
export const monotonic = (): number => systemClock.monotonic()

export class Tap {
  readonly #listeners = listenerSet<[report: StoreReport]>()
  readonly #opened: StoreReport

  /** @param start when opening the store began: each listener gets a report of it first */
  constructor(name: string, start: number) {
    this.#opened = this.#report(start, { type: 'opened', name })
  }

  /** Whether anyone listens. Ask it first, so that nothing is measured in vain. */
  get on(): boolean {
    return this.#listeners.size > 0
  }

  /** What a listener throws is reported once. */
  add(listener: (report: StoreReport) => void): () => void {
    let failed = false
    const own = (report: StoreReport) => {
      try {
        listener(report)
      } catch (error) {
        if (failed) return
        failed = true
        throw error
      }
    }
    const remove = this.#listeners.add(own)
    let removed = false
    soon(() => {
      if (!removed) tell(() => own(this.#opened))
    })
    return () => {
      removed = true
      remove()
    }
  }

  #report(start: number, occurrence: StoreOccurrence): StoreReport {
    return { ...occurrence, time: timeTold(systemClock), start, duration: monotonic() - start }
  }

  /** Something that began at `start` has ended. Never throws. */
  tell(start: number, occurrence: () => StoreOccurrence): void {
    tell(() => this.#listeners.tell(this.#report(start, occurrence())))
  }

  /** Of a projection. */
  pass(report: ProjectionReport): void {
    if (!this.on) return
    const { duration = 0 } = report as { duration?: number }
    this.#listeners.tell({ ...report, start: monotonic() - duration, duration })
  }

  /** Does something, and tells how it ended if anyone listens. */
  around<T>(
    work: () => Promise<T>,
    worked: (value: T) => StoreOccurrence,
    failed: (error: unknown) => StoreOccurrence,
  ): Promise<T> {
    return this.on ? this.#around(work, worked, failed) : work()
  }

  async #around<T>(
    work: () => Promise<T>,
    worked: (value: T) => StoreOccurrence,
    failed: (error: unknown) => StoreOccurrence,
  ): Promise<T> {
    const start = monotonic()
    let value: T
    try {
      value = await work()
    } catch (error) {
      this.tell(start, () => failed(error))
      throw error
    }
    this.tell(start, () => worked(value))
    return value
  }

  stop(): void {
    this.#listeners.clear()
  }
}

/** A page that a call or a loop of the app reads. */
export const toldPage = <T extends { readonly events: readonly unknown[] }>(
  tap: Tap,
  read: () => Promise<T>,
): Promise<T> =>
  tap.around(
    read,
    ({ events }) => ({ type: 'read', events: events.length }),
    (error) => ({ type: 'storage-failed', what: 'reading', error }),
  )

/** Pages of a loop. */
export async function* toldPages<T>(
  tap: Tap,
  pages: AsyncGenerator<readonly T[], void, undefined>,
): AsyncGenerator<readonly T[], void, undefined> {
  try {
    for (;;) {
      const { done, events } = await toldPage(tap, async () => {
        const { done, value } = await pages.next()
        return { done, events: value ?? [] }
      })
      if (done === true) return
      yield events
    }
  } finally {
    await pages.return()
  }
}
