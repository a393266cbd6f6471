/** Reads a whole file when it is opened, and leaves out refusals that are too old to be asked for. */
import { Buffer } from 'node:buffer'
import { rm } from 'node:fs/promises'
import { TidemarkError } from '../errors.js'
import { say } from '../messages.js'
import { LogFileDamagedError } from './file-errors.js'
import type { FileLock } from './file-lock.js'
import { LogFile, writeFrames, type CutTail } from './log-file.js'
import { LogIndex } from './log-index.js'
import { eventIn, recordsOf } from './file-records.js'

/** How long a verdict is kept. */
const verdictAge = 90 * 24 * 60 * 60 * 1000
/** The file is written again without old verdicts if they have at least this many bytes, and a quarter of it. */
const worthwhile = 1 << 20
/** Bytes of a frame of a file that is written again. */
const frameBytes = 1 << 20

export interface LoadedLog {
  readonly file: LogFile
  readonly index: LogIndex
  readonly log: string
  readonly cut?: CutTail
}

/** @param now in ms since 1970 */
export async function loadLog(path: string, lock: FileLock, now: number): Promise<LoadedLog> {
  // Of a rewriting that was interrupted.
  await rm(`${path}.new`, { force: true })
  const oldBefore = now - verdictAge
  const found = await load(path, lock, oldBefore)
  if (found.oldBytes < worthwhile || found.oldBytes * 4 < found.file.size) return found
  try {
    await writeFrames(path, withoutOldVerdicts(found.file, oldBefore))
  } finally {
    await found.file.close()
  }
  return { ...(await load(path, lock, oldBefore)), ...(found.cut && { cut: found.cut }) }
}

async function load(path: string, lock: FileLock, oldBefore: number): Promise<LoadedLog & { oldBytes: number }> {
  const file = await LogFile.open(path, lock)
  try {
    const index = new LogIndex((place) => eventIn(file.readNow(place), 0).stream)
    let log: string | undefined
    let oldBytes = 0
    for await (const { text, at } of file.frames()) {
      try {
        for (const record of recordsOf(text, at)) {
          if (record.kind === 'header') log = record.log
          else if (record.kind === 'commit') index.addCommit(record)
          else {
            index.addVerdict(record)
            if (record.time < oldBefore) oldBytes += record.length
          }
        }
      } catch (error) {
        if (error instanceof TidemarkError) throw error
        throw new LogFileDamagedError(path, at, say`its records contradict each other.`, { cause: error })
      }
    }
    if (log === undefined) throw new LogFileDamagedError(path, 0, say`it does not begin as a log does.`)
    return { file, index, log, oldBytes, ...(file.cutTail && { cut: file.cutTail }) }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function* withoutOldVerdicts(file: LogFile, oldBefore: number): AsyncGenerator<Buffer> {
  let kept: Buffer[] = []
  let bytes = 0
  for await (const { text, at } of file.frames()) {
    for (const record of recordsOf(text, at)) {
      if (record.kind === 'verdict' && record.time < oldBefore) continue
      kept.push(text.subarray(record.at - at, record.at - at + record.length))
      bytes += record.length
    }
    if (bytes < frameBytes) continue
    yield Buffer.concat(kept)
    kept = []
    bytes = 0
  }
  if (bytes > 0) yield Buffer.concat(kept)
}
