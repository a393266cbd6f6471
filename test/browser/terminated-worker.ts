/** Runs in a worker: appends and reads until it is terminated, and tells of every tenth append. */
import { openEventStore } from 'tidemark'

const store = await openEventStore({ name: self.name })
for (let n = 1; ; n += 1) {
  await store.append({ stream: 'worker', events: [{ type: 'Added', data: n }] })
  if (n % 3 === 0) for await (const _ of store.read({ after: n - 3 })) break
  if (n % 10 === 0) postMessage(n)
}
