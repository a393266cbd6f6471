/** The file itself: opening, checking, adding a frame, cutting, reading. It knows frames, and nothing of records. */
import { Buffer } from 'node:buffer'
import { readSync } from 'node:fs'
import { open, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StorageLostError } from '../errors.js'
import { say } from '../messages.js'
import { LogFileDamagedError } from './file-errors.js'
import type { FileLock } from './file-lock.js'
import { headBytes, headOf, isSound, magicIn, seal } from './frames.js'
import type { Extent } from './file-records.js'

/** Bytes of one read while the whole file is read. */
const windowBytes = 1 << 22

/** What was cut from the end of a file at opening. */
export interface CutTail {
  /** Where it began. */
  readonly offset: number
  readonly bytes: number
  /** Where it was kept. Absent if it is certain that it was never acknowledged. */
  readonly keptAt?: string
}

/** The text of a frame, and where it begins in the file. */
export interface FrameText {
  readonly text: Buffer
  readonly at: number
}

export class LogFile {
  readonly path: string
  readonly #handle: FileHandle
  readonly #lock: FileLock
  /** Where the next frame begins. */
  #size: number
  readonly #inode: bigint
  #cutTail: CutTail | undefined

  private constructor(path: string, handle: FileHandle, lock: FileLock, size: number, inode: bigint) {
    this.path = path
    this.#handle = handle
    this.#lock = lock
    this.#size = size
    this.#inode = inode
  }

  static async open(path: string, lock: FileLock): Promise<LogFile> {
    const handle = await open(path, 'r+')
    const { size, ino } = await handle.stat({ bigint: true })
    return new LogFile(path, handle, lock, Number(size), ino)
  }

  get size(): number {
    return this.#size
  }

  /** What was cut while the frames were read. */
  get cutTail(): CutTail | undefined {
    return this.#cutTail
  }

  /**
   * The texts of all frames, in order. What a write that was interrupted left at the end is cut.
   *
   * @throws LogFileDamagedError if a valid frame follows an invalid one
   */
  async *frames(): AsyncGenerator<FrameText> {
    let window: Buffer = Buffer.alloc(0)
    let begin = 0
    const bytesAt = async (at: number, length: number): Promise<Buffer> => {
      if (at < begin || at + length > begin + window.length) {
        window = await this.read({ at, length: Math.min(Math.max(length, windowBytes), this.#size - at) })
        begin = at
      }
      return window.subarray(at - begin, at - begin + length)
    }
    for (let at = 0; at < this.#size;) {
      const head = headOf(await bytesAt(at, Math.min(headBytes, this.#size - at)), at)
      const length = head?.length ?? 0
      const isWhole = head !== undefined && at + headBytes + length <= this.#size
      const text = isWhole ? await bytesAt(at + headBytes, length) : Buffer.alloc(0)
      if (!isWhole || !isSound(head, text)) {
        this.#cutTail = await this.#cutFrom(at, head !== undefined && !isWhole)
        return
      }
      yield { text, at: at + headBytes }
      at += headBytes + length
    }
  }

  /** Adds a frame. When this resolves it is there for good; if it rejects, call `cut`. */
  async add(text: readonly Buffer[]): Promise<FrameText> {
    await this.#assertOurs()
    const frame = Buffer.concat([Buffer.alloc(headBytes), ...text])
    seal(frame, this.#size)
    await writeAll(this.#handle, frame, this.#size)
    await this.#handle.datasync()
    const at = this.#size + headBytes
    this.#size += frame.length
    return { text: frame.subarray(headBytes), at }
  }

  /** Takes back what a write that failed may have left. */
  async cut(size: number = this.#size): Promise<void> {
    await this.#handle.truncate(size)
    await this.#handle.sync()
    this.#size = size
  }

  async read({ at, length }: Extent): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length)
    for (let done = 0; done < length;) {
      const { bytesRead } = await this.#handle.read(bytes, done, length - done, at + done)
      if (bytesRead === 0) throw this.#tooShort(at + done)
      done += bytesRead
    }
    return bytes
  }

  readNow({ at, length }: Extent): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    for (let done = 0; done < length;) {
      const count = readSync(this.#handle.fd, bytes, done, length - done, at + done)
      if (count === 0) throw this.#tooShort(at + done)
      done += count
    }
    return bytes
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  #tooShort(at: number): Error {
    return new LogFileDamagedError(this.path, at, say`it ends there.`)
  }

  /** Nothing is written to a file that was replaced, or that another process has taken over. */
  async #assertOurs(): Promise<void> {
    const found = await stat(this.path, { bigint: true }).catch(() => undefined)
    if (found?.ino !== this.#inode || Number(found.size) !== this.#size)
      throw new StorageLostError(say`The log ${this.path} was replaced, changed or deleted while it was open.`, {
        outcome: 'not-written',
      })
    if (!(await this.#lock.isHeld()))
      throw new StorageLostError(say`The lock of the log ${this.path} was removed while it was open.`, {
        outcome: 'not-written',
      })
  }

  async #cutFrom(at: number, isShort: boolean): Promise<CutTail> {
    if (at === 0) throw new LogFileDamagedError(this.path, 0, say`it does not begin as a log does.`)
    const next = await this.#frameBehind(at)
    if (next !== undefined)
      throw new LogFileDamagedError(
        this.path,
        at,
        say`${next - at} bytes are not what was written, and sound data follows them. Restore a backup.`,
      )
    const rest = await this.read({ at, length: this.#size - at })
    // A frame whose end is missing was never complete, so it was not acknowledged. Of the rest that is likely, not certain.
    const wasNotAcknowledged = isShort || rest.length < headBytes || rest.every((byte) => byte === 0)
    const keptAt = `${this.path}.cut-at-${at}`
    if (!wasNotAcknowledged) await writeFile(keptAt, rest, { flush: true })
    await this.cut(at)
    return { offset: at, bytes: rest.length, ...(!wasNotAcknowledged && { keptAt }) }
  }

  /** Where the next valid frame begins. */
  async #frameBehind(at: number): Promise<number | undefined> {
    for (let begin = at + 1; begin + headBytes <= this.#size; begin += windowBytes) {
      // With the begin of the next window, for a head that lies in both.
      const window = await this.read({ at: begin, length: Math.min(windowBytes + headBytes, this.#size - begin) })
      for (let next = magicIn(window, 0); next >= 0; next = magicIn(window, next + 1)) {
        const head = headOf(window.subarray(next), begin + next)
        const text = begin + next + headBytes
        if (head === undefined || text + head.length > this.#size) continue
        if (isSound(head, await this.read({ at: text, length: head.length }))) return begin + next
      }
    }
    return undefined
  }
}

/** Makes a file of these texts, a frame each: it is there whole, or not at all. Replaces what is there. */
export async function writeFrames(path: string, texts: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
  const draft = `${path}.new`
  await rm(draft, { force: true })
  const handle = await open(draft, 'wx')
  try {
    let at = 0
    for await (const text of texts) {
      const frame = Buffer.concat([Buffer.alloc(headBytes), text])
      seal(frame, at)
      await writeAll(handle, frame, at)
      at += frame.length
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(draft, path)
  await syncFolder(dirname(path))
}

async function writeAll(handle: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done)
    done += bytesWritten
  }
}

/** So that a new name survives a power cut. Windows has no such call, and needs none. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
