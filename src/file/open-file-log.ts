/**
 * The log of a file that is open. Decisions run one after the other; each sees what those before it added. While one
 * group is on its way to the disk, the next one gathers; each is one frame, with one fsync.
 */
import { randomUUID } from 'node:crypto'
import { ClosedError, StorageFailedError, StorageFullError, TidemarkError } from '../errors.js'
import { say } from '../messages.js'
import { wholeNumber } from '../platform/arguments.js'
import type { LogDecision, LoggedCommit, LogStore } from '../server/log-store.js'
import { Decision, Layer } from './decisions.js'
import type { FileLock } from './file-lock.js'
import type { LoadedLog } from './load-log.js'
import type { CutTail, FrameText, LogFile } from './log-file.js'
import type { LogIndex } from './log-index.js'
import { LogReading } from './log-reading.js'
import { recordsOf } from './file-records.js'

/** A {@link LogStore} in a file. */
export interface FileLogStore extends LogStore {
  /** What the opening found. */
  readonly opened: {
    readonly events: number
    readonly commits: number
    /** What an interrupted write had left at the end of the file, and was cut. Absent if there was nothing. */
    readonly cut?: CutTail
  }
}

/** Bytes that wait for a write before decisions wait as well. */
const mostWaiting = 8 << 20

/** Decisions that become durable together. */
class Group extends Layer {
  readonly stored: Promise<void>
  declare resolve: () => void
  declare reject: (error: unknown) => void

  constructor(end: { readonly head: number; readonly chain: string }) {
    super(end)
    this.stored = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // Each of its decisions rejects with it.
    this.stored.catch(() => {})
  }
}

export class OpenFileLog implements FileLogStore {
  readonly opened: FileLogStore['opened']
  readonly #file: LogFile
  readonly #index: LogIndex
  readonly #reading: LogReading
  readonly #identity: { readonly log: string; readonly epoch: string }
  readonly #lock: FileLock
  readonly #now: () => number
  readonly #listeners = new Set<(head: number) => void>()
  /** The last decision in the queue. */
  #turn: Promise<unknown> = Promise.resolve()
  /** On its way to the disk, until it is stored, or what it left in the file is cut. */
  #writing: Group | undefined
  #next: Group | undefined
  /** Set while groups are dropped: decisions wait for its end. */
  #dropping: Promise<void> | undefined
  /** Grows whenever groups were dropped, on which a decision under way may rely. */
  #losses = 0
  #lost: unknown
  /** The one loop that writes. `#writing` does not say whether it runs: it is not set between two groups. */
  #flushing: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor({ file, index, log, cut }: LoadedLog, lock: FileLock, now: () => number) {
    this.#file = file
    this.#index = index
    this.#reading = new LogReading(file, index)
    this.#identity = { log, epoch: randomUUID() }
    this.#lock = lock
    this.#now = now
    this.opened = { events: index.head, commits: index.commits, ...(cut && { cut }) }
  }

  async identity(): Promise<{ readonly log: string; readonly epoch: string }> {
    this.#assertOpen()
    return this.#identity
  }

  async head(): Promise<number> {
    this.#assertOpen()
    return this.#index.head
  }

  async chainAt(position: number): Promise<string | undefined> {
    this.#assertOpen()
    return this.#reading.chainAt(wholeNumber(position, 'position'))
  }

  async read(after: number, limit: number): Promise<readonly LoggedCommit[]> {
    this.#assertOpen()
    return this.#reading.read(wholeNumber(after, 'after'), wholeNumber(limit, 'limit', 1))
  }

  async decide<T>(work: (log: LogDecision) => Promise<T>): Promise<T> {
    this.#assertOpen()
    const decided = this.#turn.then(() => this.#decideNow(work))
    this.#turn = decided.catch(() => {})
    const { value, group } = await decided
    await group?.stored
    return value
  }

  subscribe(listener: (head: number) => void): () => void {
    const own = (head: number): void => listener(head)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#turn
    await this.#flushing
    this.#listeners.clear()
    try {
      await this.#file.close()
    } finally {
      await this.#lock.release()
    }
  }

  /** What it saw and added is durable when `group` is; without one it is already. */
  async #decideNow<T>(work: (log: LogDecision) => Promise<T>): Promise<{ value: T; group: Group | undefined }> {
    if (this.#next !== undefined && this.#next.bytes > mostWaiting) await this.#writing?.stored.catch(() => {})
    while (this.#dropping !== undefined) await this.#dropping
    if (this.#lost !== undefined) throw this.#lost
    const losses = this.#losses
    const below = [this.#next, this.#writing].filter((group) => group !== undefined)
    const decision = new Decision(this.#identity.epoch, below, below[0] ?? this.#index, this.#reading, this.#now)
    let value: T
    try {
      value = await work(decision)
    } finally {
      decision.end()
    }
    if (losses !== this.#losses)
      throw new StorageFailedError(say`What was decided before could not be stored, so this was not.`, {
        outcome: 'not-written',
      })
    if (decision.added.isEmpty) return { value, group: this.#next ?? this.#writing }
    const group = (this.#next ??= new Group(this.#writing ?? this.#index))
    group.take(decision.added)
    this.#flushing ??= this.#flush()
    return { value, group }
  }

  /** Writes groups as long as there are some. Never rejects. */
  async #flush(): Promise<void> {
    for (let group = this.#take(); group !== undefined; group = this.#take()) {
      await this.#write(group)
    }
    this.#flushing = undefined
  }

  async #write(group: Group): Promise<void> {
    let frame: FrameText
    try {
      frame = await this.#file.add(group.records)
    } catch (error) {
      this.#dropping = this.#drop(group, error)
      await this.#dropping
      this.#dropping = undefined
      return
    }
    try {
      for (const record of recordsOf(frame.text, frame.at)) {
        if (record.kind === 'commit') this.#index.addCommit(record)
        else if (record.kind === 'verdict') this.#index.addVerdict(record)
      }
    } catch (error) {
      this.#lost = failure(error, 'unknown')
    }
    this.#writing = undefined
    group.resolve()
    if (group.commits.length > 0) this.#tell(group.head)
  }

  #take(): Group | undefined {
    this.#writing = this.#next
    this.#next = undefined
    return this.#writing
  }

  /** None of what is not durable is kept, nor what was decided on it. */
  async #drop(group: Group, cause: unknown): Promise<void> {
    // What is decided at this moment is refused when it ends, so nothing is added to the next group any more.
    this.#losses += 1
    // A file that is not this store's any more is left alone.
    if (cause instanceof TidemarkError) this.#lost = cause
    else await this.#file.cut().catch((error: unknown) => (this.#lost = failure(error, 'unknown')))
    const error = this.#lost ?? failure(cause, 'not-written')
    const next = this.#next
    this.#next = undefined
    this.#writing = undefined
    group.reject(error)
    next?.reject(error)
  }

  #tell(head: number): void {
    for (const listener of this.#listeners) {
      try {
        listener(head)
      } catch (error) {
        // An error of one listener is for those who watch the process, and keeps no other from hearing.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError(say`The log`)
    if (this.#lost !== undefined) throw this.#lost
  }
}

function failure(cause: unknown, outcome: 'not-written' | 'unknown'): TidemarkError {
  const { code, message } = cause as NodeJS.ErrnoException
  const what = say`The log could not be written: ${message}.`
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
    ? new StorageFullError(what, { cause, outcome })
    : new StorageFailedError(what, { cause, outcome })
}
