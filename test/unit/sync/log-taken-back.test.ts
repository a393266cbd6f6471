// A page of the log is read while another context takes the log back: what looks like damage is none.
import { expect, test } from 'vitest'
import { LogInconsistentError } from '../../../src/errors.js'
import { anyEvents } from '../../../src/events/catalogue-core.js'
import { MemoryLog } from '../../../src/log/memory/memory-log.js'
import type { Log } from '../../../src/log/store.js'
import { systemClock } from '../../../src/platform/clock.js'
import { confirmedPages } from '../../../src/sync/confirmed-pages.js'
import { MemorySyncStorage } from '../../../src/sync/memory/memory-sync-storage.js'
import { OutboxKeeper } from '../../../src/sync/outbox-keeper.js'

/** Over a log that remembers, until it forgets, an end that is behind what is stored. */
function opened(damage: () => boolean) {
  const memory = new MemoryLog({ catalogue: anyEvents, codec: undefined })
  const storage = new MemorySyncStorage(memory, 'identity')
  const keeper = new OutboxKeeper({ storage, clock: systemClock, pulled() {}, takenBack() {} })
  const readPage: Log['readPage'] = (request, options) =>
    damage() ? Promise.reject(new LogInconsistentError(17, 'nothing is found')) : memory.readPage(request, options)
  const log = Object.assign(Object.create(memory) as Log, { readPage })
  const told = { forgotten: 0 }
  const options = {
    log,
    keeper,
    catalogue: anyEvents,
    codec: undefined,
    forget: () => (told.forgotten += 1),
  }
  return { told, log: confirmedPages(options) }
}

test('what was remembered of a log that was taken back is forgotten, and the page is read again', async () => {
  const subject = opened(() => subject.told.forgotten === 0)
  expect(await subject.log.readPage({ limit: 10 })).toMatchObject({ events: [] })
  expect(subject.told.forgotten).toBe(1)
})

test('damage that is still there is an error', async () => {
  const subject = opened(() => true)
  await expect(subject.log.readPage({ limit: 10 })).rejects.toMatchObject({ code: 'log-inconsistent' })
  expect(subject.told.forgotten).toBe(1)
})
