/** What the app was told: every commit that it appended, and every no that it got. */
import type { OutboxRow, SyncSnapshot } from '../../../src/sync/sync-state.js'
import type { EventText } from '../../../src/log/record/record-text.js'
import type { Changed } from '../../../src/sync/sync-storage.js'
import type { Device } from './device.js'

export interface Made {
  readonly device: Device
  /** It was in a local store before. */
  readonly isLocal: boolean
  /** The app does not want it any more, or its command wants nothing. */
  isEnded: boolean
  /** The app, or its device for a new version, took it back once: a late cancel may reach a server that lost it. */
  wasUnwanted: boolean
  /** The device forgot it, or another one has it too: it was cleared, restored, or copied. */
  isFree: boolean
}

/** A commit as it was decided. */
export interface Version {
  readonly name: string
  readonly row: OutboxRow
  /** What was in the events that it was decided on, as far as the device had them. */
  readonly seen: ReadonlyMap<string, unknown>
  /** By stream of which it expects something: the ids of the events there, in order. */
  readonly streams: ReadonlyMap<string, string>
}

/** What a decision was made on. */
export type Sight = Pick<Version, 'seen' | 'streams'>
const nothing: Sight = { seen: new Map(), streams: new Map() }

export class Book {
  readonly made = new Map<string, Made>()
  /** By the id of the first event. */
  readonly versions = new Map<string, Version>()
  /** Versions that the app was told are not in the log: under which of the epochs it was told so last. */
  readonly no = new Map<string, number>()
  /** The epochs of the server, in order. */
  readonly epochs: string[] = []
  /** Versions that came back with a backup: the last epoch that began with them. */
  readonly #returned = new Map<string, number>()
  /** Versions that were given back to a restored server: history, which expects nothing. */
  readonly healed = new Set<string>()
  readonly counts: Record<string, number> = {}
  readonly #locals = new Map<Device, readonly { readonly upTo: number; readonly events: readonly EventText[] }[]>()
  readonly #seen = new Map<string, Sight>()
  readonly #fail: (what: string) => never

  constructor(fail: (what: string) => never) {
    this.#fail = fail
  }

  count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }

  appended(device: Device, row: OutboxRow, sight: Sight, isLocal = false): void {
    this.made.set(row.name, { device, isLocal, isEnded: false, wasUnwanted: false, isFree: false })
    this.versions.set(first(row), { name: row.name, row, ...sight })
    this.count('commits')
  }

  /** What a device has in its local store. */
  local(device: Device, upTo: number, events: readonly EventText[]): void {
    this.#locals.set(device, [...(this.#locals.get(device) ?? []), { upTo, events }])
    this.count('local commits')
  }

  /** A device stored a part of its local log: from then on it is what the device made. */
  adopts(device: Device, changed: Changed): void {
    if (changed.kind !== 'stored') return
    const upTo = changed.change.state.adopting?.at(-1)?.upTo ?? 0
    const before = new Set(this.made.keys())
    for (const { upTo: end, events } of this.#locals.get(device) ?? []) {
      const { id } = events[0] as EventText
      if (end > upTo || before.has(id)) continue
      this.appended(device, { n: 0, name: id, time: 1, events, expect: [] }, nothing, true)
      this.count(changed.change.put === undefined ? 'adopted as they are' : 'adopted')
    }
  }

  /** Local commits that the device has not adopted. */
  unadopted(device: Device): readonly string[] {
    const ids = (this.#locals.get(device) ?? []).map(({ events }) => (events[0] as EventText).id)
    return ids.filter((id) => !this.made.has(id))
  }

  /** What a command saw that made a version, which may not be stored. */
  sees(row: OutboxRow, sight: Sight): void {
    this.#seen.set(first(row), sight)
  }

  /** The server began an epoch with these events; or, unnoticed, it went back to them, in the middle of one. */
  epoch(epoch: string, ids: Iterable<string>): void {
    const isNoticed = this.epochs.at(-1) !== epoch
    if (isNoticed) this.epochs.push(epoch)
    const at = this.epochs.length - (isNoticed ? 1 : 0.5)
    for (const id of ids) this.#returned.set(id, at)
  }

  /** Whether the app was told that a version is not in the log. If it came back with a backup after that was said, the log wins. */
  wasDenied(id: string): boolean {
    return this.no.has(id) && !this.hasReturned(id)
  }

  /** Whether a version came back with a backup after the app was told that it is not in the log. */
  hasReturned(id: string): boolean {
    const told = this.no.get(id)
    return told !== undefined && (this.#returned.get(id) ?? -1) > told
  }

  /** The device lost all that it had, its local store as well. */
  cleared(device: Device): void {
    this.#locals.delete(device)
    this.free(device)
  }

  free(device: Device): void {
    for (const made of this.made.values()) if (made.device === device) made.isFree = true
  }

  /** What a device stored. */
  stored(changed: Changed, { outbox }: SyncSnapshot): void {
    if (changed.kind !== 'stored') return
    const { change } = changed
    const before = new Map(outbox.map((row) => [row.n, row]))
    const epoch = this.epochs.indexOf(change.state.remote?.epoch ?? '')
    for (const row of change.put ?? []) this.#changed(row, before.get(row.n), epoch)
    for (const name of change.state.nothing ?? []) {
      if (this.#made(name).isEnded) continue
      this.#made(name).isEnded = true
      this.count('wants nothing')
    }
    for (const ended of change.ended ?? []) {
      const row = outbox.find(({ name }) => name === ended.name)
      if (ended.status === 'discarded' && row !== undefined) {
        this.no.set(first(row), epoch)
        this.#made(row.name).isEnded = true
        this.count('discarded')
      } else this.count('confirmed')
    }
    if (change.takeBack !== undefined) {
      this.count('heals')
      for (const row of change.put ?? []) if (row.healed === true) this.count('healed commits')
    }
  }

  #changed(row: OutboxRow, old: OutboxRow | undefined, epoch: number): void {
    const id = first(row)
    if (row.cancel === true || row.renew !== undefined) this.#made(row.name).wasUnwanted = true
    if (row.healed === true) this.healed.add(id)
    if (!this.versions.has(id)) {
      this.versions.set(id, { name: row.name, row, ...(this.#seen.get(id) ?? nothing) })
      this.count('decided again')
    }
    if (old !== undefined && first(old) !== id) this.no.set(first(old), epoch)
    if (row.refused !== undefined || row.undecided !== undefined) {
      const code = codeOf(row)
      // Stored once more, it is not said once more.
      if (old === undefined || first(old) !== id || codeOf(old) !== code) this.no.set(id, epoch)
      if (row.refused !== old?.refused) this.count(`no: ${code}`)
      const { wasUnwanted, isFree } = this.#made(row.name)
      if (code === 'cancelled' && !wasUnwanted && !isFree) this.#fail(`squatted: ${id} was cancelled by another`)
    }
    if (row.behind !== undefined && old?.behind === undefined) this.count('behind')
  }

  /** Whether an event is of a device that made this commit, too, and has it still. */
  isOwn(name: string, id: string): boolean {
    const found = [...this.versions.values()].find(({ row }) => row.events.some((event) => event.id === id))
    const made = found && this.made.get(found.name)
    return made !== undefined && !made.isFree && made.device === this.#made(name).device
  }

  #made(name: string): Made {
    return this.made.get(name) as Made
  }
}

export const codeOf = ({ refused, undecided }: OutboxRow): string | undefined => refused?.code ?? undecided?.code

export const first = (row: OutboxRow): string => (row.events[0] as { id: string }).id
