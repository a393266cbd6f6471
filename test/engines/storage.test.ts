// The rig itself: a run on an engine proves nothing if the engine keeps its databases elsewhere than the project says.
import { openEventStore } from 'tidemark'
import { expect, inject, test } from 'vitest'
import { commands } from 'vitest/browser'

test('H30: the log of this project lies on disk, in the storage engine that the project is named after', async ({
  task,
}) => {
  const store = await openEventStore({ name: `on-disk-${crypto.randomUUID()}` })
  await store.append({ stream: 'a', events: [{ type: 'Added', data: null }] })
  expect(await commands.storageOnDisk(location.origin)).toBe(inject('storage'))
  await store.close()
  // For the table of `npm run test:engines`, which reads it from the report.
  task.meta.engine = await commands.engineVersion()
})
