/** How often things happen in a run: each style plays some faults more often than the others do. */

export type Rare =
  | 'squat'
  | 'discard'
  | 'retry'
  | 'back up'
  | 'restore'
  | 'renew epoch'
  | 'clear'
  | 'save'
  | 'roll back'
  | 'kill'
  | 'wake late'
  | 'resync'
  | 'take back'
  | 'start'

export interface Style {
  readonly name: 'mixed' | 'late' | 'thefts' | 'heals' | 'adopts'
  /** The share of steps with a rare act, and how they are shared among these. */
  readonly rare: number
  readonly rares: { readonly [rare in Rare]: number }
  /** The share of messages that are lost, of those that are kept back, of those that arrive twice, and of turns in which a message that was kept back arrives. */
  readonly lost: number
  readonly late: number
  readonly twice: number
  readonly arrives: number
  /** How often another context of a device begins to sync. */
  readonly contexts: number
  /** How often a restored server gets one of the newest backups. */
  readonly newest: number
  /** How often all that the server said before a restore arrives late. */
  readonly overtaken: number
  readonly streams: number
  /** How often a device has a local store to adopt. */
  readonly locals: number
  /** How often another user takes the ids that a restored server lost, before their devices come. */
  readonly thefts: number
}

const mixed: Style = {
  name: 'mixed',
  rare: 0.07,
  rares: {
    squat: 9,
    discard: 15,
    retry: 10,
    'back up': 10,
    restore: 6,
    'renew epoch': 3,
    clear: 4,
    save: 8,
    'roll back': 4,
    kill: 8,
    'wake late': 8,
    resync: 1,
    'take back': 1,
    start: 13,
  },
  lost: 0.08,
  late: 0.1,
  twice: 0.15,
  arrives: 0.06,
  contexts: 0.05,
  newest: 0,
  overtaken: 0.2,
  streams: 4,
  locals: 0.1,
  thefts: 0,
}

export const styles: readonly Style[] = [
  mixed,
  {
    ...mixed,
    name: 'late',
    rare: 0.1,
    rares: {
      ...mixed.rares,
      squat: 2,
      'take back': 40,
      'back up': 20,
      restore: 12,
      clear: 1,
      'roll back': 1,
      resync: 0,
      start: 20,
    },
    late: 0.25,
    twice: 0.25,
    arrives: 0.2,
    contexts: 0.4,
    newest: 0.7,
    overtaken: 0.8,
  },
  {
    ...mixed,
    name: 'thefts',
    rare: 0.1,
    rares: { ...mixed.rares, squat: 15, 'back up': 25, restore: 15, clear: 1, 'roll back': 1 },
    contexts: 0.2,
    newest: 0.8,
    thefts: 0.7,
  },
  {
    ...mixed,
    name: 'heals',
    rare: 0.05,
    rares: { ...mixed.rares, squat: 2, discard: 3, 'back up': 25, restore: 8, clear: 1, 'roll back': 1, resync: 0 },
    lost: 0.02,
    late: 0.03,
    twice: 0.05,
    newest: 0.3,
    streams: 8,
  },
  { ...mixed, name: 'adopts', rares: { ...mixed.rares, squat: 4, clear: 1, restore: 4 }, contexts: 0.02, locals: 0.7 },
]
