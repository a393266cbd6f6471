/** Ends browsers with all their processes. */
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'

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
}

/** On Linux `chromium` may be a script around the browser; elsewhere the browser leads its group. */
async function groupOf(pid: number): Promise<number> {
  if (process.platform !== 'linux') return pid
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // pid (name) state ppid pgrp …, and the name may hold spaces and brackets.
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2])
}
