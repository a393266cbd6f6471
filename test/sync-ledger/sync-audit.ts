/** Judges what is found after a round: the server's log, what each device has, and what was said meanwhile. Pure. */
import type { SyncAccount, Wanted } from './sync-account.js'
import type { Drained, SyncEvidence, WireFact } from './sync-work.js'

/** A line of the server's log. */
export interface ServerLine extends WireFact {
  readonly commit: number
}

/** A commit of a push as it left a device. */
export interface SeenCommit {
  readonly events: readonly { readonly id: string }[]
  readonly expect?: Readonly<Record<string, readonly [id: string, version: number] | string | null>>
  readonly condition?: {
    readonly failIfEventsMatch: { readonly types?: readonly string[]; readonly streamPrefix?: string }
    readonly after: string | null
    readonly except?: readonly string[]
  }
  readonly healed?: boolean
}

export interface SyncFound {
  readonly server: readonly ServerLine[]
  readonly devices: readonly {
    readonly device: string
    /** Whose databases it began with. */
    readonly copyOf?: string | undefined
    readonly evidence: SyncEvidence
    readonly drained: Drained
  }[]
  readonly account: SyncAccount
  /** By the id of the first event: every version of a commit that was pushed. */
  readonly pushed: ReadonlyMap<string, readonly SeenCommit[]>
  /** Whether the server was restored from a backup. */
  readonly restored: boolean
}

export interface SyncViolation {
  readonly rule: string
  readonly detail: string
}

export interface SyncJudged {
  readonly violations: readonly SyncViolation[]
  /** Of acknowledged commits. */
  readonly places: {
    readonly confirmed: number
    readonly refused: number
    readonly discarded: number
    readonly behind: number
    readonly cleared: number
  }
  /** Appends that were neither acknowledged nor refused: found whole, or not. */
  readonly open: { readonly whole: number; readonly absent: number }
}

export function auditSync(found: SyncFound): SyncJudged {
  const violations: SyncViolation[] = []
  const add = (rule: string, detail: string) => void violations.push({ rule, detail })
  violations.push(...found.account.contradictions.filter(({ detail }) => !isTwofold(detail, found.account)))
  order(found.server, add)
  const stored = commitsOf(found, add)
  replicas(found, add)
  drained(found, add)
  rows(found, add)
  preconditions(found, add)
  const judged = places(found, stored, add)
  return { violations, ...judged }
}

type Add = (rule: string, detail: string) => void

/** A command that waited on a device when it was copied is one of both: after a conflict each decides it again. */
const isCommandOfTwo = ({ copied, act }: Wanted): boolean => copied === true && (act === 'bump' || act === 'take')

function isTwofold(detail: string, account: SyncAccount): boolean {
  const [, token = ''] = /: (\S+) is shown 2 times$/.exec(detail) ?? []
  const wanted = account.wanted.get(token)
  return wanted !== undefined && isCommandOfTwo(wanted)
}

/** Positions and versions without holes, ids once. */
function order(server: readonly ServerLine[], add: Add): void {
  const versions = new Map<string, number>()
  const ids = new Set<string>()
  for (const [index, { position, stream, version, id }] of server.entries()) {
    if (position !== index + 1) add('replica', `position ${position} of the server stands at ${index + 1}`)
    const expected = (versions.get(stream) ?? 0) + 1
    if (version !== expected) add('replica', `version ${version} of ${stream} should be ${expected}`)
    versions.set(stream, expected)
    if (ids.has(id)) add('one place', `the server has the id ${id} twice`)
    ids.add(id)
  }
}

/** Every token is in the log whole and once, or not at all. Returns those that are. */
function commitsOf({ server, account }: SyncFound, add: Add): ReadonlySet<string> {
  const byToken = new Map<string, ServerLine[]>()
  for (const line of server) {
    const token = String(line.data?.token)
    byToken.set(token, [...(byToken.get(token) ?? []), line])
  }
  for (const [token, lines] of byToken) {
    // The announcement of a tab that was killed may have ended with it.
    const wanted = account.wanted.get(token)
    const of = wanted?.of ?? Number(lines[0]?.data?.of)
    if (wanted !== undefined && isCommandOfTwo(wanted) && lines.length === 2) continue
    if (lines.length > of) add('one place', `${token} is in the server's log ${lines.length / of} times`)
    else if (lines.length < of) add('one place', `of ${token} the server has ${lines.length} of ${of} events`)
    else if (
      lines.some(({ data, commit }, index) => data.index !== index || commit !== lines[0]?.commit) ||
      lines.some(({ position }, index) => position !== (lines[0]?.position ?? 0) + index)
    )
      add('one place', `${token} is not one commit in the server's log`)
  }
  return new Set(byToken.keys())
}

/** The log of each device is the server's. */
function replicas({ server, devices }: SyncFound, add: Add): void {
  for (const { device, evidence } of devices) {
    const { log } = evidence
    if (log.length !== server.length)
      add('replica', `${device} has ${log.length} events, the server ${server.length}, after everything was fetched`)
    for (const [index, own] of log.entries()) {
      const line = server[index]
      if (line === undefined) break
      const same =
        own.position === line.position &&
        own.id === line.id &&
        own.stream === line.stream &&
        own.version === line.version &&
        own.type === line.type &&
        own.time === line.time &&
        JSON.stringify(own.data) === JSON.stringify(line.data)
      if (same) continue
      add('replica', `${device} has at ${index + 1} ${JSON.stringify(own)}, the server ${JSON.stringify(line)}`)
      break
    }
  }
}

/** Nothing waits any more, but for what no device has. */
function drained({ server, devices, restored }: SyncFound, add: Add): void {
  const ids = new Set(server.map(({ id }) => id))
  for (const { device, evidence, drained: end } of devices) {
    const waiting = evidence.outbox.filter(({ status }) => status !== 'refused')
    for (const { token, status, behind } of waiting) {
      if (behind !== undefined && restored && !ids.has(behind)) continue
      add(
        'drained',
        `${token} of ${device} is still ${status}${behind ? `, behind ${behind}` : ''}: ${JSON.stringify(end)}`,
      )
    }
    if (end.cursor !== server.length)
      add('drained', `${device} is at ${end.cursor} of ${server.length}: ${JSON.stringify(end)}`)
    if (evidence.caughtUp !== 'caught-up') add('drained', `the projection of ${device}: ${evidence.caughtUp}`)
    for (const error of evidence.errors) add('errors', `${device}: ${error}`)
  }
}

/** The rows are what the server's log folds to. */
function rows({ server, devices }: SyncFound, add: Add): void {
  const streams = new Map<string, string>()
  const counts = new Map<string, { count: number; hash: number }>()
  const tokens = new Map<string, { times: number; events: number }>()
  for (const { id, stream, data } of server) {
    const row = counts.get(stream) ?? { count: 0, hash: 0 }
    for (let index = 0; index < id.length; index += 1) row.hash = (Math.imul(row.hash, 31) + id.charCodeAt(index)) | 0
    row.count += 1
    counts.set(stream, row)
    const seen = tokens.get(data.token) ?? { times: 0, events: 0 }
    tokens.set(data.token, { times: seen.times + (data.index === 0 ? 1 : 0), events: seen.events + 1 })
  }
  for (const [stream, { count, hash }] of counts) streams.set(stream, `${count} ${hash}`)
  for (const { device, evidence } of devices) {
    // What is behind is shown, and is in no log.
    if (evidence.outbox.some(({ status }) => status !== 'refused')) continue
    compare(
      device,
      'streams',
      streams,
      new Map(evidence.streams.map((row) => [row.stream, `${row.count} ${row.hash}`])),
      add,
    )
    const text = ({ times, events }: { times: number; events: number }) => `${times} ${events}`
    const wanted = new Map([...tokens].map(([token, row]) => [token, text(row)]))
    compare(device, 'tokens', wanted, new Map(evidence.tokens.map((row) => [row.token, text(row)])), add)
  }
}

function compare(device: string, table: string, wanted: Map<string, string>, is: Map<string, string>, add: Add): void {
  const wrong = [...new Set([...wanted.keys(), ...is.keys()])].filter((key) => wanted.get(key) !== is.get(key))
  const [key] = wrong
  if (key === undefined) return
  const [has, should] = [is.get(key) ?? 'no row', wanted.get(key) ?? 'no row']
  add('rows', `${device}: ${wrong.length} rows of ${table} differ; ${key}: ${has}, not ${should}`)
}

/** Each commit's preconditions hold where it stands; and what a command decided is true there. */
function preconditions({ server, pushed, account }: SyncFound, add: Add): void {
  const positions = new Map(server.map(({ id, position }) => [id, position]))
  const healed = new Set<string>()
  const last = new Map<string, string>()
  const bumped = new Map<string, number>()
  const taken = new Map<string, number>()
  let before: readonly ServerLine[] = []
  let commit: ServerLine[] = []
  const judge = () => {
    const [first] = commit
    if (first === undefined) return
    const seen = pushed.get(first.id) ?? []
    if (seen.length === 0)
      add('preconditions', `${first.data.token} is in the log, and no device pushed it as ${first.id}`)
    const isHealed = seen.some((each) => each.healed === true)
    if (isHealed) healed.add(first.data.token)
    else if (!seen.some((each) => holds(each, first.position, last, before, positions)))
      add(
        'preconditions',
        `${first.data.token} stands at ${first.position}, against what it expects: ${JSON.stringify(seen)}`,
      )
    for (const { stream, id, type, data } of commit) {
      last.set(stream, id)
      const isRetried = account.wanted.get(data.token)?.retrying === true
      if (type === 'Bumped') {
        const n = (bumped.get(stream) ?? 0) + 1
        bumped.set(stream, n)
        if (data.n !== n && !isHealed && !isRetried)
          add('decided', `${data.token} was decided as bump ${data.n} of ${stream}, and is ${n}`)
      }
      if (type === 'Taken') {
        const n = (taken.get(stream) ?? 0) + 1
        taken.set(stream, n)
        if (data.n !== n && !isHealed && !isRetried)
          add('decided', `${data.token} was decided as ${data.n} taken of ${stream}, and is ${n}`)
      }
    }
  }
  for (const line of server) {
    if (commit.length > 0 && line.commit !== commit[0]?.commit) {
      judge()
      before = server.slice(0, line.position - 1)
      commit = []
    }
    commit.push(line)
  }
  judge()
}

function holds(
  { expect = {}, condition }: SeenCommit,
  position: number,
  last: ReadonlyMap<string, string>,
  before: readonly ServerLine[],
  positions: ReadonlyMap<string, number>,
): boolean {
  for (const [stream, wanted] of Object.entries(expect)) {
    const [id, version] = typeof wanted === 'string' || wanted === null ? [wanted] : wanted
    if ((last.get(stream) ?? null) !== id) return false
    if (version !== undefined && before.filter((line) => line.stream === stream).length !== version) return false
  }
  if (condition === undefined) return true
  const { failIfEventsMatch: filter, after, except = [] } = condition
  const from = after === null ? 0 : positions.get(after)
  if (from === undefined || from >= position) return false
  return !before.some(
    (line) =>
      line.position > from &&
      (filter.types?.includes(line.type) ?? true) &&
      line.stream.startsWith(filter.streamPrefix ?? '') &&
      !except.includes(line.id),
  )
}

/** What was acknowledged is in exactly one place, and what was refused is not in the log. */
function places({ devices, account, server, restored }: SyncFound, stored: ReadonlySet<string>, add: Add) {
  const waiting = new Map<string, string[]>()
  const ids = new Set(server.map(({ id }) => id))
  for (const { device, copyOf, evidence } of devices)
    for (const row of evidence.outbox) {
      const of = account.wanted.get(row.token)?.device ?? device
      // What a copied device was given with the databases is its original's.
      if (of === device) waiting.set(row.token, [...(waiting.get(row.token) ?? []), row.status])
      else if (of !== copyOf) add('one place', `${row.token} is in the outbox of ${device}`)
      const inLog = row.ids.find((id) => ids.has(id))
      if (inLog !== undefined)
        add('no is no', `${row.token} is ${row.status} (${row.refusal ?? ''}) and in the log as ${inLog}`)
    }
  const counts = { confirmed: 0, refused: 0, discarded: 0, behind: 0, cleared: 0 }
  const open = { whole: 0, absent: 0 }
  for (const wanted of account.wanted.values()) {
    const rowsOfIt = waiting.get(wanted.token) ?? []
    const inLog = stored.has(wanted.token)
    const many = rowsOfIt.length + (inLog ? 1 : 0)
    if (many > 0 && account.late.has(wanted.token))
      add('ledger', `${wanted.token} was appended after the end of the acts`)
    if (many > 1)
      add(
        'one place',
        `${wanted.token} (${wanted.act}) is in ${many} places: ${inLog ? 'log, ' : ''}${rowsOfIt.join(', ')}`,
      )
    if (isNever(wanted) && many > 0)
      add('no is no', `${wanted.token} (${wanted.act}) ${JSON.stringify(wanted.rejected ?? 'declined')}, and yet there`)
    if (wanted.acknowledged !== true) {
      if (wanted.rejected === undefined && wanted.declined !== true) open[many > 0 ? 'whole' : 'absent'] += 1
      continue
    }
    // The other one of a copied device may have sent it.
    if (wanted.settled === 'discarded' && wanted.retrying !== true && wanted.copied !== true && inLog)
      add('no is no', `${wanted.token} (${wanted.act}) was discarded, said the server, and is in its log`)
    // What the server had is only lost if it lost that as well.
    const isCleared = wanted.cleared === true && (wanted.settled !== 'confirmed' || restored)
    if (inLog) counts.confirmed += 1
    else if (rowsOfIt.includes('refused')) counts.refused += 1
    else if (rowsOfIt.length > 0) counts.behind += 1
    else if (wanted.discarding === true) {
      counts.discarded += 1
      if (wanted.settled === 'confirmed' && !isCleared) add('kept', `${wanted.token} was confirmed, and is nowhere`)
    } else if (isCleared) counts.cleared += 1
    else
      add(
        'one place',
        `${wanted.token} (${wanted.act}) was acknowledged, is ${wanted.settled ?? 'not settled'}, and is nowhere`,
      )
  }
  return { places: counts, open }
}

/** Said to be written nowhere. */
const isNever = ({ rejected, declined }: Wanted): boolean => declined === true || rejected?.outcome === 'not-written'
