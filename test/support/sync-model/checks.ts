/** What has to hold: the invariants of docs/sync-model.md, by their names. */
import type { EventText, StoredEvent } from '../../../src/log/record/record-text.js'
import { compileFilter } from '../../../src/log/filter.js'
import { inRows } from '../../../src/sync/overlay/in-rows.js'
import { needsOf } from '../../../src/sync/rules/outbox-draft.js'
import type { OutboxRow } from '../../../src/sync/sync-state.js'
import { first, type Version } from './book.js'
import { idsIn, type Device, type Seen } from './device.js'
import type { Running } from './run.js'
import type { Logged } from './service.js'

/** How often each event is shown: what another user stored under an id is another event. */
const counted = (events: readonly Seen[] = []): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const { id, data } of events) {
    const key = data === 'evil' ? `evil ${id}` : id
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

/** At any moment. */
export async function checkDevice({ fail }: Running, device: Device): Promise<void> {
  const { name, rows, storage } = device
  const log = await device.confirmed()
  const copy = await device.copy()
  const { state, outbox, own } = copy
  if (state.cursor.at !== log.length)
    fail(`one transaction: the cursor of ${name} is at ${state.cursor.at}, its log at ${log.length}`)
  if (storage.identity !== state.identity) fail(`one transaction: the log of ${name} is another one`)
  checkPlaces(fail, name, log, outbox)
  if (rows.identity === state.identity)
    for (const [index, event] of rows.events.entries())
      if (log[index]?.id !== event.id || log[index].data !== event.data)
        fail(`same rows: rows of ${name} were not folded from its log`)
  const shown = counted(await device.shown(copy))
  for (const [id, times] of shown) if (times > 1) fail(`shown once: ${name} shows ${id} ${times} times`)
  for (const row of outbox) {
    if (row.refused !== undefined) continue
    for (const [index, { id }] of row.events.entries()) {
      const isInRows = inRows(state, rows, row.was === undefined ? {} : { was: row.was }, index)
      // The rows have it under an id that it had.
      if (isInRows && row.had !== undefined) continue
      const wanted = row.cancel === true && !isInRows ? 0 : 1
      if ((shown.get(id) ?? 0) !== wanted) fail(`shown once: ${name} shows pending ${id} ${shown.get(id) ?? 0} times`)
    }
  }
  for (const { at, n, was, name: named } of own)
    for (const [index, { id }] of log.slice(at - 1, at - 1 + n).entries()) {
      const isRenamed = named !== undefined && rows.identity !== state.identity
      if (isRenamed && inRows(state, rows, { at, was }, index)) continue
      if (shown.get(id) !== 1) fail(`shown once: ${name} shows settled ${id} ${shown.get(id) ?? 0} times`)
    }
  for (const known of device.known)
    for (const [id, times] of counted(await device.shownBy(known)))
      if (times > 1) fail(`shown once: a tab of ${name} shows ${id} ${times} times`)
}

function checkPlaces(
  fail: Running['fail'],
  name: string,
  log: readonly StoredEvent[],
  outbox: readonly OutboxRow[],
): void {
  const seen = new Map<string, unknown>()
  for (const { id, data } of log) {
    if (seen.has(id)) fail(`one place: ${id} twice in the log of ${name}`)
    seen.set(id, data)
  }
  const names = new Set<string>()
  for (const row of outbox) {
    if (names.has(row.name)) fail(`one place: ${row.name} twice in the outbox of ${name}`)
    names.add(row.name)
    for (const { id, data } of row.events)
      if (seen.has(id) && seen.get(id) === JSON.parse(data)) fail(`one place: ${id} in two places at ${name}`)
  }
}

export function checkServer({ service, fail }: Running): void {
  const ids = new Set<string>()
  for (const [index, { id, position }] of service.events.entries()) {
    if (ids.has(id)) fail(`the server has ${id} twice`)
    if (position !== index + 1) fail(`positions: position ${position} at ${index + 1}`)
    ids.add(id)
  }
}

/** After everything settled. */
export async function checkEnd(running: Running): Promise<void> {
  const { devices, service, fail } = running
  checkServer(running)
  const log = service.events
  const places = new Map(log.map(({ id, position }) => [id, position]))
  for (const device of devices) await checkReplica(running, device, places)
  const inOutbox = new Map<string, OutboxRow[]>()
  for (const device of devices)
    for (const row of (await device.storage.load()).outbox)
      inOutbox.set(row.name, [...(inOutbox.get(row.name) ?? []), row])
  for (const [name, made] of running.book.made) {
    if (made.isFree) continue
    const versions = [...running.book.versions.values()].filter((version) => version.name === name)
    const there = versions.filter(({ row }) => isAsWritten(log, places, row))
    const rows = inOutbox.get(name) ?? []
    const count = there.length + rows.length
    // A version that a backup of another past brought back, after the app was told that it is not in the log; or a late
    // request, which a server that does not know that it went back cannot tell from others.
    const { book, isUnnoticed } = running
    const returned = there.filter(({ row }) =>
      isUnnoticed ? book.no.has(first(row)) : book.hasReturned(first(row)),
    ).length
    if (count - returned > 1 && !made.isEnded)
      fail(`one place: ${name} is in ${count} places: ${there.map(({ row }) => first(row)).join()}`)
    if (count === 0 && !made.isEnded) fail(`heals: ${name} of ${made.device.name} is nowhere`)
    if (!running.isUnnoticed) for (const version of there) checkVersion(running, version, places)
  }
  if (!running.isUnnoticed) checkOrder(running, places)
}

/** Commits of a device are in each stream in the order in which it made them, unless they were changed since. */
function checkOrder({ book, devices, fail, service }: Running, places: ReadonlyMap<string, number>): void {
  const changed = new Set<string>()
  const names = new Set<string>()
  for (const { name } of book.versions.values()) (names.has(name) ? changed : names).add(name)
  for (const device of devices) {
    const last = new Map<string, string>()
    for (const { name, row } of book.versions.values()) {
      const made = book.made.get(name)
      if (made?.device !== device || made.isFree || made.isEnded || changed.has(name)) continue
      if (!isAsWritten(service.events, places, row)) continue
      // What was adopted has an order of its own.
      const kind = made.isLocal ? 'local ' : ''
      for (const stream of new Set(row.events.map((event) => event.stream))) {
        const before = last.get(kind + stream)
        if (before !== undefined && (places.get(before) as number) > (places.get(first(row)) as number))
          fail(`same order: ${first(row)} was made behind ${before}, and is before it in ${stream}`)
        last.set(kind + stream, first(row))
      }
    }
  }
}

async function checkReplica(
  { service, fail, book }: Running,
  device: Device,
  places: ReadonlyMap<string, number>,
): Promise<void> {
  const { name } = device
  const log = await device.confirmed()
  const { state, outbox, own } = await device.storage.loadOwn(0)
  const key = ({ id, stream, version, type, data }: StoredEvent | Logged) =>
    JSON.stringify([id, stream, version, type, data])
  if (log.map(key).join() !== service.events.map(key).join()) fail(`replica: the log of ${name} is not the server's`)
  if (state.cursor.at !== log.length) fail(`replica: ${name} is not at the end`)
  for (const { at, n } of own)
    for (const { id, data } of log.slice(at - 1, at - 1 + n))
      if (data === 'evil') fail(`squatted: ${name} takes ${id} of another for its own`)
  const streams = new Set<string>()
  for (const row of outbox) {
    if (row.refused !== undefined) continue
    book.count('behind at the end')
    const waits = needsOf(row).some((id) => !places.has(id)) || row.events.some(({ stream }) => streams.has(stream))
    if (!waits) fail(`drains: ${first(row)} of ${name} is still pending`)
    for (const { stream } of row.events) streams.add(stream)
  }
  if (outbox.length > 0) return
  // Rows of an earlier identity become today's first.
  for (let times = 0; times < 2; times += 1) await device.project(Infinity)
  const shown = (await device.shown(await device.copy()))?.map(({ id }) => id)
  if (shown?.join() !== log.map(({ id }) => id).join()) fail(`same rows: rows of ${name} differ`)
}

const isAsWritten = (log: readonly Logged[], places: ReadonlyMap<string, number>, row: OutboxRow): boolean =>
  log[(places.get(first(row)) ?? 0) - 1]?.data === JSON.parse((row.events[0] as EventText).data)

function checkVersion(
  { book, fail, service }: Running,
  { row, seen, streams }: Version,
  places: ReadonlyMap<string, number>,
): void {
  const id = first(row)
  const at = places.get(id) as number
  if (book.wasDenied(id)) fail(`no means no: ${id} was refused, and is in the log`)
  for (const need of needsOf(row)) {
    const place = places.get(need)
    if (place === undefined || place >= at)
      fail(`causes first: ${id} was decided on ${need}, which is ${place === undefined ? 'nowhere' : 'behind it'}`)
    // What a stranger had stored under an own id was seen as any other event of a stranger.
    const isOwn = book.isOwn(row.name, need) && seen.get(need) !== 'evil'
    if (isOwn && seen.has(need) && service.events[(place ?? 0) - 1]?.data !== seen.get(need))
      fail(`causes first: ${id} was decided on another ${need} than the one in the log`)
  }
  if (book.healed.has(id)) return
  const log = service.events
  for (const [stream, wanted] of row.expect) {
    const last = log.slice(0, at - 1).findLast((event) => event.stream === stream)?.id ?? null
    if (last !== wanted) fail(`preconditions: ${id} expects ${wanted} in ${stream}, where ${last} is`)
    const before = idsIn(log.slice(0, at - 1), stream)
    const wasSeen = streams.get(stream) ?? ''
    // As many others in their place, after a restore: a version is only a count.
    if (before.split(',').length !== wasSeen.split(',').length)
      fail(`decided on: ${id} has seen ${wasSeen} in ${stream}, where ${before} is`)
    if (before !== wasSeen) book.count('decided on others')
  }
  const { condition } = row
  const after = condition === undefined ? undefined : condition.after === null ? 0 : places.get(condition.after)
  if (condition === undefined || after === undefined || after >= at) return
  const filter = compileFilter(condition.failIfEventsMatch)
  const match = log
    .slice(after, at - 1)
    .find((event) => filter.matches(event as never) && !condition.except.includes(event.id))
  if (match !== undefined) fail(`preconditions: ${id} is behind ${match.id}, which its condition excludes`)
}
