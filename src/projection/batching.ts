/** When a commit is due, and how much a page may hold: counts of the work since the last commit. Pure. */
import type { Settings } from './config.js'
import type { Retries } from './failures.js'
import type { ProjectionResult } from './projector.js'

/** How many events one read asks for. */
export const pageSize = 4096
/**
 * … and how many are read at a time where that saves reading rows: neighbours in the log may touch rows that are far
 * from each other, so that each page reads, and each commit writes, nearly the whole table. The work on a table
 * remembers as many rows while a page is applied.
 */
export const longPageSize = 8 * pageSize

/**
 * How long a commit takes for each row that it stores, ms, as long as no commit of this run has told. On a fast machine
 * it is a half of that, on a slow one ten times as much.
 */
const perRow = 0.01
/** Commits of fewer rows tell nothing about that. */
const tellingRows = 1000

/** What a run carries through changes of leadership: the counts of what is stored, and what it set out to do. */
export interface RunProgress {
  /**
   * Its work was lost because the state was changed from outside: commit as soon as anything is done, so that something
   * is stored.
   */
  commitSoon: boolean
  position: number
  applied: number
  skipped: number
  parked: number
  startedAt: number | undefined
  /** The head that a batch runs up to. */
  goal: number | undefined
  /** What earlier batches of this context know of the event that failed last. @default nothing */
  readonly retries: Retries | undefined
}

/** A run that has done nothing yet. */
export const newRun = (retries?: Retries): RunProgress => ({
  commitSoon: false,
  position: 0,
  applied: 0,
  skipped: 0,
  parked: 0,
  startedAt: undefined,
  goal: undefined,
  retries,
})

/** How a run ended that has come as far as this. */
export const resultOf = (
  { position, applied, skipped, parked }: RunProgress,
  reason: ProjectionResult['reason'],
): ProjectionResult => ({ position, applied, skipped, parked, reason })

/** How many events were applied, skipped and parked. */
export type Counts = Record<'applied' | 'skipped' | 'parked', number>
const total = ({ applied, skipped, parked }: Counts): number => applied + skipped + parked

export class Batch {
  readonly #settings: Settings
  readonly #run: RunProgress
  #counts: Counts = { applied: 0, skipped: 0, parked: 0 }
  #characters = 0
  #since = 0
  /**
   * The longest time between two commits, ms. Grows with slow commits, which are to take a tenth of the time at most.
   */
  #time: number
  /** How many rows the next commit will store, and how long it will take for each, ms. */
  #rows = 0
  #perRow = perRow
  /** Events came in during the last commit, and took this many ms. */
  #burst: number | undefined

  constructor(settings: Settings, run: RunProgress) {
    this.#settings = settings
    this.#run = run
    this.#time = settings.batchTime[0]
  }

  /** What was done since the last commit. */
  get counts(): Readonly<Counts> {
    return this.#counts
  }

  get size(): number {
    return total(this.#counts)
  }

  /** How many more events the budget of the run allows. */
  get room(): number {
    return this.#settings.budgetEvents - total(this.#run) - this.size
  }

  /** The budget of the run is used up. */
  isSpent(now: number): boolean {
    return now - (this.#run.startedAt ?? now) >= this.#settings.budgetTime || this.room <= 0
  }

  /** Whether the budget ends before a pause does, which begins now. `pause`: ms. */
  isSpentIn(pause: number, now: number): boolean {
    return now + pause - (this.#run.startedAt ?? now) > this.#settings.budgetTime
  }

  /** How many events a commit may hold; `limit` where that is less. */
  most(limit: number): number {
    return Math.min(limit, this.#settings.batchEvents)
  }

  /** A commit is due, also while the run is behind. */
  isFull(now: number, limit: number): boolean {
    return (
      this.#run.commitSoon ||
      this.size >= this.most(limit) ||
      this.#characters >= this.#settings.batchCharacters ||
      now - this.#since >= this.#due()
    )
  }

  /** Many rows take long to store, and may be far from each other: then more events go into one commit. */
  #due(): number {
    return Math.max(this.#time, Math.min(this.#settings.batchTime[1], 9 * this.#rows * this.#perRow))
  }

  /** How many rows are to be stored. */
  pends(rows: number): void {
    this.#rows = rows
  }

  count(what: keyof Counts, events = 1): void {
    this.#counts[what] += events
  }

  /** Nothing is done yet. */
  begin(now: number): void {
    this.#counts = { applied: 0, skipped: 0, parked: 0 }
    this.#characters = this.#rows = 0
    this.#since = now
  }

  /**
   * A page was read. `isFirst`: of this batch, whose time begins with its first work and not with the commit before a
   * long idle time.
   */
  read(characters: number, now: number, isFirst: boolean): void {
    if (isFirst) this.#since = now
    this.#characters += characters
  }

  /** The work up to a position is stored. */
  stored(position: number, counts: Readonly<Counts> = this.#counts): void {
    this.#run.position = position
    for (const what of ['applied', 'skipped', 'parked'] as const) this.#run[what] += counts[what]
  }

  /** A commit took `took` ms; `inBurst`: more events came in meanwhile. */
  committed(position: number, took: number, inBurst: boolean, now: number): void {
    const [least, most] = this.#settings.batchTime
    this.stored(position)
    this.#time = Math.min(most, Math.max(least, 9 * took))
    if (this.#rows >= tellingRows) this.#perRow = took / this.#rows
    this.#burst = inBurst ? took : undefined
    this.#run.commitSoon = false
    this.begin(now)
  }

  /**
   * How long to wait for events that go into the same commit; nothing where no burst is on, or where commits take less
   * than a tenth of the time already. No longer than a commit takes: so the last event of a burst is stored within
   * twice that time.
   */
  burstPause(now: number): number | undefined {
    const took = this.#burst
    return took !== undefined && now - this.#since < Math.min(this.#settings.batchTime[0], 9 * took) ? took : undefined
  }
}
