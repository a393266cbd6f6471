// N76: positions have no holes and become visible in their order, whatever reads while others write.
import { expect, describe, test } from 'vitest'
import { postgresUrl } from '../../support/postgres/server.js'
import { stormOnIdentity, stormOnTidemark } from '../../support/postgres/storm.js'

const url = await postgresUrl()

// Eight writers and two followers are many connections for a busy machine.
describe.skipIf(url === undefined)('a storm of writers', { timeout: 120_000 }, () => {
  const storm = { url: url as string, writers: 8, followers: 2 }

  test('N76: no follower passes an event or reads another order', async () => {
    const { stored, read, missed, disordered } = await stormOnTidemark({ ...storm, commits: 60 })
    expect({ missed, disordered }).toEqual({ missed: 0, disordered: 0 })
    // One to three events in each commit.
    expect(stored).toBeGreaterThan(8 * 60)
    expect(read).toBe(2 * stored)
  })

  test('the same storm finds the events that an identity column makes followers pass', async () => {
    const { missed } = await stormOnIdentity({ ...storm, ms: 60_000, untilMissed: true })
    expect(missed).toBeGreaterThan(0)
  })
})
