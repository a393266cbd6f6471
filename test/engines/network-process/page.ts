/** Appends one event after another and tells the test how it went. After a lost connection it loads itself anew, as users are told to. */
import { openEventStore, TidemarkError } from 'tidemark'

/** What the test knows of all lives of the page; the page begins with it and sends it back. */
export interface State {
  /** Of each acknowledged event: its number and where it was stored. */
  readonly acknowledged: { number: number; position: number }[]
  /** Of each failed append that was started: what the error said, and whether the event was there when it was retried. */
  readonly failed: { number: number; said: string; wasThere?: boolean }[]
  /** Whether to stop, and read the log. */
  stop: boolean
  log?: { number: number; position: number }[]
  error?: string
}

const state: State = await (await fetch('/state')).json()

try {
  await appendUntilStopped()
} catch (error) {
  state.error = String(error)
}
await report()

async function appendUntilStopped(): Promise<void> {
  const store = await openEventStore({ name: 'flights' })
  // Beside the appends, so that a kill meets one under way.
  void reportOften()
  for (let number = state.acknowledged.length + 1; !state.stop; number += 1) {
    try {
      // The same id in every life of the page: a retry finds the event if it was stored.
      const { position, duplicate } = await store.append({
        stream: 'a',
        events: [{ type: 'Added', data: number, id: `event-${number}` }],
      })
      const retried = state.failed.at(-1)
      if (retried?.number === number) retried.wasThere = duplicate
      state.acknowledged.push({ number, position })
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error
      state.failed.push({ number, said: `${error.code}, ${String((error as { outcome?: string }).outcome)}` })
      await report()
      location.reload()
      return new Promise(() => {})
    }
  }
  state.log = []
  for await (const { data, position } of store.read()) state.log.push({ number: data as number, position })
}

async function reportOften(): Promise<void> {
  while (!state.stop) {
    await report()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Repeats what the kill cut off: the process that dies carries the requests as well. */
async function report(): Promise<void> {
  for (;;) {
    try {
      const response = await fetch('/state', { method: 'POST', body: JSON.stringify(state) })
      state.stop = ((await response.json()) as State).stop
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
