/**
 * One process per file, without a lock that a crashed process leaves behind. Node has no advisory locks. So each process
 * first announces itself by a file whose name says who it is, and then looks for others: of two, the one that looks later
 * sees the other, so never both continue. Announcements of processes that have ended are removed. Nothing is replaced, so
 * there is no moment at which no process holds the lock and one believes that it does.
 */
import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile, readlink, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { LogFileInUseError } from './file-errors.js'

/** How often a holder says that it lives, for processes that cannot see it: in another container, or on another machine. */
const heartbeat = 2_000
/** Such a holder has ended if it said nothing for so long. */
const silence = 10_000
/** Two that start at the same moment both step back, and try again for so long. */
const patience = 1_000

/** Who announced himself. */
interface Owner {
  readonly name: string
  readonly pid: number
  /** When the process began, as its machine counts; '0' where it does not say. */
  readonly start: string
  /** The machine since it was started, and the part of it that sees the same processes. */
  readonly where: string
}

export class FileLock {
  readonly #path: string
  readonly #timer: NodeJS.Timeout

  private constructor(path: string) {
    this.#path = path
    this.#timer = setInterval(() => {
      const now = new Date()
      // A lock that is gone is noticed by `isHeld`.
      utimes(path, now, now).catch(() => {})
    }, heartbeat)
    this.#timer.unref()
  }

  /** @throws LogFileInUseError if a process that lives has it */
  static async take(path: string): Promise<FileLock> {
    const me = { pid: process.pid, start: (await startOf(process.pid)) ?? '0', where: await whereAmI() }
    const begun = performance.now()
    const seen = new Map<string, number>()
    for (;;) {
      const token = randomBytes(6).toString('hex')
      const own = `${path}.lock.${me.pid}.${me.start}.${me.where}.${token}`
      await writeFile(own, '', { flag: 'wx' })
      const holder = await holderOf(path, own, me.where, seen)
      if (holder === undefined) return new FileLock(own)
      await rm(own, { force: true })
      const waited = performance.now() - begun
      if (waited > (holder.isSilent ? silence + patience : patience)) throw new LogFileInUseError(path, holder.pid)
      await new Promise((resolve) => setTimeout(resolve, 20 + 60 * Math.random()))
    }
  }

  /** Whether another process has not removed it, which took this one for ended. */
  isHeld(): Promise<boolean> {
    return stat(this.#path).then(
      () => true,
      () => false,
    )
  }

  async release(): Promise<void> {
    clearInterval(this.#timer)
    await rm(this.#path, { force: true })
  }
}

/** Another owner that lives, or may. Removes those that do not. */
async function holderOf(
  path: string,
  own: string,
  where: string,
  seen: Map<string, number>,
): Promise<{ pid: number; isSilent: boolean } | undefined> {
  const folder = dirname(path)
  const begin = `${basename(path)}.lock.`
  const now = (await stat(own)).mtimeMs
  let found: { pid: number; isSilent: boolean } | undefined
  for (const name of await readdir(folder)) {
    if (!name.startsWith(begin) || name === basename(own)) continue
    const [pid = '', start = '', place = ''] = name.slice(begin.length).split('.')
    const owner: Owner = { name, pid: Number(pid), start, where: place }
    const life = await lifeOf(owner, join(folder, name), where, now, seen)
    if (life === 'ended') {
      await rm(join(folder, name), { force: true })
    } else if (found === undefined || life === 'lives') {
      found = { pid: owner.pid, isSilent: life === 'silent' }
    }
  }
  return found
}

/** `'silent'`: it may have ended, which more time will tell. */
async function lifeOf(
  owner: Owner,
  path: string,
  where: string,
  now: number,
  seen: Map<string, number>,
): Promise<'lives' | 'ended' | 'silent'> {
  if (owner.where === where) {
    const start = await startOf(owner.pid)
    if (start === undefined) return 'ended'
    if (owner.start !== '0' && start !== '0') return owner.start === start ? 'lives' : 'ended'
  }
  const told = await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  )
  if (told === undefined || now - told > silence) return 'ended'
  const before = seen.get(owner.name)
  seen.set(owner.name, told)
  return before !== undefined && before !== told ? 'lives' : 'silent'
}

/** When a process of this machine began; `undefined` if there is no such process, `'0'` where that is all that is known. */
async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return isThere(pid) ? '0' : undefined
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    // Its name is in parentheses, and may hold some.
    const [state, ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    // A process that was killed is listed until its parent asks, and may write until its last thread has ended.
    if (/[ZX]/.test(state ?? '') && (await readdir(`/proc/${pid}/task`)).length <= 1) return undefined
    return fields[18] ?? '0'
  } catch {
    return undefined
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It is there, and another user's.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function whereAmI(): Promise<string> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  const processes = await readlink('/proc/self/ns/pid').catch(() => '')
  return createHash('sha256').update(`${hostname()}\n${boot}\n${processes}`).digest('hex').slice(0, 12)
}
