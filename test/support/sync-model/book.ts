/** What the app was told: every commit that it appended, and every no that it got. */
import type { OutboxRow, SyncSnapshot } from '../../../src/sync/sync-state.js'
import type { Changed } from '../../../src/sync/sync-storage.js'
import type { Device } from './device.js'

export interface Made {
  readonly device: Device
  /** The app does not want it any more, or its command wants nothing. */
  isEnded: boolean
  /** The device forgot it, or another one has it too: it was cleared, restored, or copied. */
  isFree: boolean
}

/** A commit as it was decided. */
export interface Version {
  readonly name: string
  readonly row: OutboxRow
}

export class Book {
  readonly made = new Map<string, Made>()
  /** By the id of the first event. */
  readonly versions = new Map<string, Version>()
  /** Versions that the app was told are not in the log. */
  readonly no = new Set<string>()
  /** Versions that were given back to a restored server: history, which expects nothing. */
  readonly healed = new Set<string>()
  readonly counts: Record<string, number> = {}
  readonly #fail: (what: string) => never

  constructor(fail: (what: string) => never) {
    this.#fail = fail
  }

  count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }

  appended(device: Device, row: OutboxRow): void {
    this.made.set(row.name, { device, isEnded: false, isFree: false })
    this.versions.set(first(row), { name: row.name, row })
    this.count('commits')
  }

  free(device: Device): void {
    for (const made of this.made.values()) if (made.device === device) made.isFree = true
  }

  /** What a device stored. */
  stored(changed: Changed, { outbox }: SyncSnapshot): void {
    if (changed.kind !== 'stored') return
    const { change } = changed
    const before = new Map(outbox.map((row) => [row.n, row]))
    for (const row of change.put ?? []) this.#changed(row, before.get(row.n))
    for (const ended of change.ended ?? []) {
      const row = outbox.find(({ name }) => name === ended.name)
      if (ended.status === 'discarded' && row !== undefined) {
        this.no.add(first(row))
        this.#made(row.name).isEnded = true
        this.count('discarded')
      } else if (ended.position === undefined) {
        this.#made(ended.name).isEnded = true
        this.count('wants nothing')
      } else this.count('confirmed')
    }
    if (change.takeBack !== undefined) {
      this.count('heals')
      for (const row of change.put ?? []) if (row.healed === true) this.count('healed commits')
    }
  }

  #changed(row: OutboxRow, old: OutboxRow | undefined): void {
    const id = first(row)
    if (row.healed === true) this.healed.add(id)
    if (!this.versions.has(id)) {
      this.versions.set(id, { name: row.name, row })
      this.count('decided again')
    }
    if (old !== undefined && first(old) !== id) this.no.add(first(old))
    if (row.refused !== undefined || row.undecided !== undefined) {
      this.no.add(id)
      const code = row.refused?.code ?? row.undecided?.code
      if (row.refused !== old?.refused) this.count(`no: ${code}`)
      const wasUnwanted = old?.cancel === true || old?.renew !== undefined
      if (code === 'cancelled' && !wasUnwanted && !this.#made(row.name).isFree)
        this.#fail(`squatted: ${id} was cancelled by another`)
    }
    if (row.behind !== undefined && old?.behind === undefined) this.count('behind')
  }

  #made(name: string): Made {
    return this.made.get(name) as Made
  }
}

export const first = (row: OutboxRow): string => (row.events[0] as { id: string }).id
