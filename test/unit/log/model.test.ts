// Random commands against a reference log, with a fault at any call of IndexedDB.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'
import { anyCommand } from './model/arbitraries.js'
import { HintChannel } from './model/hint-channel.js'
import { setClock, World, type Model } from './model/world.js'

fakeIndexedDB()

/** A search for what is not known yet, with another seed each time: `TIDEMARK_MODEL_RUNS=5000`. */
const search = process.env['TIDEMARK_MODEL_RUNS']
const bounds =
  search === undefined ? { seed: 20261125, numRuns: 60 } : { numRuns: Number(search), includeErrorInReport: true }

const unhandled: unknown[] = []
const note = (reason: unknown) => void unhandled.push(reason)

beforeAll(() => {
  vi.stubGlobal('BroadcastChannel', HintChannel)
  setClock()
  process.on('unhandledRejection', note)
})
afterAll(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  process.off('unhandledRejection', note)
})

test(
  'I1, I2, I3: whatever fails, the log holds what callers were told, whole or not at all (H3–H5, H17, H22–H25, H27, H31)',
  { timeout: 0 },
  async () => {
    let count = 0
    await fc.assert(
      fc.asyncProperty(fc.commands([anyCommand], { maxCommands: 40, size: 'max' }), async (list) => {
        HintChannel.reset()
        const real = await World.open(`model-${(count += 1)}`)
        const model: Model = { log: [], tried: [], serial: 0 }
        await fc.asyncModelRun(() => ({ model, real }), list)
        await real.dispose()
        // A rejection counts as unhandled only after the tasks that are due.
        await new Promise((resolve) => setImmediate(resolve))
        expect(unhandled.splice(0), 'rejections that nobody handled (H5)').toEqual([])
        expect(HintChannel.open.size, 'channels left open (I8)').toBe(0)
      }),
      // A command that hangs shall be found before the store's own deadline of 30 s ends it.
      { ...bounds, timeout: 20_000 },
    )
  },
)
