/** Holds what was found in the databases against the account, and names every invariant (I1–I8) that is broken. Pure. */
import { auditModel } from './audit-model.js'
import type { Account } from './account.js'
import type { Evidence, StoredCommit } from './evidence.js'

/** What can be wrong. */
export type ViolationKind =
  /** I1: positions are not 1, 2, 3 … */
  | 'positions'
  /** I2: an acknowledged event is not in the log. */
  | 'lost'
  /** I2: an acknowledged event stands elsewhere than was said. */
  | 'moved'
  /** I2: an event is in the log more than once. */
  | 'doubled event'
  /** I2: a batch is there in part, or scattered. */
  | 'torn batch'
  /** I2: an append that said 'not-written' was written. */
  | 'written after all'
  /** I3: versions of a stream are not 1, 2, 3 …, or an expected version did not hold. */
  | 'versions'
  /** I4: rows are not the fold of the events up to the checkpoint. */
  | 'rows'
  /** I4: an event had its effect more than once. */
  | 'doubled effect'
  /** I4: a poisonous event is not parked, or one that is none is. */
  | 'letters'
  /** I5: the checkpoint passed the head. */
  | 'checkpoint beyond head'
  /** I5: the checkpoint went back. */
  | 'checkpoint went back'
  /** A context saw what must not be while it ran. */
  | 'contradiction'
  /** I7: nothing went on that should have. */
  | 'stuck'
  /** I8: an error that nobody caught. */
  | 'uncaught'

export interface Violation {
  readonly kind: ViolationKind
  readonly detail: string
}

/** An event of the log, decoded by hand. */
export interface FoundEvent {
  readonly position: number
  readonly id: string
  readonly stream: string
  readonly version: number
  readonly data: {
    readonly batch: string
    readonly of: number
    readonly index: number
    readonly key: string
    readonly amount: number
    readonly poison: boolean
  }
}

export interface Audit {
  readonly violations: readonly Violation[]
  readonly events: readonly FoundEvent[]
  readonly head: number
  /** Batches that are in the log, whole. */
  readonly batches: ReadonlySet<string>
}

/** Audits everything since the profile was made. */
export function audit(evidence: Evidence, account: Account): Audit {
  const violations: Violation[] = []
  const report = (kind: ViolationKind, detail: string) => void violations.push({ kind, detail })
  const events = decode(evidence.commits ?? [], report)
  const head = events.at(-1)?.position ?? 0
  const batches = auditLog(events, account, report)
  const { model } = evidence
  if (model !== undefined) {
    for (const [name, side] of Object.entries(model)) auditModel(name, side, events, head, report)
    if (model.shown.checkpoint < account.checkpoint)
      report('checkpoint went back', `it is ${model.shown.checkpoint}, and ${account.checkpoint} was seen before`)
  } else if (account.checkpoint > 0)
    report('checkpoint went back', `the read model is gone, and ${account.checkpoint} was seen before`)
  return { violations, events, head, batches }
}

type Report = (kind: ViolationKind, detail: string) => void

function decode(commits: readonly StoredCommit[], report: Report): FoundEvent[] {
  const events: FoundEvent[] = []
  for (const { at, n, events: text, format } of commits) {
    const head = events.at(-1)?.position ?? 0
    if (at !== head + 1) report('positions', `a record begins at ${at}, after position ${head}`)
    let stored: Omit<FoundEvent, 'position'>[] = []
    try {
      stored = format === 2 ? fromColumns(JSON.parse(text)) : JSON.parse(text)
    } catch (error) {
      report('positions', `the record at ${at} cannot be read: ${String(error)}`)
    }
    if (stored.length !== n) report('positions', `the record at ${at} says ${n} events and holds ${stored.length}`)
    stored.forEach((event, index) => events.push({ ...event, position: at + index }))
  }
  return events
}

/** Written anew, not taken from what is audited: the form of docs/decisions/0008. */
function fromColumns({ streams, stream, version, id, data }: Columns): Omit<FoundEvent, 'position'>[] {
  return data.map((each, index) => ({
    stream: streams[stream[index] ?? -1] ?? '',
    version: version[index] ?? 0,
    id: id[index] ?? '',
    data: each,
  }))
}

interface Columns {
  readonly streams: readonly string[]
  readonly stream: readonly number[]
  readonly version: readonly number[]
  readonly id: readonly string[]
  readonly data: readonly FoundEvent['data'][]
}

function auditLog(events: readonly FoundEvent[], account: Account, report: Report): Set<string> {
  const byId = new Map<string, FoundEvent>()
  const versions = new Map<string, number>()
  const batches = new Map<string, FoundEvent[]>()
  for (const event of events) {
    const { id, stream, version, position, data } = event
    const twin = byId.get(id)
    if (twin !== undefined) report('doubled event', `event ${id} stands at ${twin.position} and at ${position}`)
    byId.set(id, event)
    const before = versions.get(stream) ?? 0
    if (version !== before + 1)
      report('versions', `'${stream}' has version ${version} after ${before}, at position ${position}`)
    versions.set(stream, version)
    const batch = batches.get(data.batch)
    if (batch === undefined) batches.set(data.batch, [event])
    else batch.push(event)
  }
  for (const [id, members] of batches) {
    const first = members[0] as FoundEvent
    const whole =
      members.length === first.data.of &&
      members.every(({ position, data }, index) => data.index === index && position === first.position + index)
    if (!whole)
      report(
        'torn batch',
        `batch ${id} of ${first.data.of}: found ${members.map(({ position, data }) => `${data.index} at ${position}`).join(', ')}`,
      )
  }
  for (const { batch, ids, firstPosition, position, versions, expected } of account.acknowledged) {
    ids.forEach((id, index) => {
      const event = byId.get(id)
      if (event === undefined)
        report('lost', `event ${index} of batch ${batch}, acknowledged at ${firstPosition + index}, id ${id}`)
      else if (event.position !== firstPosition + index)
        report('moved', `event ${id}, acknowledged at ${firstPosition + index}, stands at ${event.position}`)
    })
    if (position !== firstPosition + ids.length - 1)
      report('moved', `batch ${batch} of ${ids.length} was acknowledged at ${firstPosition} to ${position}`)
    const members = batches.get(batch) ?? []
    for (const [stream, version] of Object.entries(versions)) {
      const found = members.filter((event) => event.stream === stream).map((event) => event.version)
      // Not there at all: that is reported as lost.
      if (found.length === 0) continue
      if (found.at(-1) !== version)
        report(
          'versions',
          `batch ${batch}: '${stream}' was acknowledged at version ${version}, and ends at ${found.at(-1)}`,
        )
      const wanted = expected[stream]
      if (wanted !== undefined && found[0] !== wanted + 1)
        report('versions', `batch ${batch}: '${stream}' was expected at ${wanted}, and begins at ${found[0]}`)
    }
  }
  for (const [batch, { code, outcome }] of account.refused) {
    // The refusal may have come after the driver had appended it again, which is no fault if it was not there before.
    if (outcome === 'not-written' && batches.has(batch) && account.repeated.get(batch) !== false)
      report('written after all', `batch ${batch}, refused as '${code}'`)
  }
  return new Set(batches.keys())
}
