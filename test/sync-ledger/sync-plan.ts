/** What happens in a round, all of it from its seed. */
import { seededRandom, seedFor } from '../../src/testing/random.js'
import type { Kill, KillWeights } from '../ledger/plan.js'
import type { FaultKind, FaultPlan, ProxyPartition } from './fault-proxy.js'
import type { CutWhen } from '../support/postgres/cutting-proxy.js'
import type { BackupWay, KillAt } from './ledger-server.js'

export type SyncActKind =
  | 'plain'
  | 'two streams'
  | 'expected'
  | 'condition'
  | 'bump'
  | 'take'
  | 'by rule'
  | 'discard'
  | 'retry'
  | 'now'
  | 'again'

/** One thing that a tab does. */
export interface SyncAct {
  readonly kind: SyncActKind
  readonly stream: string
  readonly other: string
  readonly count: number
  /** Chooses among what is there then. */
  readonly pick: number
  /** Before it, ms. */
  readonly pause: number
  readonly visible: boolean
}

export interface PlannedTab {
  readonly where: 'page' | 'dedicated'
  /** It has an old build of the app, which does not know all commands. */
  readonly isOld: boolean
  readonly acts: readonly SyncAct[]
}

export interface PlannedDevice {
  readonly author: string
  /** How wrong its clock is, ms. */
  readonly clockBy: number
  readonly tabs: readonly PlannedTab[]
  readonly faults: FaultPlan
  /** When its network breaks, for how long, and how. */
  readonly partition?: { readonly at: number; readonly for: number; readonly which: ProxyPartition }
  /** Its storage is deleted then. */
  readonly clearedAt?: number
  /** Its databases are copied then, for another device that begins with what this one knew. */
  readonly copiedAt?: number
  /** Turns of a service worker that syncs once. */
  readonly turns: readonly { readonly at: number; readonly maxTime: number }[]
}

export interface SyncRoundPlan {
  readonly seed: number
  readonly devices: readonly PlannedDevice[]
  readonly server: {
    readonly killAt?: KillAt
    /** SIGKILL at a time. */
    readonly killed?: number
    /** How long there is no server after its end, ms. */
    readonly away: number
    readonly backupAt?: number
    readonly restoreAt?: number
    readonly way: BackupWay
    /** Only of a server whose logs are in a database. */
    readonly database: {
      readonly crashedAt?: number
      readonly cuts: readonly { readonly at: number; readonly count: number; readonly when: CutWhen }[]
    }
  }
  /** The process of a tab stops then, for that many ms. */
  readonly freeze?: { readonly at: number; readonly for: number; readonly chosen: number }
  /** What ends of the browser, and when. */
  readonly kill?: {
    readonly kill: Exclude<Kill, 'dedicated worker'> | 'tab'
    readonly at: number
    readonly chosen: number
  }
}

/** How long a round is disturbed, ms. */
export const disturbed = 800

const kindsOfActs: readonly (readonly [SyncActKind, number])[] = [
  ['plain', 24],
  ['two streams', 8],
  ['expected', 14],
  ['condition', 8],
  ['bump', 16],
  ['take', 8],
  ['by rule', 4],
  ['discard', 10],
  ['retry', 4],
  ['now', 8],
  ['again', 4],
]

const requestFaults: readonly FaultKind[] = [
  'cut',
  'twice',
  'again-later',
  'late-request',
  'late-response',
  'lost-request',
  'lost-response',
  'status-401',
  'status-429',
  'status-500',
  'portal',
]

class Chance {
  readonly next: () => number
  constructor(seed: number) {
    this.next = seededRandom(seed)
  }
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }
  between(from: number, to: number): number {
    return from + this.below(to - from)
  }
  is(share: number): boolean {
    return this.next() < share
  }
  of<T>(all: readonly T[]): T {
    return all[this.below(all.length)] as T
  }
  weighted<T>(all: readonly (readonly [T, number])[]): T {
    let left = this.next() * all.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [each, weight] of all) {
      left -= weight
      if (left < 0) return each
    }
    return (all.at(-1) as readonly [T, number])[0]
  }
}

export interface SyncPlanOptions {
  readonly kills: KillWeights
  /** Pages at a time. */
  readonly pages: number
  /** Happens to every third request of every device. */
  readonly fault?: FaultKind | undefined
}

/** The same seed plans the same round. */
export function planSyncRound(seed: number, { kills, pages, fault }: SyncPlanOptions): SyncRoundPlan {
  const chance = new Chance(seedFor(seed, 'sync round'))
  const devices = chance.is(0.15) ? 3 : 2
  // Most rounds have a second tab on one device only: a tab costs as much as a device.
  let left = Math.min(pages - devices, chance.is(0.3) ? 2 : 1)
  const planned = Array.from({ length: devices }, (_, index): PlannedDevice => {
    const second = left > 0 && chance.is(0.5)
    if (second) left -= 1
    return planDevice(chance, index, second ? 2 : 1, fault)
  })
  return { seed, devices: planned, server: planServer(chance), ...planKill(chance, kills), ...planFreeze(chance) }
}

function planDevice(chance: Chance, index: number, tabs: number, fault: FaultKind | undefined): PlannedDevice {
  const year = 365 * 86_400_000
  const breaks = chance.is(0.45)
  const turns = chance.is(0.3) ? chance.between(1, 4) : 0
  return {
    author: chance.is(0.6) ? 'anna' : `user-${index}`,
    clockBy: chance.is(0.3) ? (chance.is(0.5) ? year : -year) : 0,
    tabs: Array.from({ length: tabs }, () => ({
      where: chance.is(0.2) ? ('dedicated' as const) : ('page' as const),
      isOld: chance.is(0.12),
      acts: Array.from({ length: chance.between(5, 12) }, () => planAct(chance, index)),
    })),
    faults: { ...planFaults(chance), ...(fault && { [fault]: 0.35 }) },
    ...(breaks && {
      partition: {
        at: chance.below(disturbed * 0.7),
        for: chance.between(100, 700),
        which: chance.of(['up', 'down', 'both'] as const),
      },
    }),
    ...(chance.is(0.08) && { clearedAt: chance.below(disturbed) }),
    ...(index === 0 && chance.is(0.15) && { copiedAt: chance.below(disturbed) }),
    turns: Array.from({ length: turns }, () => ({ at: chance.below(disturbed), maxTime: chance.between(50, 600) })),
  }
}

function planAct(chance: Chance, device: number): SyncAct {
  const shared = chance.is(0.7)
  const stream = shared ? `shared-${chance.below(3)}` : `own-${device}`
  return {
    kind: chance.weighted(kindsOfActs),
    stream,
    other: `shared-${chance.below(3)}`,
    count: chance.is(0.05) ? chance.between(20, 60) : chance.between(1, 4),
    pick: chance.below(1000),
    pause: chance.is(0.2) ? chance.below(100) : chance.below(20),
    visible: chance.is(0.3),
  }
}

function planFaults(chance: Chance): FaultPlan {
  const mood = chance.next()
  if (mood < 0.1) return {}
  // Half of the rest has one kind of fault above all, so that its effects are not hidden by others.
  const plan: Partial<Record<FaultKind, number>> = {}
  const share = mood < 0.5 ? 0.02 : 0.04
  for (const kind of requestFaults) plan[kind] = kind === 'status-401' ? share / 4 : share
  if (mood < 0.55) plan[chance.of(requestFaults)] = 0.35
  return plan
}

function planServer(chance: Chance): SyncRoundPlan['server'] {
  const away = chance.between(30, 350)
  const kind = chance.next()
  const restores = chance.is(0.3)
  const backupAt = chance.below(disturbed * 0.6)
  return {
    away,
    ...(kind < 0.5 && {
      killAt: { when: chance.is(0.5) ? ('before' as const) : ('after' as const), commit: chance.between(1, 25) },
    }),
    ...(kind >= 0.5 && kind < 0.75 && { killed: chance.below(disturbed) }),
    ...(restores && { backupAt, restoreAt: chance.between(backupAt + 100, disturbed + 100) }),
    way: { by: chance.is(0.5) ? 'dump' : 'copy', isServed: chance.is(0.5) },
    database: {
      ...(chance.is(0.3) && { crashedAt: chance.below(disturbed) }),
      cuts: Array.from({ length: chance.is(0.5) ? chance.between(1, 4) : 0 }, () => ({
        at: chance.below(disturbed),
        count: chance.between(1, 8),
        when: chance.is(0.5) ? ('before' as const) : ('after' as const),
      })),
    },
  }
}

function planFreeze(chance: Chance): Pick<SyncRoundPlan, 'freeze'> {
  if (!chance.is(0.25)) return {}
  return { freeze: { at: chance.below(disturbed), for: chance.between(100, 1_000), chosen: chance.below(1000) } }
}

function planKill(chance: Chance, kills: KillWeights): Pick<SyncRoundPlan, 'kill'> {
  const possible: [Exclude<Kill, 'dedicated worker'> | 'tab', number][] = [['tab', 50]]
  // The start of a browser costs as much as several rounds.
  for (const [kill, weight] of kills)
    if (kill !== 'dedicated worker') possible.push([kill, weight / (kill === 'process tree' ? 6 : 2)])
  if (!chance.is(0.7)) return {}
  return { kill: { kill: chance.weighted(possible), at: chance.between(100, disturbed), chosen: chance.below(1000) } }
}
