/** `openFileLogStore`: the log of a server in one file that only grows. */
import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { InvalidArgumentError, StorageFailedError, TidemarkError } from '../errors.js'
import { say } from '../messages.js'
import { onlyKnown } from '../platform/arguments.js'
import { FileLock } from './file-lock.js'
import { loadLog } from './load-log.js'
import { writeFrames } from './log-file.js'
import { OpenFileLog, type FileLogStore } from './open-file-log.js'
import { headerText } from './file-records.js'

/** Options of {@link openFileLogStore}. */
export interface FileLogStoreOptions {
  /** Of the file. Its folder must be there. */
  readonly path: string
  /**
   * What happens if there is no file: `true` begins an empty log; `false` throws, so that a folder that is not mounted
   * is not taken for a new log.
   *
   * @default true
   */
  readonly create?: boolean
  /** The id of a log that is begun here: 1 to 100 of the characters `A` to `Z`, `a` to `z`, `0` to `9`, `.`, `_` and `-`. A
   * file that is there keeps its own. @default a random one */
  readonly log?: string
  /** The time in ms since 1970, for verdicts, which are kept for 90 days. @default Date.now */
  readonly now?: () => number
}

/**
 * Opens the log of a server in one file, and makes the file where it is missing. What a decision adds is in the file, and
 * has been flushed to the disk (fsync), when its promise resolves; decisions that wait for the disk share one flush. A
 * write that was interrupted (`SIGKILL`, a power cut) is cut off at the next opening: no client had received a response for it.
 *
 * Only one process at a time may open a file. Each opening begins a new epoch, since the file may be a backup.
 *
 * @example
 * ```ts
 * const store = await openFileLogStore({ path: './shop.log' })
 * const log = serverLog(store)
 * ```
 * @throws LogFileInUseError if another process has it open
 * @throws LogFileDamagedError if a part of it is not what was written, and names the place
 * @throws UnsupportedFormatError if a newer version of tidemark wrote it
 * @throws StorageFailedError if the file system refuses it, such as where its folder is missing
 */
export async function openFileLogStore(options: FileLogStoreOptions): Promise<FileLogStore> {
  onlyKnown(options, ['path', 'create', 'log', 'now'])
  if (typeof options.path !== 'string' || options.path === '')
    throw new InvalidArgumentError('path', say`must be the path of a file.`)
  if (options.log !== undefined && !/^[\w.-]{1,100}$/.test(options.log))
    throw new InvalidArgumentError('log', say`must have 1 to 100 of the characters A-Z, a-z, 0-9, '.', '_' and '-'.`)
  try {
    return await openAt(await wholePath(options.path), options)
  } catch (error) {
    if (error instanceof TidemarkError) throw error
    const { message } = error as Error
    throw new StorageFailedError(say`The log ${options.path} could not be opened: ${message}.`, {
      cause: error,
      outcome: 'not-written',
    })
  }
}

async function openAt(path: string, options: FileLogStoreOptions): Promise<FileLogStore> {
  const lock = await FileLock.take(path)
  try {
    if (!(await isThere(path))) await begin(path, options)
    return await openLocked(path, lock, options.now ?? Date.now)
  } catch (error) {
    await lock.release()
    throw error
  }
}

/** The same for all ways to write it, links too, since the lock has it in its name. */
async function wholePath(path: string): Promise<string> {
  const whole = resolve(path)
  return realpath(whole).catch(async () => join(await realpath(dirname(whole)), basename(whole)))
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

async function begin(path: string, { create = true, log = randomUUID(), now = Date.now }: FileLogStoreOptions) {
  if (!create) throw new InvalidArgumentError('path', say`There is no log at ${path}, and create is false.`)
  await writeFrames(path, [Buffer.from(headerText(log, now()))])
}

async function openLocked(path: string, lock: FileLock, now: () => number): Promise<FileLogStore> {
  const loaded = await loadLog(path, lock, now())
  return new OpenFileLog(loaded, lock, now)
}
