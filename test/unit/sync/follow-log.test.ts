// Following a log that is taken back while a page is read.
import { expect, test } from 'vitest'
import { followLog, type FollowParts } from '../../../src/sync/follow-log.js'
import { monotonic, Tap } from '../../../src/log/tap.js'
import { snapshot } from '../../support/sync-rows.js'
import { virtualClock } from 'tidemark/testing'
import type { EventShape } from 'tidemark'

test('a log that is taken back between a look at it and a page is followed in its order, and each event once', async () => {
  let log = ['a1', 'a2', 'a3', 'a4']
  let state = { ...snapshot(4).state, identity: 'a' }
  let reads = 0
  const closing = new AbortController()
  const changed = new Set<() => void>()
  const parts = {
    outbox: { fresh: async () => ({ state }) },
    onChange(listener: () => void) {
      changed.add(listener)
      return () => changed.delete(listener)
    },
    async readPage({ after }: { after: number }) {
      // Another tab heals: positions 3 and 4 are others from here on, and there are more.
      if ((reads += 1) === 2) {
        log = ['a1', 'a2', 'b3', 'b4', 'b5', 'b6']
        state = { ...state, identity: 'b', left: [{ identity: 'a', upTo: 2 }], cursor: { ...state.cursor, at: 6 } }
      }
      const events = log.slice(after).map((id, index) => ({ id, position: after + index + 1 }))
      return { events, scannedTo: log.length, head: log.length }
    },
    tap: new Tap('log', monotonic()),
    clock: virtualClock(),
    closing: closing.signal,
  } as unknown as FollowParts<EventShape>
  const seen: string[] = []
  for await (const { id } of followLog({}, parts)) {
    seen.push(id)
    // It waits, and something is there.
    if (id === 'a4') setTimeout(() => changed.forEach((listener) => listener()))
    if (id === 'b6') break
  }
  expect(seen).toEqual(['a1', 'a2', 'a3', 'a4', 'b3', 'b4', 'b5', 'b6'])
})
