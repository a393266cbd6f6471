// What processes of this machine have used, as Linux counts it. Elsewhere there are no figures of others.
import { readdirSync, readFileSync } from 'node:fs'

function fieldsOf(pid) {
  try {
    // Behind the name, which may have spaces and parentheses.
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
  } catch {
    return undefined
  }
}

/** Processor time of a process, in ms: it is counted in hundredths of a second. */
export function cpuOf(pid) {
  const fields = fieldsOf(pid)
  return fields === undefined ? NaN : (Number(fields[11]) + Number(fields[12])) * 10
}

/** That of a process and of all that it ever started: of PostgreSQL, backends that have ended are in the time of their parent. */
export function cpuOfAll(parent) {
  const own = fieldsOf(parent)
  if (own === undefined) return NaN
  let all = [11, 12, 13, 14].reduce((sum, field) => sum + Number(own[field]), 0) * 10
  for (const pid of readdirSync('/proc'))
    if (/^\d+$/.test(pid) && fieldsOf(pid)?.[1] === String(parent)) all += cpuOf(pid)
  return all
}

/** Of the memory, what is in use, in MB. */
export function memoryOf(pid) {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? NaN) / 1024
  } catch {
    return NaN
  }
}

/** How many files and connections a program that is started here may have open. */
export function mostOpenFiles() {
  try {
    return Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity)
  } catch {
    return Infinity
  }
}
