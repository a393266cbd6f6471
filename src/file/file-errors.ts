/** Errors of files. */
import { TidemarkError } from '../errors.js'
import { say } from '../messages.js'

/** Another process has the file open, or this one opened it before. Nothing was changed. */
export class LogFileInUseError extends TidemarkError {
  declare readonly path: string
  /** Of the process that has it open, on its machine. */
  declare readonly pid: number

  constructor(path: string, pid: number) {
    super(
      'log-file-in-use',
      say`Process ${pid} has the log ${path} open. One process at a time may open a log: end that one first, or close its store.`,
      { outcome: 'not-written' },
    )
    this.path = path
    this.pid = pid
  }
}

/**
 * A part of a log's file is not what was written. The file is left as it is: what lies before `offset` is sound, and what
 * lies behind it was durable, too.
 */
export class LogFileDamagedError extends TidemarkError {
  declare readonly path: string
  /** Where the damaged part begins, in bytes from the begin of the file. */
  declare readonly offset: number

  constructor(path: string, offset: number, what: string, options: { cause?: unknown } = {}) {
    super('log-file-damaged', say`The log ${path} is damaged at byte ${offset}: ${what} The file was not changed.`, {
      outcome: 'not-written',
      ...options,
    })
    this.path = path
    this.offset = offset
  }
}
