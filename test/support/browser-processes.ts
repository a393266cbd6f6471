/** Ends browsers with all their processes. */
import { spawnSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

export const processGroups = {
  /** Prepares, so that the kill itself is one call: IndexedDB lives in another process than the browser's main one. */
  async killer(pid: number): Promise<() => void> {
    if (process.platform === 'win32') return () => void spawnSync('taskkill', ['/pid', String(pid), '/T', '/F'])
    const group = await groupOf(pid)
    return () => {
      try {
        process.kill(-group, 'SIGKILL')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
  },
  /** Sends a signal to all of them at once; not on Windows. */
  async signal(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    process.kill(-(await groupOf(pid)), signal)
  },

  /** The running processes of a group; Linux only. */
  async members(group: number): Promise<number[]> {
    const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number)
    const stats = await Promise.all(pids.map(statOf))
    // One that has ended and that nobody asked after is still listed.
    return pids.filter((_pid, index) => stats[index]?.group === group && stats[index].state !== 'Z')
  },

  /** Resolves once no process of a group runs; Linux only. */
  async ended(group: number): Promise<void> {
    while ((await processGroups.members(group)).length > 0) await sleep(20)
  },
}

/** SIGKILL to one process, which may have ended by itself since it was chosen. */
export function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Stops one process for a while, which may end meanwhile: what runs in it is as if frozen. Not on Windows. */
export async function freezeProcess(pid: number, ms: number): Promise<void> {
  const signal = (name: 'SIGSTOP' | 'SIGCONT') => {
    try {
      process.kill(pid, name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  const go = () => signal('SIGCONT')
  process.once('exit', go)
  signal('SIGSTOP')
  await sleep(ms)
  go()
  process.off('exit', go)
}

/** On Linux `chromium` may be a script around the browser; elsewhere the browser leads its group. */
async function groupOf(pid: number): Promise<number> {
  if (process.platform !== 'linux') return pid
  const stat = await statOf(pid)
  if (stat === undefined) throw new Error(`Process ${pid} has ended`)
  return stat.group
}

async function statOf(pid: number): Promise<{ readonly state: string; readonly group: number } | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (stat === undefined) return undefined
  // pid (name) state ppid pgrp …, and the name may hold spaces and brackets.
  const [state = '', , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { state, group: Number(group) }
}
