/**
 * A process that writes to a log until it is killed. It says on stdout what was acknowledged: `{"ids":[…],"position":n}`
 * for a commit, `{"kept":id}` for a verdict.
 *
 * Arguments: the path; the number of the run, which ids begin with; what ends it: `signal` (its parent), or `write@n`,
 * `cut-write@n`, `flush@n`, `after@n` … (itself at its nth operation on files), and `+power` if what was not flushed is
 * lost then.
 */
import { fstatSync, ftruncateSync, writeSync } from 'node:fs'
import fs, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { openFileLogStore } from 'tidemark/file'
import { addCommit } from './support-commit.js'

const [path = '', run = '0', end = 'signal'] = process.argv.slice(2)
const [, how = '', at = '0', power = ''] = /^(\w[\w-]*)@(\d+)(\+power)?$/.exec(end) ?? []

let operations = 0
/** Of files that are open for writing, how much of them is on the disk. */
const flushed = new Map<FileHandle, number>()

function die(): never {
  if (power !== '')
    for (const [handle, size] of flushed)
      if (handle.fd >= 0) ftruncateSync(handle.fd, Math.min(size, fstatSync(handle.fd).size))
  process.kill(process.pid, 'SIGKILL')
  // The signal comes when this thread asks the system for something.
  for (;;) writeSync(2, '')
}

/** One operation: whether the process ends before it, in the middle, or behind it. */
async function step<T>(work: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> {
  operations += 1
  const isLast = operations === Number(at)
  if (isLast && how === 'before') die()
  if (isLast && how === 'within') {
    await half?.()
    die()
  }
  const result = await work()
  if (isLast && how === 'after') die()
  return result
}

function watch(handle: FileHandle): void {
  flushed.set(handle, fstatSync(handle.fd).size)
  const { write, datasync, sync, truncate, close } = handle
  const synced = async (flush: () => Promise<void>) => {
    const { size } = fstatSync(handle.fd)
    await step(() => flush.call(handle))
    flushed.set(handle, size)
  }
  Object.assign(handle, {
    write: (bytes: Uint8Array, offset: number, length: number, position: number) =>
      step(
        () => Reflect.apply(write, handle, [bytes, offset, length, position]) as ReturnType<FileHandle['write']>,
        () => Reflect.apply(write, handle, [bytes, offset, length >> 1, position]) as Promise<unknown>,
      ),
    datasync: () => synced(datasync),
    sync: () => synced(sync),
    truncate: (size: number) => step(() => truncate.call(handle, size)),
    close: () => {
      flushed.delete(handle)
      return step(() => close.call(handle))
    },
  })
}

const { open, rename, rm, writeFile } = fs
Object.assign(fs, {
  open: async (name: string, flags: string) => {
    const handle = await step(() => open(name, flags))
    if (flags !== 'r') watch(handle)
    return handle
  },
  rename: (from: string, to: string) => step(() => rename(from, to)),
  rm: (name: string, options: object) => step(() => rm(name, options)),
  writeFile: (name: string, text: string, options: object) => step(() => writeFile(name, text, options)),
})
syncBuiltinESMExports()

const say = (what: object): void => void writeSync(1, `${JSON.stringify(what)}\n`)

const store = await openFileLogStore({ path, log: 'log-1' })
const count = end === 'signal' ? Infinity : 6

async function write(writer: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const ids = Array.from({ length: 1 + ((n + writer) % 3) }, (_, k) => `${run}-${writer}-${n}-${k}`)
    await store.decide(async (log) => {
      if (n % 4 === 3) await log.keep('anna', ids, { blocked: ids[0] ?? '' })
      else
        await addCommit(
          log,
          ids.map((id, k) => ({ id, stream: `s${k}`, data: 'x'.repeat((n * 37) % 5000) })),
        )
    })
    say(n % 4 === 3 ? { kept: ids } : { ids })
  }
}

await Promise.all([0, 1, 2].map(write))
await store.close()
say({ operations })
