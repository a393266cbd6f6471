// What a device forgets: by the days that it was here, whatever its clock says.
import { describe, expect, test } from 'vitest'
import { openSyncedStore } from 'tidemark/sync'
import { testSyncServer, virtualClock } from 'tidemark/testing'
import { randomId } from '../../../src/events/identifier.js'
import { firstState } from '../../../src/sync/change-rules.js'
import { aged } from '../../../src/sync/rules/retention.js'
import { startSync } from '../../../src/sync/start-sync.js'
import { syncPartsOf } from '../../../src/sync/sync-parts.js'
import type { OutboxRow, SyncChange, SyncState } from '../../../src/sync/sync-state.js'
import { Device } from '../../support/synced-device.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

const day = 86_400_000

/** Looks each day, from a day on, while the log grows by ten events a day. */
function lives(
  from: SyncState,
  days: number,
  options: { readonly start: number; readonly outbox?: OutboxRow[]; readonly step?: number },
) {
  const { start, outbox = [], step = day } = options
  let state = from
  const changes: SyncChange[] = []
  for (let n = 1; n <= days; n += 1) {
    state = { ...state, cursor: { ...state.cursor, at: state.cursor.at + 10 } }
    const change = aged({ state, outbox }, start + n * step)
    if (change === undefined) continue
    changes.push(change)
    state = change.state
  }
  return { state, changes, forgotten: changes.flatMap(({ forget }) => (forget === undefined ? [] : [forget])) }
}

const begin = firstState('first')

describe('N97: the rule', () => {
  test('nothing for 90 days, then what the log had 90 days before, day by day', () => {
    expect(lives(begin, 90, { start: 0 }).forgotten).toEqual([])
    const { forgotten, state } = lives(begin, 95, { start: 0 })
    expect(forgotten).toEqual([10, 20, 30, 40, 50].map((needsUpTo) => ({ needsUpTo })))
    expect(state.age?.marks).toHaveLength(90)
  })

  test('once a day', () => {
    const { changes } = lives(begin, 100, { start: 0, step: day / 10 })
    expect(changes).toHaveLength(10)
    expect(changes.map(({ state }) => state.turn)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  test('a clock that jumps by years, forwards and back, makes nothing old', () => {
    let { state } = lives(begin, 30, { start: 0 })
    const forgotten: unknown[] = []
    for (const start of [3000 * day, 100 * day, 9000 * day, -4000 * day]) {
      const next = lives(state, 5, { start })
      state = next.state
      forgotten.push(...next.forgotten)
    }
    expect(forgotten).toEqual([])
    expect(state.age?.lived).toBeLessThan(90 * day)
    expect(state.age?.marks.length).toBeLessThanOrEqual(51)
  })

  test('a device that is used once a month forgets as well, later', () => {
    const { forgotten } = lives(begin, 20, { start: 0, step: 30 * day })
    // Each month counts a week.
    expect(forgotten[0]).toEqual({ needsUpTo: 10 })
    expect(forgotten).toHaveLength(20 - Math.ceil(90 / 7))
  })

  test('positions of a log that was taken back are those of other events', () => {
    const { state } = lives(begin, 80, { start: 0 })
    const healed: SyncState = {
      ...state,
      identity: 'second',
      left: [{ identity: 'first', upTo: 100 }],
      cursor: { at: 100, chain: 'c' },
    }
    const { forgotten } = lives(healed, 89, { start: 80 * day })
    expect(forgotten).toEqual([])
  })

  test('what was taken back is gone after 90 days, once, and not while it is given back', () => {
    const left = [
      { identity: 'a', upTo: 3 },
      { identity: 'b', upTo: 2 },
    ]
    const healing = { n: -1, healed: true } as OutboxRow
    const waiting = lives({ ...begin, left }, 100, { start: 0, outbox: [healing] })
    expect(waiting.forgotten.filter(({ attic }) => attic)).toEqual([])
    const { forgotten, state } = lives(waiting.state, 120, { start: 100 * day })
    expect(forgotten.filter(({ attic }) => attic)).toEqual([{ needsUpTo: 110, attic: ['a', 'b'] }])
    expect(state.left.map(({ identity, upTo, isGone }) => [identity, upTo, isGone])).toEqual([
      ['a', 3, true],
      ['b', 2, true],
    ])
    const early = lives({ ...begin, left }, 91, { start: 0 })
    expect(early.forgotten.at(-1)).toMatchObject({ attic: ['a', 'b'] })
    expect(lives({ ...begin, left }, 90, { start: 0 }).forgotten).toEqual([])
  })
})

describe('N97: a device on a virtual clock', () => {
  test('forgets what commits of long ago were decided on, and nothing of the last 90 days', async () => {
    const clock = virtualClock({ start: Date.UTC(2026, 0, 1), seed: 7 })
    const server = testSyncServer({ clock })
    const device = new Device({ clock, remote: { url: server.url, fetch: server.fetch } })
    let last: string | null = null
    for (let week = 0; week < 20; week += 1) {
      const [id] = await device.append('a', { expect: [['a', last]] })
      last = id as string
      // The app is used for some minutes each week.
      const sync = startSync(device.tab())
      await clock.advance(5 * 60_000)
      await sync.stop()
      await clock.advance(7 * day - 5 * 60_000)
    }
    const { own, state } = await device.storage.loadOwn(0)
    expect(state.cursor.at).toBe(20)
    // The last look was in the last week: 91 days before it there were 13 weeks more.
    const withNeeds = own.filter(({ needs }) => needs !== undefined)
    expect(withNeeds).toHaveLength(13)
    expect(own[0]).toEqual({ at: 1, n: 7 })
  })
})

test('N97: on IndexedDB, records of one identity leave the attic', async () => {
  const name = 'retention-attic'
  const store = await openSyncedStore({ name, url: 'http://127.0.0.1:9/' })
  const { storage } = syncPartsOf(store)
  const change = async (more: Omit<SyncChange, 'state'>, state: Partial<SyncState> = {}) => {
    const from = await storage.load()
    const changed = await storage.change(from, (now) => ({
      ...more,
      state: { ...now.state, turn: now.state.turn + 1, ...state },
    }))
    expect(changed.kind).toBe('stored')
  }
  const pull = (at: number) => {
    const id = randomId()
    const event = { type: 'A', stream: 's', id, idGiven: true, time: 1, schema: 1, data: '1', meta: undefined }
    return change(
      { pulled: { at, events: [event], versions: [at], starts: new Set([0]) } },
      { cursor: { at, chain: 'c' } },
    )
  }
  const identities: string[] = []
  for (let n = 0; n < 2; n += 1) {
    await pull(1)
    identities.push((await storage.load()).state.identity)
    await change({ takeBack: { upTo: 0 } }, { cursor: { at: 0, chain: 'c' }, identity: randomId() })
  }
  const attic = () =>
    new Promise<unknown>((resolve, reject) => {
      const opening = indexedDB.open(`tidemark:${name}`)
      opening.onerror = () => reject(opening.error as DOMException)
      opening.onsuccess = () => {
        const all = opening.result.transaction('attic').objectStore('attic').getAll()
        all.onsuccess = () => {
          opening.result.close()
          resolve((all.result as { identity: string }[]).map(({ identity }) => identity).sort())
        }
      }
    })
  expect(await attic()).toEqual([...identities].sort())
  await change({ forget: { attic: [identities[0] as string] } })
  expect(await attic()).toEqual([identities[1]])
  await store.close()
})
