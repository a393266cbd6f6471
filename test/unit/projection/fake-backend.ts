/** A log in an array, checkpoints in a map, and everything a test may want to break. */
import { inProcessCoordinator } from '../../../src/locks/in-process.js'
import { LeadershipLostError } from '../../../src/errors.js'
import type { RecordedEvent } from '../../../src/events/event.js'
import type { EventReader } from '../../../src/log/event-store.js'
import type { CheckpointStore } from '../../../src/ports.js'
import type {
  DeadLetterRecord,
  FailureContext,
  FailureStrategy,
  ProjectionState,
  ProjectionTarget,
} from '../../../src/projection/target.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'

export function fakeBackend() {
  const clock = virtualClock()
  const log: RecordedEvent[] = []
  const listeners = new Set<(head: number) => void>()
  const positions = new Map<string, number>()
  const reads: number[] = []
  const faults: { read?: (n: number) => unknown } = {}
  const counts = { saves: 0 }
  const reader: EventReader = {
    async readPage({ filter = {}, after = 0, limit }) {
      reads.push(clock.monotonic())
      const failure = faults.read?.(reads.length)
      if (failure !== undefined) throw failure
      const events: RecordedEvent[] = []
      let at = after
      // One call looks at a bounded part of the log (W6).
      while (at < log.length && events.length < limit && at - after < 5000) {
        const event = log[at] as RecordedEvent
        if (filter.types === undefined || filter.types.includes(event.type)) events.push(event)
        at += 1
      }
      return { events, scannedTo: at, head: log.length }
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  const checkpoints: CheckpointStore = {
    async load(name) {
      return positions.get(name)
    },
    async save(name, position, { expected } = {}) {
      counts.saves += 1
      const stored = positions.get(name) ?? 0
      if (expected !== undefined && expected !== stored)
        throw new LeadershipLostError(name, `its checkpoint is ${stored}`)
      positions.set(name, position)
    },
  }
  return {
    clock,
    log,
    reads,
    faults,
    positions,
    counts,
    reader,
    checkpoints,
    listeners,
    coordinator: inProcessCoordinator(),
    append(count: number, type = 'A', hint = true) {
      for (let i = 0; i < count; i += 1) {
        const position = log.length + 1
        log.push({ type, data: null, stream: 's', version: position, position, id: `id-${position}`, time: 0 })
      }
      if (hint) for (const listener of listeners) listener(log.length)
    },
  }
}

export type FakeBackend = ReturnType<typeof fakeBackend>

/** What several contexts share: rows, checkpoint and epoch of one read model. */
export const fakeRows = () => ({
  position: 0,
  epoch: 0,
  owner: '',
  paused: false,
  applied: [] as number[],
  letters: [] as DeadLetterRecord[],
  commits: 0,
  fault: undefined as ProjectionState['fault'],
})

/** A transactional target over shared rows, as one context has it. */
export function fakeTarget(
  rows: ReturnType<typeof fakeRows>,
  options: {
    apply?: (event: RecordedEvent) => void
    onFailure?: (failure: FailureContext) => FailureStrategy
    commit?: (n: number) => 'before' | 'after' | undefined | Promise<undefined>
  } = {},
): ProjectionTarget {
  let pending: number[] = []
  let letters: DeadLetterRecord[] = []
  let base = { position: 0, epoch: 0 }
  const drop = () => {
    pending = []
    letters = []
  }
  const state = (): ProjectionState => ({
    position: rows.position,
    epoch: rows.epoch,
    owner: rows.owner,
    paused: rows.paused,
    letters: rows.letters.length,
    ...(rows.fault === undefined ? {} : { fault: rows.fault }),
  })
  return {
    name: 'rows',
    key: 'rows@1',
    filter: {},
    onFailure: options.onFailure ?? (() => 'fatal'),
    async begin(owner) {
      rows.epoch += 1
      rows.owner = owner
      drop()
      base = { position: rows.position, epoch: rows.epoch }
      return state()
    },
    apply(event) {
      options.apply?.(event)
      pending.push(event.position)
    },
    park: (letter) => void letters.push(letter),
    async commit(position) {
      rows.commits += 1
      const fault = await options.commit?.(rows.commits)
      if (fault === 'before') throw new Error('not committed')
      if (rows.epoch !== base.epoch || rows.position !== base.position)
        throw new LeadershipLostError('rows', 'another epoch')
      rows.position = base.position = position
      rows.applied.push(...pending)
      rows.letters.push(...letters)
      drop()
      if (fault === 'after') throw new Error('committed, but nobody heard')
      return { paused: rows.paused }
    },
    reset: drop,
    state: async () => state(),
    async recordFault(fault) {
      rows.fault = fault
      return 'stopped'
    },
  }
}

export const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)
